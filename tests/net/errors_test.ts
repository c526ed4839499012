import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStrictEquals,
} from "@std/assert";
import { ERRNO } from "../../ffi/errno.ts";
import {
  ConnectionDone,
  ConnectionLost,
  ReactorError,
} from "../../src/errors.ts";
import {
  CannotListenError,
  ConnectBindError,
  ConnectError,
  connectError,
  ConnectionRefusedError,
  ConnectTimeoutError,
  FileDescriptorOverrun,
  InvalidAddressError,
  MessageLengthError,
  NameLookupError,
  NoRouteError,
  NotConnectingError,
  ofKernel,
  ProcessDone,
  ProcessExitedAlready,
  ProcessTerminated,
  ServiceNameUnknownError,
  UnsupportedAddressFamily,
  UserError,
} from "../../src/net/errors.ts";

const CONNECT_ERRORS = {
  ConnectBindError,
  ConnectError,
  ConnectionRefusedError,
  ConnectTimeoutError,
  NameLookupError,
  NoRouteError,
  ServiceNameUnknownError,
  UserError,
};

const OTHERS = {
  CannotListenError,
  FileDescriptorOverrun,
  InvalidAddressError,
  MessageLengthError,
  NotConnectingError,
  ProcessDone,
  ProcessExitedAlready,
  ProcessTerminated,
  UnsupportedAddressFamily,
};

for (const [name, Class] of Object.entries({ ...CONNECT_ERRORS, ...OTHERS })) {
  Deno.test(`${name} has its name and a message of its own when made without arguments`, () => {
    const error = new Class();
    assertInstanceOf(error, ReactorError);
    assertEquals(error instanceof ConnectError, name in CONNECT_ERRORS);
    assertEquals(error.name, name);
    assert(/^[A-Z].*[^.]$/.test(error.message), error.message);
    assertFalse("cause" in error);
    assertFalse("code" in error);
    assertFalse("errno" in error);
    assert(error.stack!.startsWith(`${name}: ${error.message}\n`), error.stack);
  });

  Deno.test(`${name} carries message, cause, code and errno when they are given`, () => {
    const cause = new Error("Deeper");
    const error = new Class("It is so", { cause, code: "EIO", errno: 5 });
    assertEquals(error.message, "It is so");
    assertStrictEquals(error.cause, cause);
    assertEquals(error.code, "EIO");
    assertEquals(error.errno, 5);
  });
}

Deno.test("ProcessDone is a clean end with exit code 0 (contract 244)", () => {
  const done = new ProcessDone();
  assertInstanceOf(done, ConnectionDone);
  assertEquals([done.exitCode, done.signal, done.status], [0, null, 0]);
});

Deno.test("ProcessTerminated says how the process ended (contract 244)", () => {
  const exited = new ProcessTerminated(undefined, { exitCode: 3, status: 768 });
  assertInstanceOf(exited, ConnectionLost);
  assertEquals(exited.message, "The process exited with code 3");
  assertEquals([exited.exitCode, exited.signal, exited.status], [3, null, 768]);

  const killed = new ProcessTerminated(undefined, {
    signal: "SIGKILL",
    status: 9,
  });
  assertEquals(killed.message, "The process was ended by SIGKILL");
  assertEquals([killed.exitCode, killed.signal, killed.status], [
    null,
    "SIGKILL",
    9,
  ]);
});

Deno.test("FileDescriptorOverrun is a lost connection (contract 240)", () => {
  assertInstanceOf(new FileDescriptorOverrun(), ConnectionLost);
});

Deno.test("connectError() gives the class that the errno stands for (contract 190)", () => {
  const classes = {
    ECONNREFUSED: ConnectionRefusedError,
    ETIMEDOUT: ConnectTimeoutError,
    ENETDOWN: NoRouteError,
    ENETUNREACH: NoRouteError,
    EHOSTUNREACH: NoRouteError,
    EACCES: ConnectError,
    EADDRNOTAVAIL: ConnectError,
    ENOENT: ConnectError,
  };
  for (const [code, Class] of Object.entries(classes)) {
    const errno = ERRNO[code]!;
    const error = connectError("Cannot connect to 192.0.2.1:80", errno);
    assertStrictEquals(error.constructor, Class);
    assertEquals(error.code, code);
    assertEquals(error.errno, errno);
    assert(
      /^Cannot connect to 192\.0\.2\.1:80: [a-z ]+ \([A-Z]+\)$/.test(
        error.message,
      ),
      error.message,
    );
  }
});

Deno.test("connectError() gives a ConnectError when the errno has no name", () => {
  const error = connectError("Cannot connect", 3999);
  assertStrictEquals(error.constructor, ConnectError);
  assertEquals(error.code, "E3999");
  assertEquals(error.errno, 3999);
});

Deno.test("ofKernel() gives the class that it is told", () => {
  const error = ofKernel(CannotListenError, "Cannot listen", ERRNO.EADDRINUSE!);
  assertInstanceOf(error, CannotListenError);
  assertEquals(error.message, "Cannot listen: address in use (EADDRINUSE)");
  assertEquals(error.code, "EADDRINUSE");
});
