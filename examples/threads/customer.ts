/**
 * The Worker of `ask_the_reactor.ts`.
 *
 * @module
 */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import { connectReactor } from "../../src/threads/mod.ts";
import type { Desk } from "./ask_the_reactor.ts";

self.onmessage = ({ data: handle }) => {
  using reactor = connectReactor<Desk>(handle);
  for (const fruit of ["apple", "cherry", "durian"]) {
    try {
      const price = reactor.blockingCallFromThread("priceOf", fruit);
      reactor.callFromThread("say", `1 ${fruit} costs ${price}`);
    } catch (error) {
      reactor.callFromThread("say", `${error}`);
    }
  }
  reactor.callFromThread("done");
};
