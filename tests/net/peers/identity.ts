/**
 * The certificate that servers show in the tests with peers.
 *
 * @module
 */

import { openssl as library } from "../../../ffi/toolkits/openssl.ts";
import { alpnCallback } from "../../../src/net/alpn.ts";
import { Authority, type Identity, missingOpenssl } from "../certificates.ts";

/** What is missing for TLS. If there is anything, the rest is undefined. */
export const missingTLS: readonly string[] = await missingOpenssl();

/** Who signs. */
export let authority: Authority;
/** What servers show, for `localhost` and its address. */
export let identity: Identity;

if (missingTLS.length === 0) {
  // What is opened in a test and stays open would be taken for a leak.
  library();
  alpnCallback();
  authority = await Authority.root("A root");
  identity = await authority.issue({ names: "DNS:localhost,IP:127.0.0.1" });
}
