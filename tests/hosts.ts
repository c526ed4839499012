/**
 * The hosts that a reactor can run in, each behind one interface, so that one
 * suite runs in all of them.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { deadline, delay } from "@std/async";
import { BlockingQueue } from "../src/blocking_queue.ts";
import { Reactor, type ReactorOptions } from "../src/reactor.ts";
import { threadSafeWaker } from "../src/thread_safe_waker.ts";
import type { Waker } from "../src/wakers.ts";
import { type Backend, BACKENDS, PATIENCE } from "./descriptors.ts";
import { ToolkitInC } from "./toolkit_in_c.ts";

/** A place for a reactor to run in. */
export interface Host {
  /** For the names of tests. */
  readonly name: string;
  /**
   * The program is synchronous: while the reactor runs, Deno's own loop stands
   * still, promises included.
   */
  readonly blocks: boolean;
  /** What the reactor is to be told of it. */
  readonly latency?: ReactorOptions["latency"];
  /** Starts the reactor in this host, and drives it until it has ended. */
  run(reactor: Reactor): Promise<void>;
}

/**
 * Whether the reactor's run has ended, as a program without promises can find
 * out.
 */
export function hasEnded(reactor: Reactor): boolean {
  return reactor.inspect().host === "none";
}

/**
 * A host that is nothing but a waker: whatever it does with the work items,
 * Deno's loop does the rest.
 */
function wakerHost(name: string, waker: Waker | undefined): Host {
  return {
    name,
    blocks: false,
    async run(reactor) {
      reactor.interleave(waker);
      await deadline(reactor.finished, PATIENCE);
    },
  };
}

const RUN: Host = {
  name: "run()",
  blocks: false,
  run: (reactor) => deadline(reactor.run({ signals: false }), PATIENCE),
};

const LOW_LATENCY: Host = {
  ...RUN,
  name: 'run(), latency "low"',
  latency: "low",
};

const FRAME_LOOP: Host = {
  name: "a frame loop",
  blocks: false,
  async run(reactor) {
    const due: (() => void)[] = [];
    reactor.interleave((work) => due.push(work));
    const end = performance.now() + PATIENCE;
    while (!hasEnded(reactor) && performance.now() < end) {
      for (const work of due.splice(0)) work();
      await delay(1);
    }
    await deadline(reactor.finished, PATIENCE);
  },
};

const MESSAGE_CHANNEL: Host = {
  name: "a MessageChannel",
  blocks: false,
  async run(reactor) {
    const { port1, port2 } = new MessageChannel();
    const due: (() => void)[] = [];
    port1.onmessage = () => due.shift()!();
    reactor.interleave((work) => {
      due.push(work);
      port2.postMessage(null);
    });
    try {
      await deadline(reactor.finished, PATIENCE);
    } finally {
      port1.close();
      port2.close();
    }
  },
};

const BLOCKING_QUEUE: Host = {
  name: "a BlockingQueue",
  blocks: true,
  async run(reactor) {
    const queue = new BlockingQueue();
    reactor.interleave(queue);
    const end = performance.now() + PATIENCE;
    while (!hasEnded(reactor) && performance.now() < end) {
      queue.get(PATIENCE)?.();
    }
    await deadline(reactor.finished, PATIENCE);
  },
};

/** A toolkit that blocks the main thread, and calls the work item itself. */
export const NATIVE: Host = {
  name: "a toolkit in C",
  blocks: true,
  async run(reactor) {
    using toolkit = new ToolkitInC();
    reactor.interleave(toolkit.waker);
    const quitAtEnd = () => {
      if (hasEnded(reactor)) toolkit.quit();
    };
    quitAtEnd(); // A "startup" trigger may have ended it.
    toolkit.run(() => {
      toolkit.callWork();
      quitAtEnd();
    });
    await deadline(reactor.finished, PATIENCE);
  },
};

/** Deno's own loop, reached by a thread-safe callback. */
const THREAD_SAFE: Host = {
  name: "threadSafeWaker()",
  blocks: false,
  async run(reactor) {
    using waker = threadSafeWaker();
    reactor.interleave(waker);
    await deadline(reactor.finished, PATIENCE);
  },
};

/** Driven by `iterate` alone, without a worker. */
export const ITERATE: Host = {
  name: "iterate()",
  blocks: true,
  async run(reactor) {
    const end = performance.now() + PATIENCE;
    do reactor.iterate(PATIENCE); while (
      !hasEnded(reactor) && performance.now() < end
    );
    await deadline(reactor.finished, PATIENCE);
  },
};

/**
 * Deno's own loop, a waker, a blocking program, and no worker at all: enough
 * where the way into the host is not the point.
 */
export const ONE_OF_EACH_KIND: readonly Host[] = [
  RUN,
  FRAME_LOOP,
  BLOCKING_QUEUE,
  NATIVE,
  ITERATE,
];

/** While coverage is measured, each worker takes half a second to go. */
export const underCoverage: boolean = Deno.env.has("DENO_COVERAGE_DIR");

/** All hosts; under coverage, enough to reach the same lines. */
export const HOSTS: readonly Host[] = underCoverage ? ONE_OF_EACH_KIND : [
  ...ONE_OF_EACH_KIND,
  LOW_LATENCY,
  wakerHost("interleave()", undefined),
  wakerHost("queueMicrotask", (work) => queueMicrotask(work)),
  wakerHost("setTimeout", (work) => setTimeout(work)),
  MESSAGE_CHANNEL,
  THREAD_SAFE,
];

/** What a test of the suite is given. */
export interface Setting {
  /**
   * A reactor that has not been started, with a backend of the suite's choice.
   */
  readonly reactor: Reactor;
  /** The reactor's backend. */
  readonly backend: Backend;
  /** Where it is to run. */
  readonly host: Host;
  /** What `onError` got so far. A test that expects something takes it out. */
  readonly errors: { error: unknown; where: string }[];
  /** Runs the reactor in the host until it has ended. */
  run(): Promise<void>;
}

/** What {@linkcode testInHosts} varies. */
export interface SuiteOptions extends Pick<ReactorOptions, "clock" | "budget"> {
  /**
   * The hosts to run in.
   *
   * @default {HOSTS}
   */
  hosts?: readonly Host[];
}

/**
 * Runs a test in every host and on every backend. It fails if `onError` got
 * anything that the test has not taken out.
 */
export function testInHosts(
  name: string,
  fn: (setting: Setting) => Promise<void>,
  options: SuiteOptions = {},
): void {
  const { hosts = HOSTS, ...rest } = options;
  for (const backend of BACKENDS) {
    for (const host of hosts) {
      Deno.test(`${name} [${backend}, ${host.name}]`, async () => {
        const errors: Setting["errors"] = [];
        await using reactor = new Reactor({
          ...rest,
          backend,
          latency: host.latency,
          onError: (error, where) => errors.push({ error, where }),
        });
        await fn({
          reactor,
          backend,
          host,
          errors,
          run: () => host.run(reactor),
        });
        assertEquals(errors, []);
      });
    }
  }
}

/**
 * Runs a test on every backend. It fails if `onError` got anything that the
 * test has not taken out.
 */
export function testOnBackends(
  name: string,
  fn: (setting: Omit<Setting, "host" | "run">) => Promise<void> | void,
): void {
  for (const backend of BACKENDS) {
    Deno.test(`${name} [${backend}]`, async () => {
      const errors: Setting["errors"] = [];
      await using reactor = new Reactor({
        backend,
        onError: (error, where) => errors.push({ error, where }),
      });
      await deadline(
        Promise.resolve(fn({ reactor, backend, errors })),
        PATIENCE,
      );
      assertEquals(errors, []);
    });
  }
}
