/**
 * A producer that is registered with what it writes to.
 *
 * What writes faster than its bytes go on is held back, so that not much piles up
 * in between: one that streams is paused and resumed, any other is asked for one
 * portion after the other.
 *
 * @module
 */

import { checkBoolean, checkFunction, complaint } from "../arguments.ts";
import { asError } from "../errors.ts";
import type { Reactor } from "../reactor.ts";
import type { Producer } from "./protocol.ts";
import { callHandler } from "./report.ts";

/** More than this many bytes unsent, and a streaming producer is paused. */
const ENOUGH = 65_536;

/**
 * See the module. Each function calls the producer, if at all, before it returns.
 * What the producer throws is reported; most return it as well, for whoever has
 * the producer to end with.
 */
export class RegisteredProducer {
  readonly #reactor: Reactor;
  readonly #producer: Producer;
  readonly #streaming: boolean;
  #paused = false;

  /**
   * Takes a producer, and calls nothing yet.
   *
   * @throws {TypeError} When `producer` lacks one of its functions, or
   * `streaming` is not a boolean.
   */
  constructor(reactor: Reactor, producer: Producer, streaming: boolean) {
    checkProducer(producer, streaming);
    this.#reactor = reactor;
    this.#producer = producer;
    this.#streaming = streaming;
  }

  /** It may write, if no more than enough bytes wait already. */
  begin(waiting: number): Error | undefined {
    return this.#streaming
      ? this.written(waiting)
      : this.#call("resumeProducing");
  }

  /** Something was written: so many bytes wait to be sent now. */
  written(waiting: number): Error | undefined {
    if (waiting <= ENOUGH || !this.#streaming || this.#paused) return undefined;
    this.#paused = true;
    return this.#call("pauseProducing");
  }

  /** Everything is sent. */
  sent(): Error | undefined {
    if (this.#streaming && !this.#paused) return undefined;
    this.#paused = false;
    return this.#call("resumeProducing");
  }

  /** Nothing that it writes will be sent any more. */
  stop(): void {
    this.#call("stopProducing");
  }

  #call(method: keyof Producer): Error | undefined {
    let thrown: Error | undefined;
    callHandler(
      this.#reactor,
      method,
      () => this.#producer[method]?.(),
      (error) => thrown = asError(error),
    );
    return thrown;
  }
}

function checkProducer(producer: unknown, streaming: unknown): void {
  const action = "register a producer";
  if (typeof producer !== "object" || producer === null) {
    throw new TypeError(complaint(producer, action, "producer", "an object"));
  }
  checkBoolean(streaming, action, "streaming");
  const { resumeProducing, stopProducing, pauseProducing } =
    producer as Partial<Producer>;
  checkFunction(resumeProducing, action, "producer.resumeProducing");
  checkFunction(stopProducing, action, "producer.stopProducing");
  if (streaming) {
    checkFunction(pauseProducing, action, "producer.pauseProducing");
  }
}
