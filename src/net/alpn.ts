/**
 * How a server chooses one of the protocols that a client offers (RFC 7301).
 *
 * OpenSSL asks for that in the middle of a handshake, through a C callback. The
 * handshake is a call from this thread, so whoever makes it says just before
 * what is to be chosen from. One callback serves all and is never closed: a
 * context can outlive every object here that knows of it.
 *
 * @module
 */

import { SSL } from "../../ffi/toolkits/openssl.ts";

/** `SSL_CTX_alpn_select_cb_func` */
const ALPN_SELECT = {
  /**
   * `int (*)(SSL *ssl, const unsigned char **chosen, unsigned char *length,
   * const unsigned char *offered, unsigned int length, void *data)`
   */
  parameters: ["pointer", "pointer", "pointer", "pointer", "u32", "pointer"],
  result: "i32",
} as const;

let callback: Deno.UnsafeCallback<typeof ALPN_SELECT> | undefined;
let choices: readonly Uint8Array[] = [];

/** The address of the callback. */
export function alpnCallback(): Deno.PointerObject {
  callback ??= new Deno.UnsafeCallback(
    ALPN_SELECT,
    (_ssl, chosen, length, offered, offeredLength) => {
      // Deno would keep an exception and tell OpenSSL that all is well.
      try {
        return choose(chosen!, length!, offered!, offeredLength);
      } catch {
        return SSL.TLSEXT_ERR_ALERT_FATAL;
      }
    },
  );
  return callback.pointer;
}

/**
 * Says what the handshake that is about to go on chooses from.
 *
 * @param protocols The preferred one first, each with its length before it.
 */
export function chooseFrom(protocols: readonly Uint8Array[]): void {
  choices = protocols;
}

function choose(
  chosen: Deno.PointerObject,
  length: Deno.PointerObject,
  offered: Deno.PointerObject,
  offeredLength: number,
): number {
  const list = memory(offered, offeredLength);
  for (const choice of choices) {
    const at = find(choice, list);
    if (at === -1) continue;
    // OpenSSL copies it as soon as this returns, and `offered` is its own.
    const address = Deno.UnsafePointer.value(offered) + BigInt(at) + 1n;
    new BigUint64Array(memory(chosen, 8).buffer)[0] = address;
    memory(length, 1)[0] = choice.length - 1;
    return SSL.TLSEXT_ERR_OK;
  }
  return SSL.TLSEXT_ERR_ALERT_FATAL;
}

/**
 * Where a protocol stands in a list, or -1. OpenSSL has made sure that the
 * lengths in the list add up.
 */
function find(protocol: Uint8Array, list: Uint8Array): number {
  for (let at = 0; at < list.length; at += list[at]! + 1) {
    if (protocol.every((byte, index) => list[at + index] === byte)) return at;
  }
  return -1;
}

function memory(
  pointer: Deno.PointerObject,
  length: number,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(
    Deno.UnsafePointerView.getArrayBuffer(pointer, length),
  );
}
