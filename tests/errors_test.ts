import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  AlreadyCalled,
  AlreadyCancelled,
  asError,
  ConnectionAborted,
  ConnectionDone,
  ConnectionLost,
  ReactorAlreadyRunning,
  ReactorError,
  ReactorFailed,
  ReactorNotRestartable,
  ReactorNotRunning,
} from "../src/errors.ts";

const CLASSES = {
  AlreadyCalled,
  AlreadyCancelled,
  ConnectionAborted,
  ConnectionDone,
  ConnectionLost,
  ReactorAlreadyRunning,
  ReactorFailed,
  ReactorNotRestartable,
  ReactorNotRunning,
};

for (const [name, Class] of Object.entries(CLASSES)) {
  Deno.test(`${name} has its name and a message of its own when made without arguments`, () => {
    const error = new Class();
    assertInstanceOf(error, Error);
    assertInstanceOf(error, ReactorError);
    assertEquals(error.name, name);
    assert(/^[A-Z].*[^.]$/.test(error.message), error.message);
    assertFalse("cause" in error);
    assertFalse("code" in error);
    assertFalse("errno" in error);
    assert(error.stack!.startsWith(`${name}: ${error.message}\n`), error.stack);
  });

  Deno.test(`${name} carries message, cause, code and errno when they are given`, () => {
    const cause = new Error("Deeper");
    const error = new Class("It is so", { cause, code: "EBADF", errno: 9 });
    assertEquals(error.message, "It is so");
    assertStrictEquals(error.cause, cause);
    assertEquals(error.code, "EBADF");
    assertEquals(error.errno, 9);
  });
}

Deno.test("ReactorError keeps its class, code and errno apart when it has subclasses", () => {
  assertEquals(new ReactorError().message, "");
  assertEquals(new ReactorError("Plain").name, "ReactorError");
  class Special extends ConnectionLost {}
  assertEquals(new Special().message, new ConnectionLost().message);
  assertFalse(new ConnectionLost() instanceof ConnectionDone);
});

Deno.test("ReactorError keeps its message when it is cloned into another thread", () => {
  assertEquals(
    structuredClone(new ReactorNotRunning()).message,
    "The reactor is not running",
  );
});

Deno.test("ReactorError shows code and errno but not its name among the fields when printed", () => {
  const text = Deno.inspect(
    new ConnectionLost("Gone", { code: "ECONNRESET", errno: 104 }),
  );
  assertStringIncludes(text, "ConnectionLost: Gone");
  assertStringIncludes(text, 'code: "ECONNRESET"');
  assertFalse(text.includes("name:"), text);
});

Deno.test("asError() returns the value itself when it is an Error", () => {
  for (
    const error of [
      new Error("x"),
      new ConnectionDone(),
      new DOMException("x", "AbortError"),
    ]
  ) {
    assertStrictEquals(asError(error), error);
  }
});

Deno.test("asError() returns the value itself when it is an Error of another realm", async () => {
  const { runInNewContext } = await import("node:vm");
  const foreign = runInNewContext("new RangeError('elsewhere')");
  assertFalse(foreign instanceof Error);
  assertStrictEquals(asError(foreign), foreign);
});

Deno.test("asError() wraps the value as cause when it is no Error", () => {
  const unprintable = {
    toString() {
      throw new Error("Not printable");
    },
  };
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const values = [
    undefined,
    null,
    0,
    "text",
    Symbol("s"),
    1n,
    unprintable,
    Object.create(null),
    proxy,
    () => {},
  ];
  for (const value of values) {
    const error = asError(value);
    assertEquals(error.constructor, Error);
    assert(Object.is(error.cause, value));
  }
});

Deno.test("asError() names the value in the message when it is no Error", () => {
  assertStringIncludes(asError("out of paper").message, '"out of paper"');
  assertStringIncludes(asError(undefined).message, "undefined");
});
