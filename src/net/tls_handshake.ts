/**
 * A handshake that goes on under the eyes of a protocol, as a server's does and
 * that of `startTLS`: how long it may take, and who waits for its end.
 *
 * @module
 */

import type { DelayedCall } from "../delayed_calls.ts";
import type { Reactor } from "../reactor.ts";
import type { StreamLayer } from "./stream.ts";
import { TLSError } from "./tls_error.ts";

/** See the module. Whoever makes it says how it ended, once. */
export class TLSHandshake {
  readonly #layer: StreamLayer;
  readonly #timeout: DelayedCall | undefined;
  #waiting: PromiseWithResolvers<Deno.TlsHandshakeInfo> | undefined;
  #failure: Error | undefined;

  /** @param giveUp Ends the connection: it took too long. */
  constructor(
    reactor: Reactor,
    layer: StreamLayer,
    giveUp: (error: Error) => void,
  ) {
    this.#layer = layer;
    if (!layer.handshaking) return;
    const { handshakeTimeout } = layer;
    this.#timeout = reactor.callLater(handshakeTimeout, () =>
      giveUp(
        new TLSError(
          `The TLS handshake was not done within ${handshakeTimeout} ms`,
        ),
      ));
    // The connection is what keeps the process alive, or does not.
    this.#timeout.unref();
  }

  /** Waits for its end, and says what was agreed on. */
  wait(): Promise<Deno.TlsHandshakeInfo> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#waiting ??= Promise.withResolvers();
    if (this.#layer.handshakeDone) this.done();
    return this.#waiting.promise;
  }

  /** It came to a good end. */
  done(): void {
    this.#stop();
    this.#waiting?.resolve({ alpnProtocol: this.#layer.alpnProtocol });
  }

  /** The connection is lost. If that is before the end, it is the end. */
  lost(reason: Error): void {
    this.#stop();
    if (this.#layer.handshakeDone) return;
    this.#failure = reason;
    this.#waiting?.reject(reason);
  }

  #stop(): void {
    if (this.#timeout?.active()) this.#timeout.cancel();
  }
}
