// What TLS says to options that it cannot use.

import {
  assertEquals,
  assertFalse,
  assertMatch,
  assertThrows,
} from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { openssl as library } from "../../ffi/toolkits/openssl.ts";
import { TLSContext } from "../../src/net/tls_context.ts";
import { TLSEngine } from "../../src/net/tls_engine.ts";
import {
  checkTLSOptions,
  type TLSOptions,
  type TLSRole,
} from "../../src/net/tls_options.ts";
import { testToolkit } from "../loops/toolkit.ts";
import { Folder, missingOpenssl, openssl, selfSigned } from "./certificates.ts";

const missing = await missingOpenssl();

// What is opened in a test and stays open would be taken for a leak.
libc();
if (missing.length === 0) library();

function check(role: TLSRole, options: unknown): unknown {
  return checkTLSOptions(role, options as TLSOptions, "start TLS");
}

Deno.test("checkTLSOptions() names what is of the wrong type", () => {
  const hostname = "localhost";
  const bad: [TLSRole, unknown, string][] = [
    ["client", null, '"options" must be an object, received null'],
    ["client", "tls", '"options" must be an object, received "tls"'],
    [
      "client",
      {},
      '"options.hostname" must be a string to verify the certificate with, received undefined',
    ],
    [
      "client",
      { hostname: "a b" },
      '"options.hostname" must be in ASCII and without spaces, received "a b"',
    ],
    [
      "client",
      { hostname: "bücher.example" },
      '"options.hostname" must be in ASCII and without spaces, received "bücher.example"',
    ],
    [
      "client",
      { hostname: "a\0.example" },
      '"options.hostname" must be in ASCII and without spaces, received "a\\u0000.example"',
    ],
    [
      "client",
      { hostname: 1, unsafelyIgnoreCertificateErrors: true },
      '"options.hostname" must be a string to verify the certificate with, received 1',
    ],
    [
      "client",
      { hostname, unsafelyIgnoreCertificateErrors: 1 },
      '"options.unsafelyIgnoreCertificateErrors" must be a boolean, received 1',
    ],
    [
      "client",
      { hostname, handshakeTimeout: "1" },
      '"options.handshakeTimeout" must be a finite number of at least 0, received "1"',
    ],
    [
      "client",
      { hostname, caCerts: "PEM" },
      '"options.caCerts" must be an array of strings, received "PEM"',
    ],
    [
      "client",
      { hostname, caCerts: ["PEM", 1] },
      '"options.caCerts[1]" must be a string, received 1',
    ],
    [
      "client",
      { hostname, alpnProtocols: "h2" },
      '"options.alpnProtocols" must be an array of strings, received "h2"',
    ],
    [
      "client",
      { hostname, cert: "PEM" },
      '"options.key" must be a string where there is a certificate, received undefined',
    ],
    [
      "client",
      { hostname, key: "PEM" },
      '"options.cert" must be a string, received undefined',
    ],
    ["server", {}, '"options.cert" must be a string, received undefined'],
    [
      "server",
      { cert: "PEM", key: new Uint8Array(1) },
      '"options.key" must be a string where there is a certificate, received object',
    ],
  ];
  for (const [role, options, message] of bad) {
    const error = assertThrows(() => check(role, options), TypeError);
    assertEquals(error.message, `Cannot start TLS: ${message}`);
  }
});

Deno.test("checkTLSOptions() names what is empty or too long", () => {
  const hostname = "localhost";
  for (
    const options of [
      { hostname: "" },
      { hostname: "." },
      { hostname: "a".repeat(254) },
      { hostname, alpnProtocols: ["h2", ""] },
      { hostname, alpnProtocols: ["a".repeat(256)] },
    ]
  ) {
    const error = assertThrows(() => check("client", options), RangeError);
    assertMatch(
      error.message,
      /^Cannot start TLS: "options\.\w+.*" must be 1 to/,
    );
  }
});

Deno.test("checkTLSOptions() refuses a time that never comes", () => {
  for (const handshakeTimeout of [-1, NaN, Infinity]) {
    const error = assertThrows(
      () => check("client", { hostname: "localhost", handshakeTimeout }),
      RangeError,
    );
    assertMatch(error.message, /"options\.handshakeTimeout" must be a finite/);
  }
});

Deno.test("checkTLSOptions() ignores what is for the other side", () => {
  const options = { cert: "PEM", key: "PEM", hostname: 1, caCerts: 2 };
  assertEquals(check("server", options), {
    alpnProtocols: [],
    identity: { cert: "PEM", key: "PEM" },
    hostname: undefined,
    caCerts: [],
    verifies: false,
    handshakeTimeout: 30_000,
  });
});

Deno.test("checkTLSOptions() verifies certificates unless it is told not to", () => {
  assertEquals(check("client", { hostname: "localhost." }), {
    alpnProtocols: [],
    identity: undefined,
    hostname: "localhost",
    caCerts: [],
    verifies: true,
    handshakeTimeout: 30_000,
  });
  assertEquals(
    check("client", {
      unsafelyIgnoreCertificateErrors: true,
      alpnProtocols: ["h2", "é"],
    }),
    {
      alpnProtocols: [
        new Uint8Array([2, 104, 50]),
        new Uint8Array([2, 195, 169]),
      ],
      identity: undefined,
      hostname: undefined,
      caCerts: [],
      verifies: false,
      handshakeTimeout: 30_000,
    },
  );
});

testToolkit(
  "TLSContext names the certificate or key that it cannot use",
  missing,
  async () => {
    const [one, other] = await Promise.all([selfSigned({}), selfSigned({})]);
    await using folder = new Folder();
    const locked = folder.file("locked");
    // deno-fmt-ignore
    await openssl(
    "pkcs8", "-topk8", "-in", await folder.write("key", one.key),
    "-out", locked, "-passout", "pass:secret",
  );
    const broken = one.cert.replace(/M/, "-");
    const bad: [TLSRole, TLSOptions, RegExp][] = [
      ["server", { ...one, cert: "" }, /"options.cert".+: no start line$/],
      ["server", { ...one, cert: one.key }, /"options.cert".+: no start line$/],
      [
        "server",
        { ...one, cert: broken },
        /"options.cert" must be a certificate/,
      ],
      [
        "server",
        { ...one, cert: one.cert + broken },
        /"options.cert" must be a certificate/,
      ],
      [
        "server",
        { ...one, key: one.cert },
        /"options.key" must be a private key in a form that OpenSSL can use: /,
      ],
      [
        "server",
        { ...one, key: other.key },
        /"options.key" must be the private key of the certificate.+: key values mismatch$/,
      ],
      // Nobody is asked for the password.
      [
        "server",
        { ...one, key: await Deno.readTextFile(locked) },
        /"options.key" must be a private key/,
      ],
      [
        "client",
        { hostname: "a", caCerts: [one.cert, "no certificate"] },
        /"options.caCerts\[1\]".+: no start line$/,
      ],
    ];
    for (const [role, options, message] of bad) {
      const error = assertThrows(
        () => new TLSContext(role, options),
        TypeError,
      );
      assertMatch(error.message, message);
      assertMatch(error.message, /^Cannot start TLS: /);
      // Nothing of a key gets into a log.
      assertFalse(error.message.includes("BEGIN"));
    }
  },
);

testToolkit(
  "TLSContext takes the certificate out of a file with the key in it",
  missing,
  async () => {
    const { cert, key } = await selfSigned({});
    const both = `Some words.\n${key}\n${cert}\n`;
    new TLSContext("server", { cert: both, key: both })[Symbol.dispose]();
  },
);

testToolkit(
  "TLSContext makes no connections when it was disposed of",
  missing,
  () => {
    const context = new TLSContext("client", { hostname: "localhost" });
    using before = new TLSEngine(context);
    context[Symbol.dispose]();
    context[Symbol.dispose]();
    assertThrows(
      () => new TLSEngine(context),
      Deno.errors.BadResource,
      "Cannot start TLS: the context was disposed of",
    );
    // What was made before goes on: it has something to say.
    const hello = new Uint8Array(1);
    assertEquals(before.transmit(hello), 1);
    assertEquals(hello, new Uint8Array([22]));
    return Promise.resolve();
  },
);
