/**
 * Connections with TLS on a reactor: what their tests share.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { deadline } from "@std/async";
import { libc } from "../../ffi/libc.ts";
import { openssl as library } from "../../ffi/toolkits/openssl.ts";
import { Reactor } from "../../mod.ts";
import { alpnCallback } from "../../src/net/alpn.ts";
import type { Connector } from "../../src/net/connector.ts";
import type { Port } from "../../src/net/port.ts";
import type { Protocol } from "../../src/net/protocol.ts";
import {
  connectSSL,
  type ConnectSSLOptions,
  listenSSL,
} from "../../src/net/tls.ts";
import type { TLSOptions } from "../../src/net/tls_options.ts";
import { BACKENDS, PATIENCE } from "../descriptors.ts";
import { testToolkit } from "../loops/toolkit.ts";
import { Authority, type Identity, missingOpenssl } from "./certificates.ts";
import { LOOPBACK, Recorder } from "./protocols.ts";

const missing = await missingOpenssl();

/** Who signs. */
export let authority: Authority;
/** The certificate that clients trust. */
export let root: string;
/** What servers show, for `localhost` and its address. */
export let identity: Identity;

// What is opened in a test and stays open would be taken for a leak.
libc();
if (missing.length === 0) {
  library();
  alpnCallback();
  authority = await Authority.root("A root");
  root = authority.identity.cert;
  identity = await authority.issue({ names: "DNS:localhost,IP:127.0.0.1" });
}

/** What a test gets. */
export interface Bench {
  readonly reactor: Reactor;
  /** The messages of what was reported. What is left there fails the test. */
  readonly errors: string[];
}

/** Declares a test for each backend, ignored if OpenSSL is missing. */
export function testTLS(
  name: string,
  fn: (bench: Bench) => Promise<void>,
): void {
  for (const backend of BACKENDS) {
    testToolkit(`${name} [${backend}]`, missing, async () => {
      const errors: string[] = [];
      await using reactor = new Reactor({
        backend,
        onError: (error) => errors.push((error as Error).message),
      });
      reactor.interleave();
      await deadline(fn({ reactor, errors }), PATIENCE);
      assertEquals(errors, []);
    });
  }
}

/** A protocol that also records that TLS is there. */
export class SecureRecorder extends Recorder {
  handshakeCompleted(): unknown {
    this.events.push(`shaken: ${this.transport.alpnProtocol}`);
    return undefined;
  }
}

/** The same, for connections that are closed one half at a time. */
export class HalfCloser extends SecureRecorder {
  readonly readLost: PromiseWithResolvers<void> = Promise.withResolvers();

  readConnectionLost(): void {
    this.events.push("read lost");
    this.readLost.resolve();
  }

  writeConnectionLost(): void {
    this.events.push("write lost");
  }
}

/** Listens with TLS. */
export function serve(
  reactor: Reactor,
  make: () => Protocol,
  options: TLSOptions = {},
): Port {
  return listenSSL(0, { buildProtocol: make }, {
    hostname: LOOPBACK,
    reactor,
    tls: { ...identity, ...options },
  });
}

/** What becomes of an attempt. */
export interface Attempt {
  readonly connector: Connector;
  /** Why there is no connection. */
  readonly failed: Promise<Error>;
}

/** Connects with TLS. */
export function attempt(
  reactor: Reactor,
  port: number,
  protocol: Protocol,
  options: ConnectSSLOptions = {},
): Attempt {
  const failed = Promise.withResolvers<Error>();
  const connector = connectSSL(LOOPBACK, port, {
    buildProtocol: () => protocol,
    clientConnectionFailed: (_connector, reason) => failed.resolve(reason),
  }, {
    reactor,
    ...options,
    tls: { caCerts: [root], ...options.tls },
  });
  return { connector, failed: failed.promise };
}
