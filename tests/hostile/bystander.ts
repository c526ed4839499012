/**
 * Somebody else on the same reactor, who has to be served whatever a test does to
 * its own things.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { deadline } from "@std/async";
import type { Reactor } from "../../mod.ts";
import { PATIENCE, until } from "../descriptors.ts";
import { type Setting, testOnBackends } from "../hosts.ts";
import { Pipe } from "../pipe.ts";

/** A reader, a wait, a delayed call and a queued call. */
export class Bystander implements Disposable {
  readonly #reactor: Reactor;
  readonly #read = new Pipe();
  readonly #awaited = new Pipe();
  #reads = 0;
  #calls = 0;
  readonly #reasons: Error[] = [];

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
    reactor.addReader(
      this.#read.reader(
        () => void this.#reads++,
        (reason) => this.#reasons.push(reason),
      ),
    );
  }

  /** Requires that each is served, once, and so is Deno's own timer. */
  async served(): Promise<void> {
    const reads = this.#reads;
    const calls = this.#calls;
    const waiting = this.#reactor.readable(this.#awaited.output);
    this.#reactor.callLater(1, () => this.#calls++);
    this.#reactor.callFromThread(() => this.#calls++);
    this.#read.fill();
    this.#awaited.fill();
    const { readable } = await deadline(waiting, PATIENCE);
    this.#awaited.output.read(new Uint8Array(1));
    await until(() => this.#reads > reads && this.#calls >= calls + 2);
    assertEquals(
      { readable, reads: this.#reads, calls: this.#calls },
      { readable: true, reads: reads + 1, calls: calls + 2 },
    );
    assertEquals(this.#reasons, []);
  }

  [Symbol.dispose](): void {
    this.#read[Symbol.dispose]();
    this.#awaited[Symbol.dispose]();
  }
}

/**
 * What is told of things that are only slow, or in vain. Many tests here provoke
 * it, and on a busy machine it may come at any time.
 */
const REMARKS: ReadonlySet<string> = new Set([
  "CallbackTooSlow",
  "DescriptorSpinning",
  "WorkItemOverdue",
]);

/** Whether an error that was told is no more than a remark. */
export function isRemark(error: unknown): boolean {
  try {
    return REMARKS.has((error as Error).name);
  } catch {
    return false; // Its name can't even be read.
  }
}

/** What a test beside a bystander is given. */
export interface BystanderSetting extends Omit<Setting, "host" | "run"> {
  /** It has been served already, and is once more at the end. */
  readonly bystander: Bystander;
}

/**
 * Runs a test on every backend, on Deno's own loop, beside a bystander. It fails
 * if `onError` got anything but remarks that the test has not taken out.
 */
export function testBesideOthers(
  name: string,
  fn: (setting: BystanderSetting) => Promise<void> | void,
): void {
  testOnBackends(name, async (setting) => {
    using _ = withoutRemarks(setting.errors);
    using bystander = new Bystander(setting.reactor);
    setting.reactor.interleave();
    await bystander.served();
    await fn({ ...setting, bystander });
    await bystander.served();
  });
}

/** Keeps remarks out of a list of errors until it is disposed of. */
export function withoutRemarks(errors: Setting["errors"]): Disposable {
  errors.push = (...told) =>
    Array.prototype.push.apply(
      errors,
      told.filter(({ error }) => !isRemark(error)),
    );
  return {
    [Symbol.dispose]: () => delete (errors as { push?: unknown }).push,
  };
}
