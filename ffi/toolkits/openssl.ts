/**
 * The functions of OpenSSL 3 that are called, with their C declarations.
 *
 * `long`, `size_t` and `uint64_t` are declared as 32 bits, as in
 * `../symbols.ts`, and for the same reason: no value here is larger.
 *
 * @module
 */

import { openToolkit, type ToolkitLibrary } from "./library.ts";

/**
 * Where OpenSSL is. Only libssl is named: a function that is not in it is looked
 * for in the libraries it was linked with (dlsym(3)), so that the libcrypto that
 * is found is the one that belongs to it.
 */
export const OPENSSL: ToolkitLibrary = {
  name: "OpenSSL",
  names: {
    linux: ["libssl.so.3"],
    freebsd: ["libssl.so.30", "libssl.so.35"],
    darwin: [
      "libssl.3.dylib",
      "/opt/homebrew/opt/openssl@3/lib/libssl.3.dylib",
      "/usr/local/opt/openssl@3/lib/libssl.3.dylib",
    ],
  },
  packages: {
    debian: "libssl3",
    fedora: "openssl-libs",
    homebrew: "openssl@3",
  },
};

/** What libssl has: contexts and connections. */
export const SSL_SYMBOLS = {
  /** `const SSL_METHOD *TLS_client_method(void)` */
  TLS_client_method: { parameters: [], result: "pointer" },
  /** `const SSL_METHOD *TLS_server_method(void)` */
  TLS_server_method: { parameters: [], result: "pointer" },
  /** `SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)` */
  SSL_CTX_new: { parameters: ["pointer"], result: "pointer" },
  /** `void SSL_CTX_free(SSL_CTX *context)` */
  SSL_CTX_free: { parameters: ["pointer"], result: "void" },
  /** `long SSL_CTX_ctrl(SSL_CTX *context, int command, long number, void *pointer)` */
  SSL_CTX_ctrl: {
    parameters: ["pointer", "i32", "u32", "pointer"],
    result: "i32",
  },
  /** `uint64_t SSL_CTX_set_options(SSL_CTX *context, uint64_t options)` */
  SSL_CTX_set_options: { parameters: ["pointer", "u32"], result: "u32" },
  /** `void SSL_CTX_set_verify(SSL_CTX *context, int mode, SSL_verify_cb callback)` */
  SSL_CTX_set_verify: {
    parameters: ["pointer", "i32", "function"],
    result: "void",
  },
  /** `X509_VERIFY_PARAM *SSL_CTX_get0_param(SSL_CTX *context)` */
  SSL_CTX_get0_param: { parameters: ["pointer"], result: "pointer" },
  /** `void SSL_CTX_set1_cert_store(SSL_CTX *context, X509_STORE *store)` */
  SSL_CTX_set1_cert_store: {
    parameters: ["pointer", "pointer"],
    result: "void",
  },
  /** `int SSL_CTX_use_certificate(SSL_CTX *context, X509 *certificate)` */
  SSL_CTX_use_certificate: {
    parameters: ["pointer", "pointer"],
    result: "i32",
  },
  /** `int SSL_CTX_use_PrivateKey(SSL_CTX *context, EVP_PKEY *key)` */
  SSL_CTX_use_PrivateKey: { parameters: ["pointer", "pointer"], result: "i32" },
  /**
   * `int SSL_CTX_set_alpn_protos(SSL_CTX *context, const unsigned char
   * *protocols, unsigned int length)`; 0 is success
   */
  SSL_CTX_set_alpn_protos: {
    parameters: ["pointer", "buffer", "u32"],
    result: "i32",
  },
  /**
   * `void SSL_CTX_set_alpn_select_cb(SSL_CTX *context,
   * SSL_CTX_alpn_select_cb_func callback, void *data)`
   */
  SSL_CTX_set_alpn_select_cb: {
    parameters: ["pointer", "function", "pointer"],
    result: "void",
  },
  /** `SSL *SSL_new(SSL_CTX *context)` */
  SSL_new: { parameters: ["pointer"], result: "pointer" },
  /** `void SSL_free(SSL *ssl)` */
  SSL_free: { parameters: ["pointer"], result: "void" },
  /** `long SSL_ctrl(SSL *ssl, int command, long number, void *pointer)` */
  SSL_ctrl: { parameters: ["pointer", "i32", "u32", "buffer"], result: "i32" },
  /** `void SSL_set_bio(SSL *ssl, BIO *read, BIO *write)` */
  SSL_set_bio: {
    parameters: ["pointer", "pointer", "pointer"],
    result: "void",
  },
  /** `void SSL_set_connect_state(SSL *ssl)` */
  SSL_set_connect_state: { parameters: ["pointer"], result: "void" },
  /** `void SSL_set_accept_state(SSL *ssl)` */
  SSL_set_accept_state: { parameters: ["pointer"], result: "void" },
  /** `int SSL_do_handshake(SSL *ssl)` */
  SSL_do_handshake: { parameters: ["pointer"], result: "i32" },
  /** `int SSL_read(SSL *ssl, void *buffer, int length)` */
  SSL_read: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  /** `int SSL_write(SSL *ssl, const void *buffer, int length)` */
  SSL_write: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  /** `int SSL_shutdown(SSL *ssl)` */
  SSL_shutdown: { parameters: ["pointer"], result: "i32" },
  /** `int SSL_get_error(const SSL *ssl, int result)` */
  SSL_get_error: { parameters: ["pointer", "i32"], result: "i32" },
  /** `long SSL_get_verify_result(const SSL *ssl)` */
  SSL_get_verify_result: { parameters: ["pointer"], result: "i32" },
  /** `X509 *SSL_get0_peer_certificate(const SSL *ssl)` */
  SSL_get0_peer_certificate: { parameters: ["pointer"], result: "pointer" },
  /** `const char *SSL_get_version(const SSL *ssl)` */
  SSL_get_version: { parameters: ["pointer"], result: "pointer" },
  /**
   * `void SSL_get0_alpn_selected(const SSL *ssl, const unsigned char
   * **protocol, unsigned int *length)`
   */
  SSL_get0_alpn_selected: {
    parameters: ["pointer", "buffer", "buffer"],
    result: "void",
  },
} as const;

/** What libcrypto has: memory, certificates, errors. */
export const CRYPTO_SYMBOLS = {
  /** `const BIO_METHOD *BIO_s_mem(void)` */
  BIO_s_mem: { parameters: [], result: "pointer" },
  /** `BIO *BIO_new(const BIO_METHOD *type)` */
  BIO_new: { parameters: ["pointer"], result: "pointer" },
  /** `int BIO_free(BIO *bio)` */
  BIO_free: { parameters: ["pointer"], result: "i32" },
  /** `int BIO_read(BIO *bio, void *buffer, int length)` */
  BIO_read: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  /** `int BIO_write(BIO *bio, const void *buffer, int length)` */
  BIO_write: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  /** `long BIO_ctrl(BIO *bio, int command, long number, void *pointer)` */
  BIO_ctrl: { parameters: ["pointer", "i32", "u32", "pointer"], result: "i32" },
  /** `size_t BIO_ctrl_pending(BIO *bio)` */
  BIO_ctrl_pending: { parameters: ["pointer"], result: "u32" },
  /** `X509 *PEM_read_bio_X509(BIO *bio, X509 **into, pem_password_cb *callback, void *data)` */
  PEM_read_bio_X509: {
    parameters: ["pointer", "pointer", "function", "buffer"],
    result: "pointer",
  },
  /**
   * `EVP_PKEY *PEM_read_bio_PrivateKey(BIO *bio, EVP_PKEY **into,
   * pem_password_cb *callback, void *data)`
   */
  PEM_read_bio_PrivateKey: {
    parameters: ["pointer", "pointer", "function", "buffer"],
    result: "pointer",
  },
  /** `int i2d_X509_bio(BIO *bio, X509 *certificate)` */
  i2d_X509_bio: { parameters: ["pointer", "pointer"], result: "i32" },
  /** `void X509_free(X509 *certificate)` */
  X509_free: { parameters: ["pointer"], result: "void" },
  /** `void EVP_PKEY_free(EVP_PKEY *key)` */
  EVP_PKEY_free: { parameters: ["pointer"], result: "void" },
  /** `X509_STORE *X509_STORE_new(void)` */
  X509_STORE_new: { parameters: [], result: "pointer" },
  /** `void X509_STORE_free(X509_STORE *store)` */
  X509_STORE_free: { parameters: ["pointer"], result: "void" },
  /** `int X509_STORE_set_default_paths(X509_STORE *store)` */
  X509_STORE_set_default_paths: { parameters: ["pointer"], result: "i32" },
  /** `int X509_STORE_set_flags(X509_STORE *store, unsigned long flags)` */
  X509_STORE_set_flags: { parameters: ["pointer", "u32"], result: "i32" },
  /** `int X509_STORE_add_cert(X509_STORE *store, X509 *certificate)` */
  X509_STORE_add_cert: { parameters: ["pointer", "pointer"], result: "i32" },
  /** `int X509_VERIFY_PARAM_set1_ip_asc(X509_VERIFY_PARAM *parameters, const char *ip)` */
  X509_VERIFY_PARAM_set1_ip_asc: {
    parameters: ["pointer", "buffer"],
    result: "i32",
  },
  /**
   * `int X509_VERIFY_PARAM_set1_host(X509_VERIFY_PARAM *parameters, const char
   * *name, size_t length)`; a length of 0 means that a NUL ends the name
   */
  X509_VERIFY_PARAM_set1_host: {
    parameters: ["pointer", "buffer", "u32"],
    result: "i32",
  },
  /**
   * `void X509_VERIFY_PARAM_set_hostflags(X509_VERIFY_PARAM *parameters,
   * unsigned int flags)`
   */
  X509_VERIFY_PARAM_set_hostflags: {
    parameters: ["pointer", "u32"],
    result: "void",
  },
  /** `const char *X509_verify_cert_error_string(long error)` */
  X509_verify_cert_error_string: { parameters: ["i32"], result: "pointer" },
  /** `void ERR_clear_error(void)` */
  ERR_clear_error: { parameters: [], result: "void" },
  /** `unsigned long ERR_get_error(void)` */
  ERR_get_error: { parameters: [], result: "u32" },
  /** `const char *ERR_reason_error_string(unsigned long error)` */
  ERR_reason_error_string: { parameters: ["u32"], result: "pointer" },
} as const;

/** OpenSSL's functions. */
export type Openssl = Deno.DynamicLibrary<
  typeof SSL_SYMBOLS & typeof CRYPTO_SYMBOLS
>["symbols"];

/** Constants of `<openssl/ssl.h>`, `<openssl/bio.h>` and `<openssl/x509_vfy.h>`. */
export const SSL = {
  /** Of `SSL_get_error()`: it goes on when there is more to read. */
  ERROR_WANT_READ: 2,
  /** Of `SSL_get_error()`: the other side has sent its close_notify. */
  ERROR_ZERO_RETURN: 6,
  /** For `SSL_CTX_ctrl()`: bits of `MODE_`. */
  CTRL_MODE: 33,
  /** For `SSL_CTX_ctrl()`: which sessions are kept. */
  CTRL_SET_SESS_CACHE_MODE: 44,
  /** For `SSL_ctrl()`: the name that a client asks for. */
  CTRL_SET_TLSEXT_HOSTNAME: 55,
  /** For `SSL_CTX_ctrl()`: a certificate between one's own and the root. */
  CTRL_CHAIN_CERT: 89,
  /** For `SSL_CTX_ctrl()`. */
  CTRL_SET_MIN_PROTO_VERSION: 123,
  /** A connection that is at rest holds no buffers. */
  MODE_RELEASE_BUFFERS: 0x10,
  /** No sessions are kept. */
  SESS_CACHE_OFF: 0,
  /** TLS 1.2. */
  TLS1_2_VERSION: 0x0303,
  /** A bit for `SSL_CTX_set_options()`. */
  OP_NO_COMPRESSION: 0x20000,
  /** A bit for `SSL_CTX_set_options()`. */
  OP_NO_RENEGOTIATION: 0x40000000,
  /** A client takes any certificate. */
  VERIFY_NONE: 0,
  /** A client goes on only with a certificate that verifies. */
  VERIFY_PEER: 1,
  /** What the ALPN callback returns when it has chosen. */
  TLSEXT_ERR_OK: 0,
  /** What the ALPN callback returns when there is nothing to choose. */
  TLSEXT_ERR_ALERT_FATAL: 2,
  /** For `BIO_ctrl()`: what reading from empty memory returns. */
  BIO_C_SET_BUF_MEM_EOF_RETURN: 130,
  /** `*.example.com` matches, `www*.example.com` does not. */
  CHECK_FLAG_NO_PARTIAL_WILDCARDS: 4,
  /** The names are those of the extension, never the subject's common name. */
  CHECK_FLAG_NEVER_CHECK_SUBJECT: 0x20,
  /** Any trusted certificate ends a chain, not only one that signed itself. */
  VERIFY_FLAG_PARTIAL_CHAIN: 0x80000,
  /** The certificate verifies, or none was looked at. */
  VERIFY_OK: 0,
} as const;

let opened: Openssl | undefined;

/** OpenSSL's functions; the library is opened on the first call. */
export function openssl(): Openssl {
  return opened ??= openToolkit(OPENSSL, { ...SSL_SYMBOLS, ...CRYPTO_SYMBOLS });
}

/**
 * Empties OpenSSL's queue of errors, of which there is one a thread.
 *
 * @returns What they say, the oldest first; an empty string if there are none.
 */
export function takeErrors(): string {
  const { ERR_get_error, ERR_reason_error_string } = openssl();
  const reasons = new Set<string>();
  for (;;) {
    const code = ERR_get_error();
    if (code === 0) return [...reasons].join(", ");
    const reason = ERR_reason_error_string(code);
    reasons.add(
      reason === null
        ? `error ${code.toString(16)}`
        : Deno.UnsafePointerView.getCString(reason),
    );
  }
}
