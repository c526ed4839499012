/**
 * Who watches which descriptor.
 *
 * Everything that watches one number, be it a reader, a writer, waits or
 * watches, shares one {@linkcode Entry}, whose merged interest is what the
 * readiness set knows. Three stamps keep events from those they were not meant
 * for:
 *
 * - An entry's *serial* goes into the set with the number, and comes back with
 *   each event. An event with another serial belongs to an earlier registration
 *   of the number, and reaches nobody.
 * - A registration's *round* says when it was made. What a drain found before
 *   that is not delivered to it: not to a reader that took another one's place
 *   on the same number in the middle of a dispatch.
 * - An entry's *proof* says when its number was last known to be the file that
 *   was registered. Numbers are closed behind the reactor's back, and used
 *   again: see `#isGenuine`.
 *
 * @module
 */

import type { Side } from "../ffi/backlog.ts";
import { POLL } from "../ffi/constants.ts";
import { systemError } from "../ffi/errno.ts";
import { closeCount } from "../ffi/libc.ts";
import {
  INTERNAL,
  type ReadinessSet,
  type Registration,
} from "../ffi/readiness_set.ts";
import { checkFunction, complaint, show } from "./arguments.ts";
import { captureStack } from "./capture_stack.ts";
import { asError, ConnectionDone, ConnectionLost, isError } from "./errors.ts";
import { currentNumber, notOpen, numberOf } from "./fd.ts";
import { PendingError } from "./readiness.ts";
import { Rests, Suspicion } from "./spin.ts";
import { callGuarded, isThenable, reportRejection } from "./thenable.ts";
import type { CallbackKind, Tracing } from "./trace/tracing.ts";

/**
 * Something with a descriptor to read from.
 *
 * @example A reader that collects what comes, to its end
 * ```ts
 * import {
 *   ConnectionDone,
 *   FileDescriptor,
 *   reactor,
 *   type ReadDescriptor,
 * } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * class Collector implements ReadDescriptor {
 *   readonly label = "the collector";
 *   readonly collected = Promise.withResolvers<string>();
 *   readonly #source: FileDescriptor;
 *   readonly #bytes = new Uint8Array(4096);
 *   readonly #decoder = new TextDecoder();
 *   #text = "";
 *
 *   constructor(source: FileDescriptor) {
 *     this.#source = source;
 *   }
 *
 *   fileno() {
 *     return this.#source.fileno();
 *   }
 *
 *   doRead() {
 *     const length = this.#source.read(this.#bytes);
 *     if (length === null) return new ConnectionDone();
 *     const bytes = this.#bytes.subarray(0, length);
 *     this.#text += this.#decoder.decode(bytes, { stream: true });
 *     return undefined;
 *   }
 *
 *   connectionLost(reason: Error) {
 *     this.#source.close();
 *     if (reason instanceof ConnectionDone) this.collected.resolve(this.#text);
 *     else this.collected.reject(reason);
 *   }
 * }
 *
 * const [output, input] = FileDescriptor.pipe();
 * const collector = new Collector(output);
 * reactor.addReader(collector);
 * input.write(new TextEncoder().encode("All that there is"));
 * input.close();
 * assertEquals(await collector.collected.promise, "All that there is");
 * ```
 */
export interface ReadDescriptor {
  /**
   * The descriptor. Looked at when it is added, and at each event: -1 or a
   * throw then means that it is lost.
   */
  fileno(): number;
  /**
   * The descriptor can be read, or its end is reached, or the other side hung
   * up: a read will tell. Called again for as long as that is so.
   *
   * @returns An Error to end the descriptor with. `ConnectionDone` ends only
   * the reading half if there is a `readConnectionLost`. Anything else means
   * "go on"; a promise that rejects is reported. A throw ends it, too.
   */
  doRead(): unknown;
  /**
   * The reactor has dropped the descriptor, reading and writing. Called once.
   */
  connectionLost(reason: Error): void;
  /**
   * The other side has ended its half. Its presence says that half-closed is
   * understood.
   */
  readConnectionLost?(reason: Error): void;
  /** A name for messages and `inspect()`. */
  label?: string;
  /**
   * A promise: while the object is registered, nobody closes its descriptor
   * without removing the object first. The reactor then believes an event as it
   * comes. Without the promise it asks the kernel once a turn whether the number
   * still is the file that was registered, which is a system call.
   *
   * @default {false}
   */
  readonly owned?: boolean;
}

/**
 * Something with a descriptor to write to.
 *
 * @example A writer that sends what is queued, and then leaves
 * ```ts
 * import {
 *   FileDescriptor,
 *   reactor,
 *   type WriteDescriptor,
 * } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * class Sender implements WriteDescriptor {
 *   readonly #target: FileDescriptor;
 *   #queue: Uint8Array[] = [];
 *
 *   constructor(target: FileDescriptor) {
 *     this.#target = target;
 *   }
 *
 *   send(bytes: Uint8Array) {
 *     this.#queue.push(bytes);
 *     reactor.addWriter(this); // Again, which does nothing, or anew.
 *   }
 *
 *   fileno() {
 *     return this.#target.fileno();
 *   }
 *
 *   doWrite() {
 *     const bytes = this.#queue[0]!;
 *     const length = this.#target.write(bytes);
 *     if (length < bytes.length) this.#queue[0] = bytes.subarray(length);
 *     else this.#queue.shift();
 *     // Otherwise it would be called for ever: there nearly always is room.
 *     if (this.#queue.length === 0) reactor.removeWriter(this);
 *   }
 *
 *   connectionLost() {
 *     this.#queue = [];
 *   }
 * }
 *
 * const [output, input] = FileDescriptor.pipe();
 * const sender = new Sender(input);
 * sender.send(new Uint8Array([1, 2]));
 * sender.send(new Uint8Array([3]));
 *
 * const received = new Uint8Array(3);
 * for (let length = 0; length < 3;) {
 *   await reactor.readable(output);
 *   length += output.read(received.subarray(length)) ?? 0;
 * }
 * assertEquals(received, new Uint8Array([1, 2, 3]));
 * assertEquals(reactor.getWriters(), []);
 * output.close();
 * input.close();
 * ```
 */
export interface WriteDescriptor {
  /**
   * The descriptor. Looked at when it is added, and at each event: -1 or a
   * throw then means that it is lost.
   */
  fileno(): number;
  /**
   * The descriptor can be written to, or an error is pending there: a write
   * will tell. Called again for as long as that is so.
   *
   * @returns An Error to end the descriptor with. Anything else means "go on";
   * a promise that rejects is reported. A throw ends it, too.
   */
  doWrite(): unknown;
  /**
   * The reactor has dropped the descriptor, reading and writing. Called once.
   */
  connectionLost(reason: Error): void;
  /** A name for messages and `inspect()`. */
  label?: string;
  /**
   * A promise: while the object is registered, nobody closes its descriptor
   * without removing the object first. The reactor then believes an event as it
   * comes. Without the promise it asks the kernel once a turn whether the number
   * still is the file that was registered, which is a system call.
   *
   * @default {false}
   */
  readonly owned?: boolean;
}

/** A wait or a watch: what the promise side registers. */
export interface Observer {
  /** The bits of `POLL` it asks for; 0 while it wants to hear nothing. */
  mask: number;
  /** The round in which it was registered, or last asked for something. */
  round: number;
  /** Whether it keeps the process alive. */
  readonly refd: boolean;
  /** For `inspect()`. */
  readonly kind: "wait" | "watch";
  /** For `inspect()`. */
  readonly label: string | undefined;
  /** For `inspect()`. */
  readonly stack: string | undefined;
  /** The descriptor is ready. It may change its mask, or leave. */
  ready(events: number, pending: PendingError): void;
  /** It has been dropped from the descriptor. Called once. */
  lost(reason: Error): void;
}

/** All that watches one number. */
class Entry implements Registration {
  readonly fd: number;
  readonly serial: number;
  /** What the set is asked for. */
  mask: number;
  reader: ReadDescriptor | undefined;
  /** What it promised when it was added. */
  readerOwned = false;
  readerRound = 0;
  readerStack: string | undefined;
  writer: WriteDescriptor | undefined;
  writerOwned = false;
  writerRound = 0;
  writerStack: string | undefined;
  /**
   * Replaced, never changed: a dispatch goes on over the array that it holds.
   */
  observers: readonly Observer[] = [];
  proof = -1;
  /** Somebody has promised that the number is what was registered. */
  owned = false;
  /** The set is to follow at the end of the round. */
  dirty = false;
  /** Nobody uses it: the kernel is not asked for a moment. */
  resting = false;
  readonly suspicion: Suspicion = new Suspicion();

  constructor(fd: number, serial: number, mask: number) {
    this.fd = fd;
    this.serial = serial;
    this.mask = mask;
  }

  /** What the set is to be asked for. */
  get wanted(): number {
    return this.resting ? 0 : this.interest;
  }

  /** What somebody wants to hear of. */
  get interest(): number {
    let mask = 0;
    if (this.reader !== undefined) mask |= POLL.IN;
    if (this.writer !== undefined) mask |= POLL.OUT;
    for (const observer of this.observers) mask |= observer.mask;
    return mask;
  }

  get isEmpty(): boolean {
    return this.reader === undefined && this.writer === undefined &&
      this.observers.length === 0;
  }
}

/** What the descriptors need of their reactor. */
export interface DescriptorsOptions {
  /** The set, made at the first use. Throws if there can be none. */
  set: () => ReadinessSet;
  /** Throws if nothing can be watched any more. */
  requireOpen: (action: string) => void;
  /** The set was changed. */
  changed: () => void;
  /** What keeps the process alive has changed. */
  refsChanged: () => void;
  /** The parked worker has to let go of what is registered no longer. */
  letGo: () => void;
  /** Runs `f` in a later round. */
  defer: (f: () => void) => void;
  /** Gets what a callback throws. Does not throw. */
  report: (error: unknown, where: string) => void;
  /** Whether to remember where registrations are made. */
  captureStacks: boolean;
  /** A descriptor is ready all the time, and nobody uses it, or so it seems. */
  spins: (descriptor: DescriptorReport, isCertain: boolean) => void;
  /** Whether it may be asked for less often, then. */
  canRest: boolean;
  /** {@linkcode Descriptors.restEnd} has come nearer. */
  restEnds: () => void;
  /** Who is told of each callback. */
  tracing: Tracing;
}

/**
 * One line of `inspect()`.
 *
 * @example What a reactor waits for
 * ```ts
 * import { FileDescriptor, Reactor } from "@interleave/reactor";
 * import { assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor();
 * const [output, input] = FileDescriptor.pipe();
 * using _watch = reactor.watch(output, ["readable", "priority"]);
 *
 * const { fd, interest, watchers } = reactor.inspect().descriptors[0]!;
 * assertEquals(fd, output.fileno());
 * assertEquals(interest, ["readable", "priority"]);
 * assertEquals(watchers.length, 1);
 * output.close();
 * input.close();
 * ```
 */
export interface DescriptorReport {
  /** The number. */
  readonly fd: number;
  /** What the kernel is asked for. */
  readonly interest: readonly ("readable" | "writable" | "priority")[];
  /** Who asks. */
  readonly watchers: readonly WatcherReport[];
  /**
   * Whether the kernel is not asked for a moment, because the descriptor was
   * ready all the time and nobody used it.
   */
  readonly resting: boolean;
}

/**
 * Who watches a descriptor.
 *
 * @example Who does not let the program end
 * ```ts
 * import { FileDescriptor, Reactor } from "@interleave/reactor";
 * import { assert, assertEquals } from "@std/assert";
 *
 * await using reactor = new Reactor({ captureStacks: true });
 * const [output, input] = FileDescriptor.pipe();
 * function openLog() {
 *   return reactor.watch(output, "readable", { label: "the log" });
 * }
 * using _watch = openLog();
 *
 * for (const { watchers } of reactor.inspect().descriptors) {
 *   for (const { kind, label, stack } of watchers) {
 *     assertEquals(`${kind} of ${label}`, "watch of the log");
 *     assert(stack !== undefined); // Lines of text, openLog() among them.
 *   }
 * }
 * output.close();
 * input.close();
 * ```
 */
export interface WatcherReport {
  /** What was registered. */
  readonly kind: "reader" | "writer" | "wait" | "watch";
  /** Its label, if it has one. */
  readonly label: string | undefined;
  /** Where it was registered, with `captureStacks`; undefined without. */
  readonly stack: string | undefined;
  /** Whether it keeps the process alive, unless the reactor does not. */
  readonly persistent: boolean;
}

/**
 * What concerns a reader: reading tells whether there is data, an end or an
 * error.
 */
const READABLE = POLL.IN | POLL.HUP | POLL.ERR;
/**
 * What concerns a writer. If the other side has hung up, the write says so
 * (EPIPE).
 */
const WRITABLE = POLL.OUT | POLL.HUP | POLL.ERR;

/** How many serials to remember: those of one dispatch, and some more. */
const MOST_ORPHANS = 4096;

/** Those with registrations: what a descriptor leaves before it is closed. */
const inUse = new Set<Descriptors>();

/** An object's label, if it is one and can be read. */
function labelOf(object: { label?: string }): string | undefined {
  try {
    const { label } = object;
    return typeof label === "string" ? label : undefined;
  } catch {
    return undefined;
  }
}

/** What `inspect()` says of an entry. */
function reportOn(entry: Entry): DescriptorReport {
  const { fd, interest: mask, reader, writer, resting } = entry;
  const interest: ("readable" | "writable" | "priority")[] = [];
  if ((mask & POLL.IN) !== 0) interest.push("readable");
  if ((mask & POLL.OUT) !== 0) interest.push("writable");
  if ((mask & POLL.PRI) !== 0) interest.push("priority");
  const watchers: WatcherReport[] = entry.observers.map((
    { kind, label, stack, refd },
  ) => ({ kind, label, stack, persistent: refd }));
  if (writer !== undefined) {
    watchers.unshift({
      kind: "writer",
      label: labelOf(writer),
      stack: entry.writerStack,
      persistent: true,
    });
  }
  if (reader !== undefined) {
    watchers.unshift({
      kind: "reader",
      label: labelOf(reader),
      stack: entry.readerStack,
      persistent: true,
    });
  }
  return { fd, interest, watchers, resting };
}

/** A descriptor and who watches it, for a message. */
export function inWords({ fd, watchers }: DescriptorReport): string {
  const owners = watchers.map(({ kind, label, stack }) =>
    [
      kind,
      label === undefined ? "without a label" : show(label),
      stack === undefined ? "" : `registered\n${stack}`,
    ].join(" ").trimEnd()
  );
  const all = owners.length === 0 ? "nobody watches it now" : owners.join(", ");
  return `descriptor ${fd} (${all})`;
}

/** What the callbacks for these events do first. */
function sideOf(entry: Entry, events: number): Side {
  const reads = entry.reader !== undefined ||
    entry.observers.some(({ mask }) => (mask & POLL.IN) !== 0);
  return reads && (events & READABLE) !== 0 ? "read" : "write";
}

/**
 * Removes every registration of a number from every reactor, for its owner to
 * close it then. Readers and writers get `connectionLost(ConnectionLost)`,
 * waits and watches `Deno.errors.BadResource`. Afterwards no worker holds a
 * reference to it, so closing it takes effect at once.
 */
export function leaveReactors(fd: number): void {
  for (const descriptors of [...inUse]) descriptors.leave(fd);
}

/** The descriptors of one reactor. */
export class Descriptors {
  readonly #options: DescriptorsOptions;
  readonly #tracing: Tracing;
  readonly #entries: (Entry | undefined)[] = [];
  /** Tells those who lost their descriptor, in a round that is to come. */
  readonly #untold = new Set<() => void>();
  /** A turn is on: what changes is told to the set at the end of the round. */
  #deferring = false;
  /** Those whose interest may have changed in this round. */
  readonly #dirty: Entry[] = [];
  /** The number of entries. */
  #size = 0;
  readonly #readers = new Map<ReadDescriptor, Entry>();
  readonly #writers = new Map<WriteDescriptor, Entry>();
  #observerRefs = 0;
  readonly #rests = new Rests<Entry>();
  /** The entry that was dispatched last. */
  #latest: Entry | undefined;
  #serial = 0;
  #round = 0;
  #turn = 0;
  /** Serials whose events have reached nobody, once. */
  readonly #orphans = new Set<number>();
  /**
   * The object whose callback is on the stack, until it is told that it is
   * lost.
   */
  #current: ReadDescriptor | WriteDescriptor | undefined;

  /** Makes an empty collection. */
  constructor(options: DescriptorsOptions) {
    this.#options = options;
    this.#tracing = options.tracing;
  }

  /** How many descriptors somebody watches. */
  get size(): number {
    return this.#size;
  }

  /** How many readers, writers, waits and watches keep the process alive. */
  get refs(): number {
    return this.#readers.size + this.#writers.size + this.#observerRefs;
  }

  /** See `Reactor.addReader`. */
  addReader(reader: ReadDescriptor): void {
    const action = "add a reader";
    checkDescriptor(reader, action, "reader", "doRead");
    const fd = numberOf(reader, action, "reader");
    const entry = this.#entryOf(fd, reader);
    if (entry?.reader === reader) return;
    if (entry?.reader !== undefined) {
      throw new RangeError(
        `Cannot ${action}: descriptor ${fd} already has another reader`,
      );
    }
    const owned = reader.owned === true;
    const stack = this.#stack();
    this.removeReader(reader); // It may have had another number before.
    this.#register(fd, action, POLL.IN, (entry) => {
      entry.reader = reader;
      entry.readerOwned = owned;
      entry.owned ||= owned;
      entry.readerRound = this.#round;
      entry.readerStack = stack;
      this.#readers.set(reader, entry);
    });
  }

  /** See `Reactor.addWriter`. */
  addWriter(writer: WriteDescriptor): void {
    const action = "add a writer";
    checkDescriptor(writer, action, "writer", "doWrite");
    const fd = numberOf(writer, action, "writer");
    const entry = this.#entryOf(fd, writer);
    if (entry?.writer === writer) return;
    if (entry?.writer !== undefined) {
      throw new RangeError(
        `Cannot ${action}: descriptor ${fd} already has another writer`,
      );
    }
    const owned = writer.owned === true;
    const stack = this.#stack();
    this.removeWriter(writer); // It may have had another number before.
    this.#register(fd, action, POLL.OUT, (entry) => {
      entry.writer = writer;
      entry.writerOwned = owned;
      entry.owned ||= owned;
      entry.writerRound = this.#round;
      entry.writerStack = stack;
      this.#writers.set(writer, entry);
    });
  }

  /** See `Reactor.removeReader`. */
  removeReader(reader: ReadDescriptor): void {
    const entry = this.#readers.get(reader);
    if (entry === undefined) return;
    this.#readers.delete(reader);
    entry.reader = undefined;
    this.#update(entry);
  }

  /** See `Reactor.removeWriter`. */
  removeWriter(writer: WriteDescriptor): void {
    const entry = this.#writers.get(writer);
    if (entry === undefined) return;
    this.#writers.delete(writer);
    entry.writer = undefined;
    this.#update(entry);
  }

  /** The readers, in a fresh array. */
  readers(): ReadDescriptor[] {
    return [...this.#readers.keys()];
  }

  /** The writers, in a fresh array. */
  writers(): WriteDescriptor[] {
    return [...this.#writers.keys()];
  }

  /** Removes all readers and writers, and returns each once. */
  removeAll(): (ReadDescriptor | WriteDescriptor)[] {
    const all = new Set<ReadDescriptor | WriteDescriptor>([
      ...this.#readers.keys(),
      ...this.#writers.keys(),
    ]);
    this.#drop(...all);
    return [...all];
  }

  /** Registers a wait or a watch. */
  observe(fd: number, action: string, observer: Observer): void {
    this.#entryOf(fd);
    this.#register(fd, action, observer.mask, (entry) => {
      entry.observers = [...entry.observers, observer];
      observer.round = this.#round;
      if (observer.refd) this.#observerRefs++;
    });
  }

  /** A wait or a watch asks for something else: 0 for nothing at present. */
  remask(fd: number, observer: Observer, mask: number): void {
    observer.mask = mask;
    observer.round = this.#round;
    const entry = this.#entries[fd];
    if (!entry?.observers.includes(observer)) return;
    // Whoever asks again has done what there was to do.
    if (mask !== 0) this.#judge(entry);
    this.#update(entry);
  }

  /** Takes a wait or a watch away, and tells it nothing. */
  unobserve(fd: number, observer: Observer): void {
    const entry = this.#entries[fd];
    if (!entry?.observers.includes(observer)) return;
    this.#removeObserver(entry, observer);
    this.#update(entry);
  }

  /** A registered observer has changed its `refd`. */
  observerRefChanged(observer: Observer): void {
    this.#observerRefs += observer.refd ? 1 : -1;
    this.#options.refsChanged();
  }

  /** Ends every wait and every watch. */
  endObservers(reason: () => Error): void {
    for (const entry of this.#all()) {
      for (const observer of entry.observers) {
        this.#removeObserver(entry, observer);
        observer.lost(reason());
      }
      this.#update(entry);
    }
  }

  /** Ends every reader and every writer. */
  endObjects(reason: () => Error): void {
    // There may be no later round for them.
    for (const tell of [...this.#untold]) tell();
    for (const object of this.removeAll()) this.#tell(object, reason());
  }

  /** See {@linkcode leaveReactors}. */
  leave(fd: number): void {
    const entry = this.#entries[fd];
    if (entry === undefined) return;
    const { objects, observers } = this.#discard(entry);
    this.#options.letGo();
    for (const observer of observers) {
      observer.lost(notOpen(`Cannot wait for descriptor ${fd}: it was closed`));
    }
    for (const object of objects) {
      this.#tell(object, new ConnectionLost(`Descriptor ${fd} was closed`));
    }
  }

  /** A turn begins. */
  beginTurn(): void {
    this.#turn++;
    this.#deferring = true;
  }

  /** A turn ends: from here on the set follows every change at once. */
  endTurn(): void {
    this.#deferring = false;
    this.#latest = undefined;
    this.settle();
  }

  /**
   * Makes the set follow what has changed in this round. What was undone in the
   * same round costs no system call.
   */
  settle(): void {
    const dirty = this.#dirty;
    if (dirty.length === 0) return; // As nearly always.
    for (const entry of dirty) {
      entry.dirty = false;
      if (this.#entries[entry.fd] === entry) this.#follow(entry);
    }
    dirty.length = 0;
  }

  /**
   * Delivers what a drain found.
   *
   * @param ready The number of entries in the set's results.
   * @param goOn Asked before each callback; false ends the dispatch.
   * @returns How many events reached somebody.
   */
  dispatch(ready: number, goOn: () => boolean): number {
    const round = ++this.#round;
    const set = this.#options.set();
    const { results, stride, offset } = set;
    let delivered = 0;
    // A nested round, in a modal loop, has used the results for its own: what
    // is left of these the set will tell again.
    for (let i = 0; i < ready && round === this.#round && goOn(); i++) {
      const at = i * stride;
      const serial = results[at + offset + 1]!;
      if (serial === INTERNAL) continue;
      const entry = this.#entries[results[at + offset]!];
      if (entry === undefined || entry.serial !== serial) {
        this.#orphaned(set, serial);
        continue;
      }
      // A hang-up of one whose watchers all rest. To look at it would make the
      // kernel tell of it again. Or they have left in this round.
      if (entry.mask === 0 || entry.isEmpty) continue;
      delivered++;
      this.#latest = entry;
      const events = results[at]!;
      if ((events & POLL.NVAL) !== 0) this.#wentAway(entry);
      else if (!entry.suspicion.isDue(round)) {
        this.#deliver(set, entry, events, round, goOn);
      } else {
        entry.suspicion.before(entry.fd, sideOf(entry, events));
        this.#deliver(set, entry, events, round, goOn);
        // A consumer of a watch comes later: see `remask`.
        if (entry.observers.length === 0) this.#judge(entry);
      }
    }
    return delivered;
  }

  /** Whether a callback has used its descriptor, after a look at it. */
  #judge(entry: Entry): void {
    if (this.#entries[entry.fd] !== entry) return;
    const { suspicion } = entry;
    const verdict = suspicion.after(entry.fd);
    if (verdict === "spins") {
      this.#options.spins(reportOn(entry), suspicion.isCertain);
    }
    if (verdict === undefined || !suspicion.canRest) return;
    if (!this.#options.canRest || entry.resting) return;
    entry.resting = true;
    this.#rests.add(entry);
    this.#followLater(entry);
    this.#options.restEnds();
  }

  /**
   * When somebody has rested enough, as `performance.now()` has it; Infinity if
   * nobody rests.
   */
  get restEnd(): number {
    return this.#rests.end;
  }

  /** Asks the kernel again for those that have rested enough. */
  endRests(): void {
    for (const entry of this.#rests.takeRested()) {
      entry.resting = false;
      if (this.#entries[entry.fd] === entry) this.#update(entry);
    }
  }

  /** Whose callback ran last in this turn. */
  get latest(): DescriptorReport | undefined {
    return this.#latest && reportOn(this.#latest);
  }

  /** For `inspect()`. */
  report(): DescriptorReport[] {
    // What everybody has left in this round is about to go.
    return this.#all().filter((entry) => !entry.isEmpty).map(reportOn);
  }

  #all(): Entry[] {
    return this.#entries.filter((entry) => entry !== undefined);
  }

  #stack(): string | undefined {
    return this.#options.captureStacks ? captureStack() : undefined;
  }

  /**
   * The entry of a number, if the number still is what was registered. If it is
   * not, those who watched it are told now that somebody asks: an epoll set
   * says nothing when its member is closed.
   */
  #entryOf(
    fd: number,
    asker?: ReadDescriptor | WriteDescriptor,
  ): Entry | undefined {
    const entry = this.#entries[fd];
    if (entry === undefined) return undefined;
    // A promise binds the one who gave it, not the kernel: to somebody else the
    // number may be another file.
    const isOwner = asker !== undefined &&
      (asker === entry.reader || asker === entry.writer);
    const set = this.#options.set();
    const isGenuine = entry.owned && !isOwner
      ? set.holds(fd, entry.serial, entry.mask)
      : this.#isGenuine(set, entry);
    if (isGenuine) return entry;
    this.#wentAway(entry, asker);
    return undefined;
  }

  /**
   * Adds to the entry of a number, or makes one. The kernel is asked first: if
   * it refuses, nothing has changed.
   */
  #register(
    fd: number,
    action: string,
    mask: number,
    attach: (entry: Entry) => void,
  ): void {
    this.#options.requireOpen(action); // Its "fileno()" may have ended it.
    const set = this.#options.set();
    let entry = this.#entries[fd];
    if (entry === undefined) {
      entry = new Entry(fd, this.#nextSerial(), mask);
      const errno = set.add(fd, entry.serial, mask);
      if (errno !== 0) throw refusal(action, fd, errno);
      this.#entries[fd] = entry;
      if (this.#size++ === 0) inUse.add(this);
    } else if (this.#deferring) {
      this.#followLater(entry);
    } else if ((entry.mask | mask) !== entry.mask) {
      const errno = set.change(fd, entry.serial, entry.mask | mask);
      if (errno !== 0) throw refusal(action, fd, errno);
      entry.mask |= mask;
    }
    attach(entry);
    this.#options.refsChanged();
    this.#options.changed();
  }

  /**
   * Serials fit the 32 bits that an event has for them, and begin again after
   * 2^31 registrations.
   */
  #nextSerial(): number {
    this.#serial = this.#serial === 0x7fffffff ? 1 : this.#serial + 1;
    return this.#serial;
  }

  /** Somebody has left the entry, or asks for something else. */
  #update(entry: Entry): void {
    const { reader, writer } = entry;
    const owned = reader !== undefined && entry.readerOwned ||
      writer !== undefined && entry.writerOwned;
    // Up to now its owner has vouched for it.
    if (entry.owned && !owned) entry.proof = this.#stamp();
    entry.owned = owned;
    if (this.#deferring) this.#followLater(entry);
    else this.#follow(entry);
    this.#options.refsChanged();
    this.#options.changed();
  }

  #followLater(entry: Entry): void {
    if (entry.dirty) return;
    entry.dirty = true;
    this.#dirty.push(entry);
  }

  /** Makes the set follow what the entry wants. */
  #follow(entry: Entry): void {
    const set = this.#options.set();
    const { wanted } = entry;
    if (entry.isEmpty) {
      this.#forget(entry);
      set.remove(entry.fd, entry.serial);
    } else if (wanted !== entry.mask) {
      entry.mask = wanted;
      if (set.change(entry.fd, entry.serial, wanted) !== 0) {
        this.#wentAway(entry);
      }
    }
  }

  #forget(entry: Entry): void {
    if (this.#entries[entry.fd] !== entry) return;
    this.#entries[entry.fd] = undefined;
    if (--this.#size === 0) inUse.delete(this);
  }

  /** Takes everybody off an entry, and the entry out of the set. */
  #discard(
    entry: Entry,
  ): {
    objects: Set<ReadDescriptor | WriteDescriptor>;
    observers: readonly Observer[];
  } {
    const { reader, writer, observers } = entry;
    const objects = new Set<ReadDescriptor | WriteDescriptor>();
    if (reader !== undefined) {
      objects.add(reader);
      this.#readers.delete(reader);
    }
    if (writer !== undefined) {
      objects.add(writer);
      this.#writers.delete(writer);
    }
    entry.reader = entry.writer = undefined;
    for (const observer of observers) this.#removeObserver(entry, observer);
    this.#forget(entry);
    this.#options.set().remove(entry.fd, entry.serial);
    for (const object of objects) this.#drop(object);
    this.#options.refsChanged();
    this.#options.changed();
    return { objects, observers };
  }

  #removeObserver(entry: Entry, observer: Observer): void {
    entry.observers = entry.observers.filter((other) => other !== observer);
    observer.mask = 0;
    if (observer.refd) this.#observerRefs--;
  }

  /**
   * Takes objects off whatever they read and write: all of them first, so that
   * none is told of another's descriptor being gone.
   */
  #drop(...objects: (ReadDescriptor | WriteDescriptor)[]): void {
    const left = new Set<Entry>();
    for (const object of objects) {
      const reading = this.#readers.get(object as ReadDescriptor);
      if (reading !== undefined) {
        this.#readers.delete(object as ReadDescriptor);
        reading.reader = undefined;
        left.add(reading);
      }
      const writing = this.#writers.get(object as WriteDescriptor);
      if (writing !== undefined) {
        this.#writers.delete(object as WriteDescriptor);
        writing.writer = undefined;
        left.add(writing);
      }
    }
    for (const entry of left) this.#update(entry);
  }

  /**
   * Whether a number still is the file that was registered.
   *
   * With epoll one look a turn is enough, and one more whenever a number was
   * given back since: the kernel removes a closed file from its sets, unless a
   * duplicate keeps it open. poll() knows nothing but numbers, so there it
   * takes a look at each event. An owner's promise takes none.
   */
  #isGenuine(set: ReadinessSet, entry: Entry): boolean {
    if (entry.owned) return true;
    const stamp = set.borrows ? NaN : this.#stamp();
    if (entry.proof === stamp) return true;
    if (!set.holds(entry.fd, entry.serial, entry.mask)) return false;
    entry.proof = stamp;
    return true;
  }

  /** What a proof is good for. */
  #stamp(): number {
    return this.#turn + closeCount();
  }

  /**
   * A descriptor was closed behind the reactor's back. Inside a call of
   * somebody else's, readers and writers learn it in a later round.
   *
   * @param asker Whose call it is: an object that comes with a new descriptor
   * under the old number has nothing to be told.
   */
  #wentAway(entry: Entry, asker?: unknown): void {
    const { fd } = entry;
    const { objects, observers } = this.#discard(entry);
    const reason = () =>
      notOpen(
        `Cannot wait for descriptor ${fd}: it was closed, or used again for another file`,
      );
    for (const observer of observers) observer.lost(reason());
    for (const object of objects) {
      if (object === asker) continue;
      // What its callback returns or throws now would tell it a second time.
      if (this.#current === object) this.#current = undefined;
      const tell = () => {
        if (this.#untold.delete(tell)) this.#tell(object, reason());
      };
      this.#untold.add(tell);
      this.#options.defer(tell);
    }
  }

  /**
   * An event for a registration that is gone. Once that is nothing: it was
   * removed after the drain. If it comes again, a duplicate of a closed
   * descriptor keeps it alive in the kernel's set, where no number leads to it
   * any more: only a new set gets rid of it.
   */
  #orphaned(set: ReadinessSet, serial: number): void {
    if (!this.#orphans.has(serial)) {
      if (this.#orphans.size === MOST_ORPHANS) this.#orphans.clear();
      this.#orphans.add(serial);
      return;
    }
    this.#orphans.clear();
    // A new set takes every number for what it was registered as.
    for (const entry of this.#all()) {
      if (!set.holds(entry.fd, entry.serial, entry.mask)) this.#wentAway(entry);
    }
    for (const { fd, serial } of set.rebuild(this.#all())) {
      const entry = this.#entries[fd];
      if (entry?.serial === serial) this.#wentAway(entry);
    }
  }

  /** Hands an event to all it concerns, unless one of them ends that. */
  #deliver(
    set: ReadinessSet,
    entry: Entry,
    events: number,
    round: number,
    goOn: () => boolean,
  ): void {
    if (!this.#isStillThere(set, entry)) return;
    const { reader } = entry;
    if (
      (events & READABLE) !== 0 && reader !== undefined &&
      entry.readerRound < round
    ) {
      this.#call(reader, entry, "doRead");
      if (
        !goOn() || round !== this.#round || !this.#isStillThere(set, entry)
      ) return;
    }
    const { writer } = entry;
    if (
      (events & WRITABLE) !== 0 && writer !== undefined &&
      entry.writerRound < round
    ) {
      this.#call(writer, entry, "doWrite");
      if (
        !goOn() || round !== this.#round || !this.#isStillThere(set, entry)
      ) return;
    }
    if (entry.observers.length === 0) return;
    const pending = new PendingError(entry.fd, events);
    for (const observer of entry.observers) {
      const concerned = observer.mask | POLL.HUP | POLL.ERR;
      if (
        observer.mask !== 0 && (events & concerned) !== 0 &&
        observer.round < round
      ) {
        if (this.#tracing.hook === undefined) {
          observer.ready(events & concerned, pending);
        } else this.#traceReady(entry, observer, events & concerned, pending);
      }
    }
  }

  #traceReady(
    entry: Entry,
    observer: Observer,
    events: number,
    pending: PendingError,
  ): void {
    const { kind } = observer;
    this.#trace(kind, entry, observer, () => observer.ready(events, pending));
  }

  #trace<T>(
    kind: CallbackKind,
    entry: Entry | undefined,
    labelled: { label?: string },
    f: () => T,
  ): T {
    return this.#tracing.hook === undefined
      ? f()
      : this.#tracing.run(kind, entry?.fd, labelOf(labelled), f);
  }

  /**
   * Whether an entry is registered, and genuine. If it is only registered, its
   * watchers are told.
   */
  #isStillThere(set: ReadinessSet, entry: Entry): boolean {
    if (this.#entries[entry.fd] !== entry) return false;
    if (this.#isGenuine(set, entry)) return true;
    this.#wentAway(entry);
    return false;
  }

  #call(
    object: ReadDescriptor | WriteDescriptor,
    entry: Entry,
    method: "doRead" | "doWrite",
  ): void {
    this.#current = object;
    try {
      const number = currentNumber(object);
      const outcome = number !== entry.fd
        ? notOpen(
          `Cannot wait for descriptor ${entry.fd}: its "fileno()" now says ${number}`,
        )
        : this.#tracing.hook !== undefined
        ? this.#traceCall(object, entry, method)
        : method === "doRead"
        ? (object as ReadDescriptor).doRead()
        : (object as WriteDescriptor).doWrite();
      if (outcome === undefined) return; // As nearly always.
      if (isError(outcome)) this.#conclude(object, outcome, method);
      else if (isThenable(outcome)) {
        reportRejection(
          outcome,
          (error) => this.#reportOf(entry, method, error),
        );
      }
    } catch (error) {
      this.#reportOf(entry, method, error);
      this.#conclude(object, asError(error), method);
    } finally {
      this.#current = undefined;
    }
  }

  /** The same as in `#call`, which is spared the closure. */
  #traceCall(
    object: ReadDescriptor | WriteDescriptor,
    entry: Entry,
    method: "doRead" | "doWrite",
  ): unknown {
    return method === "doRead"
      ? this.#trace(
        "reader",
        entry,
        object,
        () => (object as ReadDescriptor).doRead(),
      )
      : this.#trace(
        "writer",
        entry,
        object,
        () => (object as WriteDescriptor).doWrite(),
      );
  }

  #reportOf(entry: Entry, method: string, error: unknown): void {
    this.#options.report(error, `${method} of descriptor ${entry.fd}`);
  }

  /** A callback has ended its descriptor, or half of it. */
  #conclude(
    object: ReadDescriptor | WriteDescriptor,
    reason: Error,
    method: "doRead" | "doWrite",
  ): void {
    // It has led to that by itself, by closing the descriptor for one.
    if (this.#current !== object) return;
    if (method === "doRead" && reason instanceof ConnectionDone) {
      let understood = false;
      const went = callGuarded(
        () => {
          const { readConnectionLost } = object as ReadDescriptor;
          understood = typeof readConnectionLost === "function";
          if (!understood) return;
          this.removeReader(object as ReadDescriptor);
          return this.#trace(
            "readConnectionLost",
            undefined,
            object,
            () => readConnectionLost!.call(object, reason),
          );
        },
        (error) => {
          reason = asError(error);
          this.#options.report(error, "readConnectionLost");
        },
      );
      if (went && understood) return;
    }
    this.#drop(object);
    this.#tell(object, reason);
  }

  /** Tells an object that it is registered no longer. */
  #tell(object: ReadDescriptor | WriteDescriptor, reason: Error): void {
    if (this.#current === object) this.#current = undefined;
    callGuarded(
      () =>
        this.#trace(
          "connectionLost",
          undefined,
          object,
          () => object.connectionLost(reason),
        ),
      (error) => this.#options.report(error, "connectionLost"),
    );
  }
}

function checkDescriptor(
  value: unknown,
  action: string,
  name: string,
  method: "doRead" | "doWrite",
): void {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(complaint(value, action, name, "an object"));
  }
  for (const key of ["fileno", method, "connectionLost"]) {
    const found = (value as Record<string, unknown>)[key];
    checkFunction(found, action, `${name}.${key}`);
  }
}

function refusal(action: string, fd: number, errno: number): Error {
  return systemError(`Cannot ${action}: descriptor ${fd}`, errno);
}
