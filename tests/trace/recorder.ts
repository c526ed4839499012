/**
 * A hook that notes everything, and fails when what it is told does not fit
 * together.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertStrictEquals,
} from "@std/assert";
import type { TracedCallback, TraceHook } from "../../src/trace/tracing.ts";

/** A callback, and those that ran in it. */
export interface Call {
  readonly callback: TracedCallback;
  readonly inside: Call[];
  /** Undefined while it runs. */
  ms: number | undefined;
}

/** See the module's documentation. */
export class Recorder implements TraceHook {
  /** What did not run in anything else. */
  readonly roots: Call[] = [];
  /** What runs, the innermost last. */
  readonly open: Call[] = [];

  start(callback: TracedCallback): void {
    assert(this instanceof Recorder); // It is called as a method.
    const call: Call = { callback, inside: [], ms: undefined };
    const around = this.open.at(-1);
    assertStrictEquals(callback.parent, around?.callback);
    assertStrictEquals(callback.error, undefined);
    (around?.inside ?? this.roots).push(call);
    this.open.push(call);
  }

  stop(callback: TracedCallback, durationMs: number): void {
    const call = this.open.pop();
    assertStrictEquals(callback, call?.callback);
    call!.ms = durationMs;
    assertGreaterOrEqual(durationMs, 0);
    for (const { callback: inner, ms } of call!.inside) {
      assertGreaterOrEqual(inner.startTime, callback.startTime);
      assertGreaterOrEqual(
        callback.startTime + durationMs,
        inner.startTime + ms!,
      );
    }
  }

  /** All calls, each before those inside it. */
  *all(among: readonly Call[] = this.roots): Generator<Call> {
    for (const call of among) {
      yield call;
      yield* this.all(call.inside);
    }
  }

  /** All but turns, as "kind label". */
  names(): string[] {
    return [...this.all()].map(({ callback }) => callback)
      .filter(({ kind }) => kind !== "turn")
      .map(({ kind, label }) =>
        label === undefined ? kind : `${kind} ${label}`
      );
  }

  /** Those of a kind. */
  of(kind: TracedCallback["kind"]): Call[] {
    return [...this.all()].filter(({ callback }) => callback.kind === kind);
  }

  /** The calls as they are nested, a line each. */
  tree(among: readonly Call[] = this.roots, margin = ""): string[] {
    return among.flatMap(({ callback: { kind, label }, inside }) => [
      `${margin}${kind}${label === undefined ? "" : ` ${label}`}`,
      ...this.tree(inside, `${margin}  `),
    ]);
  }

  /** Fails unless everything that began has ended. */
  assertBalanced(): void {
    assertEquals(this.open.length, 0);
    for (const { ms, callback } of this.all()) {
      assert(ms !== undefined, `${callback.kind} never stopped`);
    }
  }
}
