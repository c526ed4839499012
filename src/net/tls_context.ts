/**
 * What many TLS connections share: certificates, trust and settings, read once.
 *
 * @module
 */

import { cString } from "../../ffi/arguments.ts";
import { openssl, SSL, takeErrors } from "../../ffi/toolkits/openssl.ts";
import { alpnCallback } from "./alpn.ts";
import { TLSError } from "./tls_error.ts";
import {
  checkTLSOptions,
  type TLSOptions,
  type TLSRole,
} from "./tls_options.ts";

/** What fails when a context cannot be made. */
const ACTION = "start TLS";

const encoder = new TextEncoder();

/**
 * The settings of one side, for any number of connections.
 *
 * It belongs to OpenSSL, so it must be disposed of. Connections that were made
 * from it before go on.
 */
export class TLSContext implements Disposable {
  /** Which side of a connection this is. */
  readonly role: TLSRole;
  /** Whose certificate a client wants to see. */
  readonly hostname: string | undefined;
  /** The name that a client asks for. An address is not asked for (RFC 6066). */
  readonly serverName: string | undefined;
  /** Whether the other side's certificate is verified. */
  readonly verifies: boolean;
  /** The protocols to choose from, each with its length before it. */
  readonly alpnProtocols: readonly Uint8Array<ArrayBuffer>[];
  /** How long a handshake may take, in milliseconds. */
  readonly handshakeTimeout: number;
  #pointer: Deno.PointerValue;

  /**
   * Reads the certificates.
   *
   * @param role Which side this is.
   * @param options How the connections are to be encrypted.
   * @throws {TypeError} When an option is not of the right type or is missing,
   * or when a certificate or a key cannot be read or does not fit.
   * @throws {RangeError} When the name of a protocol or host is empty or too
   * long, or `handshakeTimeout` is negative or not finite.
   * @throws {Deno.errors.NotFound} When OpenSSL 3 is not installed.
   */
  constructor(role: TLSRole, options: TLSOptions = {}) {
    const checked = checkTLSOptions(role, options, ACTION);
    const { identity, hostname, caCerts, verifies, alpnProtocols } = checked;
    this.role = role;
    this.hostname = hostname;
    this.verifies = verifies;
    this.alpnProtocols = alpnProtocols;
    this.handshakeTimeout = checked.handshakeTimeout;
    this.#pointer = make(role);
    try {
      if (identity !== undefined) {
        useCertificates(this.pointer, identity.cert);
        useKey(this.pointer, identity.key);
      }
      if (hostname !== undefined && !expect(this.pointer, hostname)) {
        this.serverName = hostname;
      }
      if (verifies) trust(this.pointer, caCerts);
      negotiate(this.pointer, role, alpnProtocols);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Where it is.
   *
   * @throws {Deno.errors.BadResource} When it was disposed of.
   */
  get pointer(): Deno.PointerObject {
    if (this.#pointer === null) {
      throw new Deno.errors.BadResource(
        `Cannot ${ACTION}: the context was disposed of`,
      );
    }
    return this.#pointer;
  }

  /** Gives the memory back. The second time it does nothing. */
  [Symbol.dispose](): void {
    const pointer = this.#pointer;
    if (pointer === null) return;
    this.#pointer = null;
    openssl().SSL_CTX_free(pointer);
  }
}

/**
 * TLS 1.2 or later; no renegotiation and no compression, which attacks were made
 * of; no store of sessions that would grow. What a client needs to take up a
 * session again is in the ticket it got.
 */
function make(role: TLSRole): Deno.PointerValue {
  const ssl = openssl();
  ssl.ERR_clear_error();
  const context = ssl.SSL_CTX_new(
    role === "client" ? ssl.TLS_client_method() : ssl.TLS_server_method(),
  );
  if (context === null) throw failure("make a TLS context");
  const { SSL_CTX_ctrl: control } = ssl;
  control(context, SSL.CTRL_SET_MIN_PROTO_VERSION, SSL.TLS1_2_VERSION, null);
  control(context, SSL.CTRL_SET_SESS_CACHE_MODE, SSL.SESS_CACHE_OFF, null);
  control(context, SSL.CTRL_MODE, SSL.MODE_RELEASE_BUFFERS, null);
  ssl.SSL_CTX_set_options(
    context,
    SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION,
  );
  return context;
}

/** Takes one's own certificate, and those between it and the root. */
function useCertificates(context: Deno.PointerObject, pem: string): void {
  const { SSL_CTX_use_certificate, SSL_CTX_ctrl } = openssl();
  let first = true;
  forEachCertificate(pem, "options.cert", (certificate) => {
    // The 1 makes OpenSSL keep a reference of its own, as it does with the
    // first.
    const result = first
      ? SSL_CTX_use_certificate(context, certificate)
      : SSL_CTX_ctrl(context, SSL.CTRL_CHAIN_CERT, 1, certificate);
    first = false;
    if (result !== 1) throw unfit("options.cert", "a certificate");
  });
}

/** Takes the key of one's own certificate. */
function useKey(context: Deno.PointerObject, pem: string): void {
  const { PEM_read_bio_PrivateKey, SSL_CTX_use_PrivateKey, EVP_PKEY_free } =
    openssl();
  // Without a password of some kind OpenSSL would ask for one on the terminal.
  const noPassword = cString("", ACTION, "password");
  withMemory(pem, (memory) => {
    const key = PEM_read_bio_PrivateKey(memory, null, null, noPassword);
    if (key === null) throw unfit("options.key", "a private key");
    try {
      if (SSL_CTX_use_PrivateKey(context, key) !== 1) {
        throw unfit("options.key", "the private key of the certificate");
      }
    } finally {
      EVP_PKEY_free(key);
    }
  });
}

/**
 * Says whose certificate the other side must show.
 *
 * @returns Whether that is an IP address.
 */
function expect(context: Deno.PointerObject, hostname: string): boolean {
  const ssl = openssl();
  const parameters = ssl.SSL_CTX_get0_param(context);
  // Certificates know nothing of the interface behind the percent sign.
  const address = cString(hostname.replace(/%.*$/, ""), ACTION, "hostname");
  // It refuses everything that is no address.
  if (ssl.X509_VERIFY_PARAM_set1_ip_asc(parameters, address) === 1) return true;
  ssl.ERR_clear_error();
  ssl.X509_VERIFY_PARAM_set_hostflags(
    parameters,
    SSL.CHECK_FLAG_NO_PARTIAL_WILDCARDS | SSL.CHECK_FLAG_NEVER_CHECK_SUBJECT,
  );
  const name = cString(hostname, ACTION, "hostname");
  if (ssl.X509_VERIFY_PARAM_set1_host(parameters, name, 0) !== 1) {
    throw unfit("options.hostname", "a host name");
  }
  return false;
}

/**
 * The certificates of the system, which are read once: a bundle of them takes
 * longer to read than a handshake takes.
 */
let systemStore: Deno.PointerObject | undefined;

/**
 * The last store with certificates of the program's besides the system's. Most
 * programs have one set of them, and may connect often.
 */
let ownStore:
  | { readonly store: Deno.PointerObject; readonly caCerts: readonly string[] }
  | undefined;

/** Requires a certificate that leads to one of the system's or of these. */
function trust(context: Deno.PointerObject, caCerts: readonly string[]): void {
  const ssl = openssl();
  ssl.SSL_CTX_set_verify(context, SSL.VERIFY_PEER, null);
  if (caCerts.length === 0) {
    systemStore ??= makeStore();
    ssl.SSL_CTX_set1_cert_store(context, systemStore);
    return;
  }
  if (!isSame(caCerts, ownStore?.caCerts)) {
    const store = makeStoreWith(caCerts);
    // Contexts that have the former one keep it.
    if (ownStore !== undefined) ssl.X509_STORE_free(ownStore.store);
    ownStore = { store, caCerts: [...caCerts] };
  }
  ssl.SSL_CTX_set1_cert_store(context, ownStore!.store);
}

function isSame(a: readonly string[], b: readonly string[] = []): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

/** A store with the system's certificates and these. */
function makeStoreWith(caCerts: readonly string[]): Deno.PointerObject {
  const ssl = openssl();
  const store = makeStore();
  try {
    caCerts.forEach((pem, index) => {
      const name = `options.caCerts[${index}]`;
      forEachCertificate(pem, name, (certificate) => {
        if (ssl.X509_STORE_add_cert(store, certificate) !== 1) {
          throw unfit(name, "a certificate");
        }
      });
    });
    return store;
  } catch (error) {
    ssl.X509_STORE_free(store);
    throw error;
  }
}

/** A store with the system's certificates. */
function makeStore(): Deno.PointerObject {
  const ssl = openssl();
  const store = ssl.X509_STORE_new();
  if (store === null) throw failure("make a store of certificates");
  // A system without certificates is none of its errors: nothing verifies then.
  ssl.X509_STORE_set_default_paths(store);
  ssl.X509_STORE_set_flags(store, SSL.VERIFY_FLAG_PARTIAL_CHAIN);
  ssl.ERR_clear_error();
  return store;
}

/** A client offers the protocols, a server chooses one of them. */
function negotiate(
  context: Deno.PointerObject,
  role: TLSRole,
  protocols: readonly Uint8Array<ArrayBuffer>[],
): void {
  if (protocols.length === 0) return;
  const ssl = openssl();
  if (role === "server") {
    ssl.SSL_CTX_set_alpn_select_cb(context, alpnCallback(), null);
    return;
  }
  const list = new Uint8Array(protocols.flatMap((protocol) => [...protocol]));
  if (ssl.SSL_CTX_set_alpn_protos(context, list, list.length) !== 0) {
    throw unfit("options.alpnProtocols", "a list of protocols");
  }
}

/** Reads certificates, of which there must be one at least. */
function forEachCertificate(
  pem: string,
  name: string,
  use: (certificate: Deno.PointerObject) => void,
): void {
  const { PEM_read_bio_X509, X509_free } = openssl();
  withMemory(pem, (memory) => {
    for (let count = 0;; count++) {
      const certificate = PEM_read_bio_X509(memory, null, null, null);
      if (certificate === null) {
        const reasons = takeErrors();
        // What it says at the end as well.
        if (count > 0 && reasons === "no start line") return;
        throw unfit(name, "a certificate", reasons);
      }
      try {
        use(certificate);
      } finally {
        X509_free(certificate);
      }
    }
  });
}

/** Lends text to OpenSSL, as memory that does not move. */
function withMemory(
  text: string,
  use: (memory: Deno.PointerObject) => void,
): void {
  const { BIO_new, BIO_s_mem, BIO_write, BIO_free, ERR_clear_error } =
    openssl();
  ERR_clear_error();
  const memory = BIO_new(BIO_s_mem());
  if (memory === null) throw failure("take memory for a certificate");
  try {
    const bytes = encoder.encode(text);
    BIO_write(memory, bytes, bytes.length);
    use(memory);
  } finally {
    BIO_free(memory);
  }
}

/** The error of an option. What was given may be a key, and is not shown. */
function unfit(
  name: string,
  required: string,
  reasons: string = takeErrors(),
): TypeError {
  return new TypeError(
    `Cannot ${ACTION}: "${name}" must be ${required} in a form that OpenSSL can use: ${reasons}`,
  );
}

function failure(action: string): TLSError {
  return new TLSError(`Cannot ${action}: ${takeErrors()}`);
}
