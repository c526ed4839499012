/**
 * What a program can say about TLS, and the checks of it.
 *
 * @module
 */

import {
  checkBoolean,
  checkDelay,
  checkString,
  complaint,
} from "../arguments.ts";

/**
 * How a connection is to be encrypted. One type for both sides: what only a
 * client or only a server uses says so, and the other ignores it.
 *
 * @example Agreeing on a protocol, and looking at the certificate
 * ```ts
 * import { connect, listen } from "@interleave/reactor/net";
 * import { X509Certificate } from "node:crypto";
 * import { assertEquals } from "@std/assert";
 *
 * await using port = listen({
 *   hostname: "127.0.0.1",
 *   port: 0,
 *   tls: {
 *     cert: certificate(),
 *     key: certificate(),
 *     alpnProtocols: ["h2", "http/1.1"],
 *   },
 * });
 *
 * await using connection = await connect({
 *   ...port.getHost(),
 *   tls: { caCerts: [certificate()], alpnProtocols: ["http/1.1"] },
 * });
 * assertEquals(connection.alpnProtocol, "http/1.1");
 * const shown = new X509Certificate(connection.getPeerCertificate()!);
 * assertEquals(shown.subject, "CN=a");
 *
 * // For 127.0.0.1, with its key. One like it is made by `openssl req -x509
 * // -newkey ed25519 -nodes -subj /CN=a -addext subjectAltName=IP:127.0.0.1`.
 * function certificate(): string {
 *   return `-----BEGIN CERTIFICATE-----
 * MIHbMIGOoAMCAQICAQEwBQYDK2VwMAwxCjAIBgNVBAMMAWEwIBcNMjAwMTAxMDAw
 * MDAwWhgPMjEyMDAxMDEwMDAwMDBaMAwxCjAIBgNVBAMMAWEwKjAFBgMrZXADIQCb
 * 7MBa/s/XTmG5uyxfA9e3igCPFrkneXkZbIRgm1YDS6MTMBEwDwYDVR0RBAgwBocE
 * fwAAATAFBgMrZXADQQCYyJyUy3h4l+vMHJTx2UeCsn+z1KEfWENj0YTtku4JINDd
 * YzqwPN7/DqW74Wwyd1z0PMMXzqy9RKIy7h8/ub8F
 * -----END CERTIFICATE-----
 * -----BEGIN PRIVATE KEY-----
 * MC4CAQAwBQYDK2VwBCIEIM8NNoOa2RUS0hsNPRhwRcG8Kck71FUo4Yg2Clv+V65+
 * -----END PRIVATE KEY-----`;
 * }
 * ```
 */
export interface TLSOptions {
  /**
   * The protocols to speak over the connection, the preferred one first, such
   * as `["h2", "http/1.1"]`. A server takes the first of its own that the client
   * offers, and refuses a client that offers others only. If one of the two
   * says nothing of the kind, nothing is chosen.
   *
   * @default {[]}
   */
  alpnProtocols?: readonly string[];
  /**
   * This side's certificate in PEM, followed by those between it and the root.
   * A server must have one; a client shows it to a server that asks.
   *
   * @default {undefined} None.
   */
  cert?: string;
  /** The private key of `cert` in PEM, without a password. Where one is, both are. */
  key?: string;
  /**
   * For clients: whose certificate it must be, a host name in ASCII or an IP
   * address. A host name is also what the client asks the server for (SNI).
   *
   * @default {undefined} The host that it connected to. Over a UNIX socket there
   * is none: there it must be given, unless certificates are not verified.
   */
  hostname?: string;
  /**
   * For clients: certificates in PEM, one or more a string, that are trusted in
   * addition to the system's. Each may be that of an authority or the very one
   * of a server.
   *
   * The system's are where OpenSSL was built to look for them (`openssl version
   * -d` says where; `/etc/ssl/certs` on Debian, from the package
   * ca-certificates), or where the environment variables `SSL_CERT_FILE` and
   * `SSL_CERT_DIR` say.
   *
   * @default {[]}
   */
  caCerts?: readonly string[];
  /**
   * For clients: takes any certificate, which leaves the connection open to
   * anybody in between.
   *
   * @default {false}
   */
  unsafelyIgnoreCertificateErrors?: boolean;
  /**
   * How long the handshake may take, in milliseconds. A peer that connects and
   * says nothing is cut off then.
   *
   * @default {30_000}
   */
  handshakeTimeout?: number;
}

/** Which side of a connection this is. */
export type TLSRole = "client" | "server";

/** What {@linkcode checkTLSOptions} makes of the options. */
export interface CheckedTLSOptions {
  /** The protocols, each with its length before it, or nothing. */
  readonly alpnProtocols: readonly Uint8Array<ArrayBuffer>[];
  /** The certificate with those behind it, and the key. */
  readonly identity:
    | { readonly cert: string; readonly key: string }
    | undefined;
  /** Whose certificate it must be. */
  readonly hostname: string | undefined;
  /** More certificates to trust. */
  readonly caCerts: readonly string[];
  /** Whether the other side's certificate is verified. */
  readonly verifies: boolean;
  /** How long the handshake may take, in milliseconds. */
  readonly handshakeTimeout: number;
}

/** The longest name of a host (RFC 1035, 2.3.4). */
const LONGEST_HOSTNAME = 253;

const encoder = new TextEncoder();

/**
 * Checks what can be checked without OpenSSL.
 *
 * @param role Which side this is.
 * @param options What the program said.
 * @param action What cannot be done without it, as in "start TLS".
 * @throws {TypeError} When a value is not of the right type or is missing.
 * @throws {RangeError} When the name of a protocol or host is empty or too long,
 * or `handshakeTimeout` is negative or not finite.
 */
export function checkTLSOptions(
  role: TLSRole,
  options: TLSOptions,
  action: string,
): CheckedTLSOptions {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(complaint(options, action, "options", "an object"));
  }
  const {
    cert,
    key,
    unsafelyIgnoreCertificateErrors = false,
    handshakeTimeout = 30_000,
  } = options;
  checkBoolean(
    unsafelyIgnoreCertificateErrors,
    action,
    "options.unsafelyIgnoreCertificateErrors",
  );
  checkDelay(handshakeTimeout, action, "options.handshakeTimeout");
  const needsIdentity = role === "server" || cert !== undefined ||
    key !== undefined;
  const isClient = role === "client";
  const verifies = isClient && !unsafelyIgnoreCertificateErrors;
  return {
    alpnProtocols: checkProtocols(options.alpnProtocols, action),
    identity: needsIdentity ? checkIdentity(cert, key, action) : undefined,
    hostname: isClient && (verifies || options.hostname !== undefined)
      ? checkHostname(options.hostname, action)
      : undefined,
    caCerts: isClient
      ? checkStrings(options.caCerts, action, "options.caCerts")
      : [],
    verifies,
    handshakeTimeout,
  };
}

function checkProtocols(
  value: unknown,
  action: string,
): Uint8Array<ArrayBuffer>[] {
  const name = "options.alpnProtocols";
  return checkStrings(value, action, name).map((protocol, index) => {
    const bytes = encoder.encode(protocol);
    if (bytes.length === 0 || bytes.length > 255) {
      throw new RangeError(
        complaint(protocol, action, `${name}[${index}]`, "1 to 255 bytes long"),
      );
    }
    return new Uint8Array([bytes.length, ...bytes]);
  });
}

function checkIdentity(
  cert: unknown,
  key: unknown,
  action: string,
): { cert: string; key: string } {
  checkString(cert, action, "options.cert");
  // What was given may hold the key, so that it is not shown.
  if (typeof key !== "string") {
    throw new TypeError(
      `Cannot ${action}: "options.key" must be a string where there is a certificate, received ${typeof key}`,
    );
  }
  return { cert, key };
}

function checkHostname(value: unknown, action: string): string {
  const name = "options.hostname";
  if (typeof value !== "string") {
    throw new TypeError(
      complaint(value, action, name, "a string to verify the certificate with"),
    );
  }
  // A dot at the end marks a name as complete for the resolver; certificates
  // have none (RFC 6066, 3).
  const hostname = value.replace(/\.$/, "");
  if (hostname.length === 0 || hostname.length > LONGEST_HOSTNAME) {
    throw new RangeError(
      complaint(
        value,
        action,
        name,
        `1 to ${LONGEST_HOSTNAME} characters long`,
      ),
    );
  }
  if (!/^[!-~]+$/.test(hostname)) {
    throw new TypeError(
      complaint(value, action, name, "in ASCII and without spaces"),
    );
  }
  return hostname;
}

function checkStrings(
  value: unknown,
  action: string,
  name: string,
): string[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) {
    throw new TypeError(complaint(value, action, name, "an array of strings"));
  }
  value.forEach((item, index) =>
    checkString(item, action, `${name}[${index}]`)
  );
  return value;
}
