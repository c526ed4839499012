/**
 * The kernel: files that are readable or not, `poll()`, and epoll sets.
 *
 * What is modelled is what poll(2), epoll(7), eventfd(2) and
 * timerfd_create(2) promise.
 *
 * @module
 */

import { LINUX_ONLY, POLL } from "../../ffi/constants.ts";
import { simulation } from "./simulation.ts";
import {
  currentThread,
  type Outcome,
  type Step,
  step,
  type Steps,
  Violation,
} from "./thread.ts";

const { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLET } = LINUX_ONLY;

/** The set's own wake-up, timer and epoll set, and the program's first file. */
export const FD = { WAKE: 3, TIMER: 4, SET: 5, FIRST: 10 } as const;

/** A member of the epoll set. */
interface Member {
  readonly events: number;
  readonly data: readonly number[];
  /** Edge-triggered: whether there is an event that has not been fetched. */
  edge: boolean;
}

/** A `poll()` of the worker's that is under way. */
interface Polling {
  readonly who: string;
  readonly table: Int32Array;
  readonly entries: readonly number[];
}

/** See the module's documentation. */
export class Kernel {
  readonly readable: Set<number> = new Set();
  readonly members: Map<number, Member> = new Map();
  polling: Polling[] = [];
  /** Whether the timerfd is set. */
  timerSet = false;

  /** Makes a file readable, which is an event even if it was before. */
  fill(fd: number): void {
    this.readable.add(fd);
    const member = this.members.get(fd);
    if (member !== undefined) member.edge = true;
  }

  /** The timerfd has come to its time. */
  expire(): void {
    this.timerSet = false;
    this.fill(FD.TIMER);
  }

  /** What `poll()` of some entries finds: how many, and their new events. */
  look(entries: readonly number[]): number[] {
    return entries.map((word, i) => {
      if (i % 2 === 0) return word;
      const fd = entries[i - 1]!;
      const events = word & 0xffff;
      const ready = fd >= 0 && this.#isReadable(fd) ? events & POLL.IN : 0;
      return events | ready << 16;
    });
  }

  /** A thread is inside `poll()` no longer. */
  leave(who: string): void {
    this.polling = this.polling.filter((polling) => polling.who !== who);
  }

  /** The members of the epoll set that are ready. */
  *ready(): Iterable<Member> {
    for (const [fd, member] of this.members) {
      const isReady = (member.events & EPOLLET) !== 0
        ? member.edge
        : (member.events & POLL.IN) !== 0 && this.readable.has(fd);
      if (isReady) yield member;
    }
  }

  #isReadable(fd: number): boolean {
    if (fd !== FD.SET) return this.readable.has(fd);
    return !this.ready()[Symbol.iterator]().next().done;
  }
}

/** The first entries of a table, which must have as many. */
function entriesOf(table: Int32Array, count: number): number[] {
  if (2 * count > table.length) {
    throw new Violation(
      `poll() of ${count} entries in a table of ${table.length / 2}`,
    );
  }
  return [...table.subarray(0, 2 * count)];
}

function countReady(entries: readonly number[]): number {
  return entries.filter((word, i) => i % 2 === 1 && word >>> 16 !== 0).length;
}

/** The worker's `poll()`. */
export function* pollInWorker(
  table: Int32Array,
  count: number,
  timeout: number,
): Steps {
  const { kernel, budget, options } = simulation();
  const who = currentThread().name;
  const enter: Step = {
    name: `enter poll() of ${count} for ${timeout} ms`,
    outcomes: () => [
      {
        what: `enter poll()`,
        run: () => {
          const polling = { who, table, entries: entriesOf(table, count) };
          kernel.polling.push(polling);
          return polling;
        },
      },
      ...fault("poll() throws"),
    ],
  };
  const polling = (yield enter) as Polling;
  const leave = (entries: readonly number[]) => {
    kernel.leave(who);
    // A worker that was given up may be in it when another one is at work.
    const isAlone = budget.patience === options.patience;
    if (isAlone && polling.entries.some((word, i) => word !== table[i])) {
      throw new Violation("The table was changed while it was polled");
    }
    table.set(entries);
    return countReady(entries);
  };
  const wait: Step = {
    name: `in poll() for ${timeout} ms`,
    looks: true,
    rests: true,
    outcomes: () => {
      const entries = kernel.look(polling.entries);
      if (countReady(entries) > 0) {
        return [{ what: "poll() returns", run: () => leave(entries) }];
      }
      const interrupted: Outcome = {
        what: "poll() is interrupted",
        optional: true,
        run: () => {
          budget.interruptions--;
          leave(polling.entries);
          return -1;
        },
      };
      return [
        ...(isOver(timeout)
          ? [{ what: "poll() times out", run: () => leave(entries) }]
          : []),
        ...(budget.interruptions > 0 ? [interrupted] : []),
      ];
    },
  };
  return yield wait;
}

/** Whether a wait of the worker's ends that nothing else has ended. */
function isOver(timeout: number): boolean {
  // One that is longer ends when what it was computed from has come to pass.
  return timeout === 0 || (timeout > 0 && simulation().calls.timer === "due");
}

/** An error that comes from nowhere, as often as there may be one. */
export function fault(what: string): Outcome[] {
  const { budget } = simulation();
  if (budget.faults === 0) return [];
  return [{
    what,
    optional: true,
    run: () => {
      budget.faults--;
      throw new Error(what);
    },
  }];
}

/** A system call of the main thread's that does not block. */
function call(name: string, run: () => unknown): Step {
  return step(name, run);
}

/** The functions of the C library that the sets call, on the main thread. */
export const simulatedLibc = {
  *poll(table: Int32Array, count: number, timeout: number): Steps {
    const { kernel } = simulation();
    const wait: Step = {
      name: `poll() of the own table for ${timeout} ms`,
      looks: true,
      outcomes: () => {
        const entries = kernel.look(entriesOf(table, count));
        const ready = countReady(entries);
        const run = () => {
          table.set(entries);
          return ready;
        };
        // The main thread waits for as long as it was told to.
        const isOver = ready > 0 || timeout >= 0;
        return isOver ? [{ what: "drain the set", run }] : [];
      },
    };
    return yield wait;
  },

  *read(fd: number): Steps {
    return yield call(
      "read the wake-up",
      () => simulation().kernel.readable.delete(fd) ? 8 : -1,
    );
  },

  *write(fd: number): Steps {
    const { kernel } = simulation();
    return yield call("write a wake-up", () => {
      const isPending = kernel.members.get(fd)?.edge ??
        kernel.readable.has(fd);
      if (isPending) throw new Violation("A second wake-up is pending");
      kernel.fill(fd);
      return 8;
    });
  },

  epoll_create1: (): number => FD.SET,
  eventfd: (): number => FD.WAKE,
  timerfd_create: (): number => FD.TIMER,

  *epoll_ctl(
    _set: number,
    operation: number,
    fd: number,
    [events, ...data]: Int32Array,
  ): Steps {
    return yield call(`epoll_ctl() for ${fd}`, () => {
      const { members, readable } = simulation().kernel;
      if (operation === EPOLL_CTL_DEL) return members.delete(fd) ? 0 : -1;
      if ((operation === EPOLL_CTL_ADD) === members.has(fd)) return -1;
      members.set(fd, { events: events!, data, edge: readable.has(fd) });
      return 0;
    });
  },

  *epoll_wait(
    _set: number,
    results: Int32Array,
    _most: number,
    timeout: number,
  ): Steps {
    const { kernel } = simulation();
    const run = () => {
      let at = 0;
      for (const member of kernel.ready()) {
        results.set([POLL.IN, ...member.data], at);
        at += 1 + member.data.length;
        member.edge = false;
      }
      return at / (1 + 2);
    };
    const wait: Step = {
      name: `epoll_wait() for ${timeout} ms`,
      looks: true,
      outcomes: () => {
        const isOver = [...kernel.ready()].length > 0 || timeout >= 0;
        return isOver ? [{ what: "drain the set", run }] : [];
      },
    };
    return yield wait;
  },

  *timerfd_settime(_fd: number, _flags: number, delay: Int32Array): Steps {
    return yield call("set the timerfd", () => {
      const { kernel } = simulation();
      kernel.timerSet = delay[4] !== 0 || delay[6] !== 0;
      // What had expired, and was not fetched, is gone.
      kernel.readable.delete(FD.TIMER);
      kernel.members.get(FD.TIMER)!.edge = false;
      return 0;
    });
  },
};
