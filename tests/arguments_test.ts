import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  checkDelay,
  checkFd,
  checkFinite,
  checkFunction,
  checkString,
  show,
} from "../src/arguments.ts";

const NOT_NUMBERS = [undefined, null, "1", 1n, {}, [], true, new Date(0)];

Deno.test("checkFunction() names the argument and the value when it is no function", () => {
  checkFunction(() => {}, "call later", "f");
  checkFunction(class {}, "call later", "f");
  for (const value of [undefined, null, 5, "f", {}]) {
    assertThrows(() => checkFunction(value, "call later", "f"), TypeError);
  }
  const error = assertThrows(() => checkFunction(5, "call later", "f"));
  assertEquals(
    (error as Error).message,
    'Cannot call later: "f" must be a function, received 5',
  );
});

Deno.test("checkString() refuses what is not a string", () => {
  checkString("", "fire", "event");
  for (const value of [undefined, null, 5, new String("x"), Symbol("x")]) {
    assertThrows(() => checkString(value, "fire", "event"), TypeError);
  }
});

Deno.test("checkDelay() accepts every finite number of at least 0 (contract 61, 86)", () => {
  for (const ms of [0, -0, 0.5, 2 ** 31, 2 ** 128, Number.MAX_VALUE]) {
    checkDelay(ms, "call later", "ms");
  }
});

Deno.test("checkDelay() tells a wrong type from a wrong number (contract 61)", () => {
  for (const ms of NOT_NUMBERS) {
    assertThrows(() => checkDelay(ms, "call later", "ms"), TypeError);
  }
  for (const ms of [NaN, -1, -Number.MIN_VALUE, Infinity, -Infinity]) {
    assertThrows(() => checkDelay(ms, "call later", "ms"), RangeError);
  }
  const error = assertThrows(() => checkDelay(NaN, "call later", "ms"));
  assertEquals(
    (error as Error).message,
    'Cannot call later: "ms" must be a finite number of at least 0, received NaN',
  );
});

Deno.test("checkFinite() accepts either sign and refuses what is not finite", () => {
  for (const ms of [0, -5, 2 ** 128]) checkFinite(ms, "delay", "ms");
  for (const ms of NOT_NUMBERS) {
    assertThrows(() => checkFinite(ms, "delay", "ms"), TypeError);
  }
  for (const ms of [NaN, Infinity, -Infinity]) {
    assertThrows(() => checkFinite(ms, "delay", "ms"), RangeError);
  }
});

Deno.test("checkFd() returns the number of a number or of an object with fileno()", () => {
  assertEquals(checkFd(0, "watch", "fd"), 0);
  assertEquals(checkFd(2 ** 31 - 1, "watch", "fd"), 2 ** 31 - 1);
  assertEquals(checkFd({ fileno: () => 7 }, "watch", "fd"), 7);
});

Deno.test("checkFd() keeps `this` when it asks an object", () => {
  class Holder {
    #fd = 8;
    fileno() {
      return this.#fd;
    }
  }
  assertEquals(checkFd(new Holder(), "watch", "fd"), 8);
});

Deno.test("checkFd() refuses what has no descriptor", () => {
  for (const value of [undefined, null, "1", 1n, {}, { fileno: 3 }, () => 3]) {
    assertThrows(() => checkFd(value, "watch", "fd"), TypeError);
  }
  for (const value of [-1, 1.5, NaN, Infinity, 2 ** 31]) {
    assertThrows(() => checkFd(value, "watch", "fd"), RangeError);
    const holder = { fileno: () => value };
    assertThrows(() => checkFd(holder, "watch", "fd"), RangeError, "fileno()");
  }
  const odd = { fileno: () => "3" };
  assertThrows(() => checkFd(odd, "watch", "fd"), TypeError, "fd.fileno()");
});

Deno.test("checkFd() lets through what fileno() throws", () => {
  class Broken extends Error {}
  const holder = {
    fileno() {
      throw new Broken();
    },
  };
  assertThrows(() => checkFd(holder, "watch", "fd"), Broken);
});

Deno.test("show() renders every kind of value shortly", () => {
  class Socket {}
  function tick() {}
  const cases: [unknown, string][] = [
    [undefined, "undefined"],
    [null, "null"],
    [true, "true"],
    [-0, "-0"],
    [NaN, "NaN"],
    [12n, "12n"],
    ['a "b"\n', '"a \\"b\\"\\n"'],
    [Symbol("s"), "Symbol(s)"],
    [tick, "function tick"],
    [(() => () => {})(), "function"],
    [Socket, "function Socket"],
    [[1, 2], "object Array"],
    [{}, "object Object"],
    [new Socket(), "object Socket"],
    [Object.create(null), "object"],
  ];
  for (const [value, text] of cases) assertEquals(show(value), text);
});

Deno.test("show() cuts what is long", () => {
  assertEquals(show("x".repeat(40)), `"${"x".repeat(40)}"`);
  const long = ["x".repeat(1e6), 10n ** 300n, Symbol("x".repeat(1e6))];
  for (const value of long) assert(show(value).length < 60);
});

Deno.test("show() runs no code of the value and never throws", () => {
  let ran = 0;
  const trap = {
    get constructor() {
      return ran++;
    },
    get name() {
      return ran++;
    },
    toString() {
      return `${ran++}`;
    },
    toJSON() {
      return ran++;
    },
    [Symbol.toPrimitive]() {
      return ran++;
    },
  };
  class Named {
    static get name() {
      return `${ran++}`;
    }
  }
  show(trap);
  show(Object.create(trap));
  show(new Named());
  show(Named);
  assertEquals(ran, 0);

  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  assertEquals(show(proxy), "object");
});
