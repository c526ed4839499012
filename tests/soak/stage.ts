/**
 * What every part of the load is given, and what several of them need.
 *
 * @module
 */

import type { FileDescriptor, Reactor } from "../../mod.ts";
import type { ToolkitInC } from "../toolkit_in_c.ts";
import type { Counters } from "./counters.ts";
import type { Dropped } from "./dropped.ts";
import type { Random } from "./random.ts";

/** Where a part of the load plays. */
export interface Stage {
  /** A reactor that lives as long as the soak, and that others use meanwhile. */
  readonly reactor: Reactor;
  /** That reactor's one toolkit. */
  readonly toolkit: ToolkitInC;
  /** A signal that is never aborted: who listens to it has to stop that. */
  readonly signal: AbortSignal;
  readonly random: Random;
  readonly counters: Counters;
  readonly dropped: Dropped;
  /** Takes an error that nobody expects. */
  readonly report: (error: unknown, where: string) => void;
}

/** A part of the load: some milliseconds of it. It leaves nothing behind. */
export type Scene = (stage: Stage) => Promise<void>;

/** Counts an answer that ought to be different. */
export function misdelivered(stage: Stage, what: string): void {
  stage.counters.misdelivered++;
  stage.report("it should be different", what);
}

/** Requires what must hold of an answer. */
export function expect(stage: Stage, holds: boolean, what: string): void {
  stage.counters.steps++;
  if (!holds) misdelivered(stage, what);
}

/** Requires that the right bytes came. */
export function expectBytes(
  stage: Stage,
  received: Uint8Array,
  sent: Uint8Array,
  where: string,
): void {
  const holds = received.length === sent.length &&
    received.every((byte, i) => byte === sent[i]);
  expect(
    stage,
    holds,
    `${received.length} bytes for ${sent.length} through ${where}`,
  );
}

/** Requires that a promise rejects as it should. */
export async function expectRejection(
  stage: Stage,
  promise: Promise<unknown>,
  fits: (reason: unknown) => boolean,
  what: string,
): Promise<void> {
  const reason = await promise.then(() => "no reason", (reason) => reason);
  expect(stage, fits(reason), `${what} ended with ${reason}`);
}

/** Waits for something to read, and reads it. */
export async function receive(
  { reactor, counters }: Stage,
  from: FileDescriptor,
  into: Uint8Array,
): Promise<number | null> {
  for (;;) {
    await reactor.readable(from);
    counters.delivered++;
    try {
      return from.read(into);
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      counters.spurious++;
    }
  }
}

/** Waits for so many bytes, and reads them. */
export async function receiveAll(
  stage: Stage,
  from: FileDescriptor,
  into: Uint8Array,
): Promise<void> {
  for (let filled = 0; filled < into.length;) {
    const count = await receive(stage, from, into.subarray(filled));
    if (count === null) throw new Error(`It ended after ${filled} bytes`);
    filled += count;
  }
}

/** Does something at once or a little later, in one of several ways. */
export function soon({ reactor, random }: Stage, f: () => void): void {
  const ways: readonly (() => unknown)[] = [
    f,
    () => queueMicrotask(f),
    () => setTimeout(f, random.below(3)),
    () => reactor.callLater(random.below(3), f),
    () => reactor.callFromThread(f),
  ];
  random.pick(ways)();
}

/** Does something so often at once. */
export async function together(
  count: number,
  f: (i: number) => Promise<void>,
): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, i) => f(i)));
}
