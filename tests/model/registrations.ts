/**
 * Who is registered for which number: what a registration demands and what it
 * permits.
 *
 * | the number | demanded | permitted |
 * |---|---|---|
 * | is the file that was registered | an event, whenever that is ready | an event, if it was ready at any time since the registration |
 * | was closed behind the reactor's back | that the watcher is told, as soon as somebody else asks for the number, or the reactor looks at its numbers again and finds it closed | that it is told at any time |
 * | came back, the same file under the same number | nothing | both |
 *
 * @module
 */

import type { Context } from "./context.ts";
import type { End, Side } from "./kernel.ts";

/** That somebody wants to hear of one side of a number. */
export class Registration {
  readonly number: number;
  readonly end: End;
  readonly side: Side;
  /** No event from before may arrive. */
  since: number;
  /** It remembers an event until somebody asks: a watch does. */
  latches = false;
  /** Its number was closed behind the reactor's back. */
  stale = false;
  /** When that was, an event may have been under way, or remembered. */
  mayHaveFired = false;
  /** Since then somebody else has registered for the number. */
  asked = false;
  readonly #context: Context;

  constructor(context: Context, number: number, side: Side) {
    this.#context = context;
    this.number = number;
    this.end = context.kernel.at(number)!;
    this.side = side;
    this.since = context.kernel.tick;
  }

  /** Whether an event has been possible since the registration. */
  get hadCause(): boolean {
    return this.end.lastReady(this.side) >= this.since;
  }

  /** Whether the number stands for the file that was registered. */
  get isGenuine(): boolean {
    return this.#context.kernel.at(this.number) === this.end;
  }

  /** It is stale, and yet the reactor may take the number for what it was. */
  get isDoubtful(): boolean {
    return this.stale && this.isGenuine;
  }

  /** An event must come. */
  get owesEvent(): boolean {
    return !this.stale && this.end.ready(this.side) === true;
  }

  /**
   * The watcher must be told that the number is something else now.
   *
   * @param looked Whether the reactor has had cause to look at its numbers.
   */
  owesEnd(looked: boolean): boolean {
    if (!this.stale) return false;
    const { kernel, seesClosed } = this.#context;
    const isClosed = kernel.at(this.number) === undefined;
    return this.asked || looked && seesClosed && isClosed;
  }

  /** An event may come. */
  get permitsEvent(): boolean {
    return this.hadCause && this.isGenuine;
  }

  /** The number is closed, and the reactor is told nothing. */
  closeBehind(): void {
    if (this.stale) return;
    this.stale = true;
    this.mayHaveFired = this.hadCause && (this.latches || !this.#context.calm);
  }
}
