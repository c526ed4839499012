/**
 * Damage that the tests must notice: one line a cure that is taken out of the
 * source, and the test that fails without it. They are the places where this
 * reactor is better than the one it is modelled on, and some more that no one
 * would miss at once.
 *
 * @module
 */

/** A change of the source. */
export interface Edit {
  /** A file of the package. */
  file: string;
  /** What stands there, once. */
  search: string;
  /** What is to stand there instead. */
  replacement: string;
}

/** One cure, taken out. */
export interface Mutation {
  /** The number in the contract that the cure is for. */
  contract: number;
  /** What is taken out. */
  without: string;
  /** What that takes: where two things guard the same, more than one edit. */
  edits: readonly Edit[];
  /** The file of the test, in `tests/`. */
  test: string;
  /** A part of the test's name. */
  filter: string;
}

const DELAYED_CALLS = "delayed_calls_test.ts";
const FAULTS = "faults_test.ts";
const WORKER_FAULTS = "faults/worker_test.ts";
const MODEL = "model_test.ts";
const INTERLEAVE = "interleave_test.ts";
const LEAKS = "leaks_test.ts";
const NEVER_SILENT = "never_silent_test.ts";
const READERS_WRITERS = "readers_writers_test.ts";
const BELL = "threads/bell_test.ts";
const HANDLE = "threads/handle_test.ts";
const POOL = "threads/pool_test.ts";
const WAIT = "wait_test.ts";
const WATCH = "watch_test.ts";

/** The table. */
export const MUTATIONS: readonly Mutation[] = [
  {
    contract: 66,
    without: "the order of calls with the same deadline",
    edits: [{
      file: "src/delayed_calls.ts",
      search: "(a.key === b.key && a.keySequence < b.keySequence)",
      replacement: "false",
    }],
    test: DELAYED_CALLS,
    filter: "runDue() runs equal deadlines first come first served",
  },
  {
    contract: 78,
    without: "telling the worker of a nearer deadline",
    edits: [{
      file: "src/reactor.ts",
      search: "if (sooner) this.#loop?.timerSooner();",
      replacement: "",
    }],
    test: NEVER_SILENT,
    filter: "a delayed call that comes nearer while the worker waits",
  },
  {
    contract: 87,
    without: "the rounding upwards of the timeout for poll()",
    edits: [{
      file: "ffi/readiness_set.ts",
      search: "Math.ceil(ms)",
      replacement: "Math.floor(ms)",
    }],
    test: NEVER_SILENT,
    filter: "is waited for, not spun for (contract 87) [poll]",
  },
  {
    contract: 112,
    without: "the round of a reader's registration",
    edits: [{
      file: "src/descriptors.ts",
      search: "entry.readerRound < round",
      replacement: "true",
    }],
    test: READERS_WRITERS,
    filter: "on a descriptor that a writer has as well",
  },
  {
    contract: 112,
    without: "the round of a writer's registration",
    edits: [{
      file: "src/descriptors.ts",
      search: "entry.writerRound < round",
      replacement: "true",
    }],
    test: READERS_WRITERS,
    filter: "addWriter() in a dispatch gets no event from before",
  },
  {
    contract: 112,
    without: "the round of a wait's registration",
    edits: [{
      file: "src/descriptors.ts",
      search: "observer.round < round",
      replacement: "true",
    }],
    test: WAIT,
    filter: "a wait that begins in a dispatch is not answered",
  },
  {
    contract: 118,
    without: "the fence around fileno() and doRead",
    edits: [{
      file: "src/descriptors.ts",
      search: "this.#conclude(object, asError(error), method);",
      replacement: "throw error;",
    }],
    test: READERS_WRITERS,
    filter: "fileno() that throws at an event",
  },
  {
    contract: 119,
    without: "the look at POLLNVAL and at the file",
    edits: [{
      file: "src/descriptors.ts",
      search: "if ((events & POLL.NVAL) !== 0)",
      replacement: "if (false)",
    }, {
      file: "src/descriptors.ts",
      search: "if (this.#isGenuine(set, entry)) return true;",
      replacement: "return true;",
    }],
    test: NEVER_SILENT,
    filter: "a closed descriptor is told of at the next wake-up, once",
  },
  {
    contract: 119,
    without: "the look at the file when somebody asks for more",
    edits: [{
      file: "src/descriptors.ts",
      search: "if (isGenuine) return entry;",
      replacement: "return entry;",
    }],
    test: NEVER_SILENT,
    filter: "a closed descriptor is told of at the next change of interest",
  },
  {
    contract: 120,
    without: "the serial of a registration",
    edits: [{
      file: "src/descriptors.ts",
      search: "entry.serial !== serial",
      replacement: "false",
    }],
    test: NEVER_SILENT,
    filter: "a number used again while a duplicate keeps the old registration",
  },
  {
    contract: 120,
    without: "the identity of a file behind a number of the poll set",
    edits: [{
      file: "ffi/poll_set.ts",
      search: "return this.#identities.matches(fd, file);",
      replacement: "return true;",
    }],
    test: NEVER_SILENT,
    filter: "no event of a new pipe reaches the owner of a closed pipe",
  },
  {
    contract: 120,
    without: "the witness for anonymous files",
    edits: [{
      file: "ffi/file_identity.ts",
      search: "if (identity.anonymous) {",
      replacement: "if (false) {",
    }],
    test: NEVER_SILENT,
    filter: "no event of a new eventfd reaches the owner of a closed eventfd",
  },
  {
    contract: 120,
    without: "a new set for one with an orphan inside",
    edits: [{
      file: "src/descriptors.ts",
      search: "of set.rebuild(this.#all())",
      replacement: "of []",
    }],
    test: NEVER_SILENT,
    filter: "an orphan inside the set reaches nobody and does not spin [epoll]",
  },
  {
    contract: 122,
    without: "numbers above what select() takes",
    edits: [{
      file: "ffi/arguments.ts",
      search: "MAX_INT: number = 2 ** 31 - 1",
      replacement: "MAX_INT: number = 1023",
    }],
    test: READERS_WRITERS,
    filter: "addReader() takes numbers above 1023",
  },
  {
    contract: 123,
    without: "the service of what epoll refuses",
    edits: [{
      file: "ffi/epoll_set.ts",
      search: "case ERRNO.EPERM:",
      replacement: "case -1:",
    }],
    test: READERS_WRITERS,
    filter: "a regular file is always ready, without an error",
  },
  {
    contract: 125,
    without: "the wait for the worker to let go",
    edits: [{
      file: "src/descriptors.ts",
      search: "this.#options.letGo();",
      replacement: "",
    }],
    test: NEVER_SILENT,
    filter: "close() of a FileDescriptor reaches the other side",
  },
  {
    contract: 125,
    without: "waking the worker when a number has left its table",
    edits: [{
      file: "src/turn.ts",
      search: "if (this.#set.stale) this.wake();",
      replacement: "",
    }],
    test: NEVER_SILENT,
    filter: "close() after removeReader() reaches the other side",
  },
  {
    contract: 126,
    without: "passing over a number that nothing is asked of",
    edits: [{
      file: "ffi/poll_set.ts",
      search: "mask === 0 ? ~fd : fd",
      replacement: "fd",
    }],
    test: WATCH,
    filter: "watch() with a slow consumer does not spin on a hang-up (",
  },
  {
    contract: 126,
    without: "the edge trigger for a member that nothing is asked of",
    edits: [{
      file: "ffi/epoll_set.ts",
      search: "mask === 0 ? EPOLLET : mask",
      replacement: "mask",
    }],
    test: WATCH,
    filter: "watch() with a slow consumer does not spin on a hang-up (",
  },
  {
    contract: 126,
    without: "passing over the event of a member that nothing is asked of",
    edits: [{
      file: "src/descriptors.ts",
      search: "if (entry.mask === 0 || entry.isEmpty) continue;",
      replacement: "",
    }],
    test: WATCH,
    filter: "does not spin on a hang-up with a budget of { ms: 0 }",
  },
  {
    contract: 127,
    without: "the refusal of a second reader",
    edits: [{
      file: "src/descriptors.ts",
      search: "if (entry?.reader !== undefined) {",
      replacement: "if (false) {",
    }],
    test: READERS_WRITERS,
    filter: "addReader() and addWriter() of a second object throw",
  },
  {
    contract: 135,
    without: "the ear for promises that reject",
    edits: [{
      file: "src/thenable.ts",
      search: "if (isThenable(result)) reportRejection(result, report);",
      replacement: "",
    }],
    test: READERS_WRITERS,
    filter: "readConnectionLost that returns a promise that rejects",
  },
  {
    contract: 136,
    without: "the memory that an object has been told already",
    edits: [{
      file: "src/descriptors.ts",
      search: "if (this.#current !== object) return;",
      replacement: "",
    }],
    test: NEVER_SILENT,
    filter: "a reader that closes its own FileDescriptor and throws",
  },
  {
    contract: 140,
    without: "a hang-up as something to read",
    edits: [{
      file: "src/descriptors.ts",
      search: "const READABLE = POLL.IN | POLL.HUP | POLL.ERR;",
      replacement: "const READABLE = POLL.IN;",
    }],
    test: READERS_WRITERS,
    filter: "a hang-up without data has doRead called",
  },
  {
    contract: 142,
    without: "the error that a closed number ends with",
    edits: [{
      file: "src/descriptors.ts",
      search: "if (this.#untold.delete(tell)) this.#tell(object, reason());",
      replacement:
        "if (this.#untold.delete(tell)) this.#tell(object, new ConnectionDone());",
    }],
    test: READERS_WRITERS,
    filter: "a number that is not open any more ends with an error",
  },
  {
    contract: 167,
    without: "the number of a work item",
    edits: [{
      file: "src/turn.ts",
      search:
        'if (this.#phase === "outstanding" && item === this.#item) this.#turn(0);',
      replacement: "this.#turn(0);",
    }],
    test: INTERLEAVE,
    filter: "Reactor ignores a work item that is run twice",
  },
  {
    contract: 169,
    without: "the second way for a work item whose waker threw",
    edits: [{
      file: "src/turn.ts",
      search:
        "this.#work(item); // This is Deno's loop: nobody else will run it.",
      replacement: "",
    }],
    test: INTERLEAVE,
    filter: "Reactor reports a waker that throws",
  },
  {
    contract: 172,
    without: "waking a worker that has to end",
    edits: [{
      file: "src/hand_over.ts",
      search: "this.withdraw(wake);",
      replacement: "",
    }],
    test: NEVER_SILENT,
    filter: "crash() leaves no thread that waits",
  },
  {
    contract: 172,
    without: "closing the set",
    edits: [{
      file: "src/reactor.ts",
      search: `if (this.#ending === undefined) set?.close();
    else void this.#ending.then(() => set?.close());`,
      replacement: "",
    }],
    test: NEVER_SILENT,
    filter: "a reactor that has ended has closed what it opened",
  },
  {
    contract: 172,
    without: "waking a worker that is ended from outside",
    edits: [{
      file: "src/hand_over.ts",
      search:
        "this.#leftInside = state === STATE.ARMED || state === STATE.POLLING;",
      replacement: "",
    }],
    test: LEAKS,
    filter: "outside while it polls leaves no thread when nothing is done",
  },
  {
    contract: 172,
    without: "the look whether who was told of a lost worker has ended the run",
    edits: [{
      file: "src/turn.ts",
      search:
        "if (this.#ended()) return; // Whoever was told has seen to that.",
      replacement: "",
    }],
    test: LEAKS,
    filter: "outside while it polls leaves no thread when crash() is called",
  },
  {
    contract: 172,
    without: "the wait for the end of a run that crashed right before close()",
    edits: [{
      file: "src/reactor.ts",
      search: "await this.#ending; // That of a run that crashed right before.",
      replacement: "",
    }],
    test: LEAKS,
    filter: "outside while it polls leaves no thread when crash() is called",
  },
  {
    contract: 174,
    without: "the end of a loop whose reactor crashed",
    edits: [{
      file: "src/turn.ts",
      search: 'this.#phase = "ended";',
      replacement: "",
    }, {
      file: "src/reactor.ts",
      search: "return this.#loop === loop;",
      replacement: "return true;",
    }],
    test: INTERLEAVE,
    filter: "interleave() at once after crash() leaves one loop",
  },
  {
    contract: 173,
    without: "the look at the phase when a toolkit calls the work item",
    edits: [{
      file: "src/turn.ts",
      search:
        'this.#phase !== "parked" || this.#leaving || !handOver.waitForReport(0)',
      replacement: "this.#leaving || !handOver.waitForReport(0)",
    }],
    test: "native_waker_test.ts",
    filter: "does not re-enter a callback that runs the loop nested",
  },
  {
    contract: 254,
    without: "the exit of a thread as the end of its worker",
    edits: [{
      file: "src/hand_over.ts",
      search:
        "this.#failed(new Error(`The worker ended by itself, with code ${code}`));",
      replacement: "",
    }],
    test: WORKER_FAULTS,
    filter: "a worker ends (before poll, exit)",
  },
  {
    contract: 254,
    without: "the look whether a worker comes up",
    edits: [{
      file: "src/hand_over.ts",
      search: "void this.#lookForStart();",
      replacement: "",
    }],
    test: WORKER_FAULTS,
    filter: "a worker never comes up: another takes its place",
  },
  {
    contract: 254,
    without: "the failure of a wake-up as the end of a worker",
    edits: [{
      file: "src/hand_over.ts",
      search: "this.#failed(error as Error);\n      return false;",
      replacement: "",
    }],
    test: WORKER_FAULTS,
    filter: "HandOver tells at once of a worker that cannot be woken",
  },
  {
    contract: 255,
    without: "the number of a report",
    edits: [{
      file: "src/turn.ts",
      search: "if (sequence === this.#handOver!.sequence) this.#reported();",
      replacement: "this.#reported();",
    }],
    test: WORKER_FAULTS,
    filter: "a report that comes twice is heeded once",
  },
  {
    contract: 253,
    without: "the end of a reactor whose set fails again and again",
    edits: [{
      file: "src/turn.ts",
      search: "if (++this.#failures === MOST_FAILURES) {",
      replacement: "if (false) {",
    }],
    test: FAULTS,
    filter: "epoll_wait fails with EBADF every time",
  },
  {
    contract: 252,
    without: "passing over a wait that was interrupted",
    edits: [{
      file: "ffi/errno.ts",
      search: "if (reason === ERRNO.EINTR) return 0;",
      replacement: "",
    }],
    test: FAULTS,
    filter: "fails once with EINTR: nobody notices, and everybody is served",
  },
  {
    contract: 256,
    without: "the timeout of a wait whose timer cannot be set",
    edits: [{
      file: "ffi/epoll_set.ts",
      search:
        "if (result === 0) this.#programmed = deadline;\n    return result === 0;",
      replacement: "this.#programmed = deadline;\n    return true;",
    }],
    test: FAULTS,
    filter: "timerfd_settime fails with EINVAL",
  },
  {
    contract: 252,
    without: "the word on a wake-up that fails",
    edits: [{
      file: "ffi/wake_up.ts",
      search:
        'if (reason === before) throw systemError("Cannot wake a wait", reason);',
      replacement: "if (reason === before) return;",
    }],
    test: FAULTS,
    filter: "write fails with EBADF at every wake-up",
  },
  {
    contract: 253,
    without: "the word on a wake-up that cannot be taken back",
    edits: [{
      file: "ffi/poll_set.ts",
      search: 'throw systemError("Cannot take back a wake-up", reason);',
      replacement: "return;",
    }],
    test: FAULTS,
    filter: "read fails with EIO whenever a wake-up is taken back",
  },
  {
    contract: 252,
    without: "what the kernel says to a descriptor that is added",
    edits: [{
      file: "ffi/epoll_set.ts",
      search: "      default:\n        return reason;",
      replacement: "      default:\n        return 0;",
    }],
    test: FAULTS,
    filter: "epoll_ctl ADD fails with ENOSPC: the caller has the error",
  },
  {
    contract: 253,
    without: "the loss of a set that could not be made anew",
    edits: [{
      file: "ffi/epoll_set.ts",
      search: "this.#lose(error);",
      replacement: "",
    }],
    test: FAULTS,
    filter: "epoll_ctl ADD fails with ENOSPC for the set's own descriptors",
  },
  {
    contract: 257,
    without: "leaving alone a number that another thread has taken",
    edits: [{
      file: "ffi/epoll_set.ts",
      search:
        "fresh = this.#set = check(epoll_create1(CLOEXEC), action);\n      if (fresh !== number) {",
      replacement:
        "fresh = check(epoll_create1(CLOEXEC), action);\n      if (false) {",
    }],
    test: FAULTS,
    filter: "a number that another thread takes while a set is made anew",
  },
  {
    contract: 257,
    without: "closing a new set whose number could not be changed",
    edits: [{
      file: "ffi/epoll_set.ts",
      search: "this.#posix.close(fresh);",
      replacement: "",
    }],
    test: FAULTS,
    filter: "dup3 fails with EMFILE when a set is made anew",
  },
  {
    contract: 257,
    without: "closing an outer set with nothing inside",
    edits: [{
      file: "ffi/epoll_set.ts",
      search: "this.#posix.close(this.#outer);\n      this.#outer = -1;",
      replacement: "",
    }],
    test: FAULTS,
    filter: "epoll_ctl fails with ENOSPC while backendFd is made",
  },
  {
    contract: 252,
    without: "going on when a socket's call was interrupted",
    edits: [{
      file: "src/net/socket_stream.ts",
      search: "errno === EINTR ||",
      replacement: "",
    }],
    test: "faults/stream_test.ts",
    filter: "recv fails with EINTR",
  },
  {
    contract: 255,
    without: "making a report again that nobody has heeded",
    edits: [{
      file: "ffi/poll_loop.ts",
      search: 'if (outcome === "timed-out") say();',
      replacement: "void outcome;",
    }],
    test: WORKER_FAULTS,
    filter: "a report gets lost: it is made again",
  },
  {
    contract: 253,
    without: "the end of a reactor that cannot wake its worker",
    edits: [{
      file: "src/turn.ts",
      search: "if (!this.#ended()) this.#rounds.failed(error as Error);",
      replacement: "",
    }],
    test: FAULTS,
    filter: "write fails with EBADF at every wake-up: everybody is told",
  },
  {
    contract: 255,
    without: "taking back a report before a toolkit is taken down",
    edits: [{
      file: "src/hand_over.ts",
      search:
        "Atomics.compareExchange(this.#control, WORD.STATE, REPORTED, PARKED);",
      replacement: "void REPORTED, PARKED;",
    }],
    test: WORKER_FAULTS,
    filter: "no report is made again while a toolkit is taken down",
  },
  {
    contract: 115,
    without: "the last event of a look",
    edits: [{
      file: "src/descriptors.ts",
      search: "i < ready && round",
      replacement: "i < ready - 1 && round",
    }],
    test: MODEL,
    filter: "forbids [epoll, iterate(0)]",
  },
  {
    contract: 69,
    without: "the state of a cancelled call",
    edits: [{
      file: "src/delayed_calls.ts",
      search:
        'this.#end(call, "cancelled");\n    call.f = call.args = undefined;',
      replacement: 'this.#end(call, "active");',
    }],
    test: MODEL,
    filter: "forbids [epoll, iterate(0)]",
  },
  {
    contract: 76,
    without: "moving a call up that comes nearer",
    edits: [{
      file: "src/delayed_calls.ts",
      search: "call.index >= 0 && deadline < call.key",
      replacement: "false",
    }],
    test: MODEL,
    filter: "forbids [epoll, iterate(0)]",
  },
  {
    contract: 252,
    without: "telling the last ones at the end",
    edits: [{
      file: "src/descriptors.ts",
      search: "for (const tell of [...this.#untold]) tell();",
      replacement: "",
    }],
    test: FAULTS,
    filter: "a reader that goes away right before a set cannot be made anew",
  },
  {
    contract: 252,
    without: "the second look at a file",
    edits: [{
      file: "ffi/file_identity.ts",
      search: "if (fstat(fd, status) === 0) return 0;",
      replacement: "if (fstat(fd, status) === 0 && before === 0) return 0;",
    }],
    test: FAULTS,
    filter: "fstat fails once with ENOMEM",
  },
  {
    contract: 252,
    without: "the word on a look at lent descriptors that fails",
    edits: [{
      file: "ffi/lent_descriptors.ts",
      search: "if (libc().poll(this.table, this.lent, 0) < 0) interrupted();",
      replacement: "libc().poll(this.table, this.lent, 0);",
    }],
    test: "faults/waits_test.ts",
    filter: "poll of what a loop lends fails with ENOMEM every time",
  },
  {
    contract: 252,
    without: "the look whether a wait in Deno's pool comes back",
    edits: [{
      file: "src/pool_wait.ts",
      search: "void this.#watch();",
      replacement: "",
    }],
    test: "faults/waits_test.ts",
    filter: "a wait in Deno's pool never begins",
  },
  {
    contract: 252,
    without: "the rest of a port that cannot even turn anybody away",
    edits: [{
      file: "src/net/port.ts",
      search: "if (-fd === EMFILE) return this.#wait(EMFILE);",
      replacement: "if (-fd === EMFILE) return false;",
    }],
    test: "faults/sockets_test.ts",
    filter: "accept fails with EMFILE every time",
  },
  {
    contract: 252,
    without: "collecting a child once more",
    edits: [{
      file: "ffi/exit.ts",
      search: "if (error === before && error !== ERRNO.EINTR) {",
      replacement: "{",
    }],
    test: "faults/descriptors_test.ts",
    filter: "waitpid fails with ECHILD, once",
  },
  {
    contract: 257,
    without: "closing the others when one cannot be closed",
    edits: [{
      file: "ffi/descriptor.ts",
      search: "discardDescriptor(fd: number): void {\n  libc().close(fd);",
      replacement:
        "discardDescriptor(fd: number): void {\n  closeDescriptor(fd);",
    }],
    test: "faults/sockets_test.ts",
    filter: "close fails with EIO for descriptors that are passed",
  },
  {
    contract: 254,
    without: "the look after a thread that vanishes",
    edits: [{
      file: "src/hand_over.ts",
      search:
        'if (outcome === "timed-out" && pause === LOOK) this.#lookForThread();',
      replacement: "void outcome;",
    }],
    test: WORKER_FAULTS,
    filter: "a worker's thread vanishes (before poll)",
  },
  {
    contract: 139,
    without: "the end of what a crash in the middle of a shutdown leaves",
    edits: [{
      file: "src/reactor.ts",
      search:
        '        this.#descriptors.endObjects(() =>\n          new ConnectionLost("The reactor has stopped")\n        );\n        this.#closeSet();',
      replacement: "        this.#closeSet();",
    }],
    test: "hostile/reentrancy_test.ts",
    filter: "called from a trigger 'before shutdown' [poll]",
  },
  {
    contract: 148,
    without: "looking at who has rung after emptying the pipe",
    edits: [{
      file: "src/threads/doorbell.ts",
      search:
        "    readInto(this.#output, this.#bytes);\n    for (const line of [...this.#lines]) {\n      if (line.takeRing()) this.#take(line);\n    }\n",
      replacement:
        "    for (const line of [...this.#lines]) {\n      if (line.takeRing()) this.#take(line);\n    }\n    readInto(this.#output, this.#bytes);\n",
    }],
    test: BELL,
    filter: "leaves no call lying that comes when another line is looked at",
  },
  {
    contract: 257,
    without: "saying that a thread is writing before it looks",
    edits: [{
      file: "ffi/bell.ts",
      search: "    Atomics.store(words, at.INSIDE, 1);\n",
      replacement: "",
    }],
    test: BELL,
    filter: "no byte is written to a pipe that was closed",
  },
  {
    contract: 257,
    without: "closing a line before looking who is writing",
    edits: [{
      file: "src/threads/doorbell.ts",
      search:
        "    line.close(why);\n    const { words } = line;\n    // First closed, then looked at: see `ffi/bell.ts`.\n    if (Atomics.load(words, LINE.INSIDE) !== 0) this.#writing.add(words);\n",
      replacement:
        "    const { words } = line;\n    if (Atomics.load(words, LINE.INSIDE) !== 0) this.#writing.add(words);\n    line.close(why);\n",
    }],
    test: BELL,
    filter: "Doorbell.close() sees a thread that has begun to write",
  },
  {
    contract: 154,
    without: "telling a thread that waits of the end",
    edits: [{
      file: "src/threads/main_line.ts",
      search:
        "    Atomics.compareExchange(this.words, LINE.CLOSED, CLOSED.NO, why);\n    this.#notify();\n",
      replacement:
        "    Atomics.compareExchange(this.words, LINE.CLOSED, CLOSED.NO, why);\n",
    }],
    test: HANDLE,
    filter: "a Worker that waits for a reactor that is stopped",
  },
  {
    contract: 158,
    without: "offering an object's own functions only",
    edits: [{
      file: "src/threads/functions.ts",
      search: "Object.hasOwn(offers, name)",
      replacement: "name in offers",
    }],
    test: HANDLE,
    filter: "a Worker can call what is offered, and nothing else",
  },
  {
    contract: 155,
    without: "the wait of the end for calls in threads",
    edits: [{
      file: "src/reactor.ts",
      search: "hold: (release) => this.#otherThreads?.hold(release) ?? false,",
      replacement: "",
    }],
    test: POOL,
    filter: "calls in threads wait for the start, and the end waits for them",
  },
];
