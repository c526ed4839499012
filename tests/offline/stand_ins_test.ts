import * as assertStandIn from "./assert.ts";
import {
  assertEquals,
  assertGreaterOrEqual,
  AssertionError,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "./assert.ts";
import * as asyncStandIn from "./async.ts";
import * as stdAssert from "@std/assert";
import * as stdAsync from "@std/async";

// The stand-ins are worth something only as long as they judge as the originals
// do, so every verdict below is asked of both. Where JSR cannot be reached the
// originals' names lead to the stand-ins, and once is enough.
type AssertLibrary = typeof assertStandIn;
type AsyncLibrary = typeof asyncStandIn;

const assertLibraries = new Map<string, AssertLibrary>([
  ["stand-in", assertStandIn],
]);
if (stdAssert.assert !== assertStandIn.assert) {
  assertLibraries.set("@std/assert", stdAssert as unknown as AssertLibrary);
}

const asyncLibraries = new Map<string, AsyncLibrary>([
  ["stand-in", asyncStandIn],
]);
if (stdAsync.delay !== asyncStandIn.delay) {
  asyncLibraries.set("@std/async", stdAsync as unknown as AsyncLibrary);
}

const sameError = new Error("same");

class Point {
  x: number;
  constructor(x: number) {
    this.x = x;
  }
}

const EQUAL: [name: string, a: unknown, b: unknown][] = [
  ["NaN", NaN, NaN],
  ["0 and -0", 0, -0],
  ["strings", "one", "one"],
  ["bigints", 1n, 1n],
  ["undefined", undefined, undefined],
  ["nested arrays", [1, [2, 3]], [1, [2, 3]]],
  ["objects in another order", { a: 1, b: [2] }, { b: [2], a: 1 }],
  ["a plain object and one without a prototype", {}, Object.create(null)],
  ["symbol keys", { [Symbol.iterator]: 1 }, { [Symbol.iterator]: 1 }],
  ["instances", new Point(1), new Point(1)],
  ["dates", new Date(5), new Date(5)],
  ["invalid dates", new Date(NaN), new Date(NaN)],
  ["regular expressions", /one/g, /one/g],
  ["addresses", new URL("file:///one"), new URL("file:///one")],
  ["typed arrays", new Uint8Array([1, 2]), new Uint8Array([1, 2])],
  ["float arrays", new Float64Array([NaN, 0]), new Float64Array([NaN, -0])],
  ["buffers", new Uint8Array([1]).buffer, new Uint8Array([1]).buffer],
  ["views", new DataView(new ArrayBuffer(2)), new DataView(new ArrayBuffer(2))],
  [
    "maps in another order",
    new Map([[1, 2], [3, 4]]),
    new Map([[3, 4], [1, 2]]),
  ],
  ["maps of objects", new Map([[{ a: 1 }, [2]]]), new Map([[{ a: 1 }, [2]]])],
  ["sets in another order", new Set([1, 2]), new Set([2, 1])],
  [
    "sets of objects",
    new Set([{ a: 1 }, { b: 2 }]),
    new Set([{ b: 2 }, { a: 1 }]),
  ],
  ["one error", sameError, sameError],
];

const DIFFERENT: [name: string, a: unknown, b: unknown][] = [
  ["numbers", 1, 2],
  ["a number and a string", 1, "1"],
  ["null and undefined", null, undefined],
  ["null and an object", null, {}],
  ["functions", () => 1, () => 1],
  ["symbols", Symbol("one"), Symbol("one")],
  ["arrays of other lengths", [1], [1, 2]],
  ["an array and an object", [1], { 0: 1 }],
  ["a missing property", { a: undefined }, {}],
  ["another property", { a: undefined }, { b: undefined }],
  ["a nested difference", { a: { b: [1] } }, { a: { b: [2] } }],
  ["an instance and a plain object", new Point(1), { x: 1 }],
  ["instances", new Point(1), new Point(2)],
  ["dates", new Date(5), new Date(6)],
  ["a date and an invalid one", new Date(5), new Date(NaN)],
  ["flags", /one/g, /one/i],
  ["addresses", new URL("file:///one"), new URL("file:///two")],
  ["bytes", new Uint8Array([1, 2]), new Uint8Array([1, 3])],
  ["byte counts", new Uint8Array([1]), new Uint8Array([1, 0])],
  ["kinds of typed arrays", new Uint8Array([1]), new Int8Array([1])],
  ["buffers", new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
  ["map values", new Map([[1, 2]]), new Map([[1, 3]])],
  ["map keys", new Map([[{ a: 1 }, 2]]), new Map([[{ a: 2 }, 2]])],
  ["map sizes", new Map([[1, 2]]), new Map()],
  ["sets", new Set([1]), new Set([2])],
  ["sets of objects", new Set([{ a: 1 }, {}]), new Set([{ a: 1 }, { a: 1 }])],
  ["a map and a set", new Map(), new Set()],
  ["messages of errors", new Error("one"), new Error("two")],
  ["classes of errors", new TypeError("one"), new RangeError("one")],
];

function thrower(error: unknown): () => never {
  return () => {
    throw error;
  };
}

/** What each assertion accepts. */
function accepted(library: AssertLibrary): [string, () => unknown][] {
  const l: AssertLibrary = library;
  return [
    ["assert()", () => l.assert("yes")],
    ["assertFalse()", () => l.assertFalse(0)],
    ["assertStrictEquals() of NaN", () => l.assertStrictEquals(NaN, NaN)],
    ["assertNotStrictEquals()", () => l.assertNotStrictEquals([], [])],
    ["assertExists() of 0", () => l.assertExists(0)],
    ["assertInstanceOf()", () => l.assertInstanceOf(new Point(1), Point)],
    ["assertMatch()", () => l.assertMatch("one two", /two$/)],
    ["assertStringIncludes()", () => l.assertStringIncludes("one", "n")],
    ["assertArrayIncludes()", () => l.assertArrayIncludes([1, [2]], [[2]])],
    ["assertGreater()", () => l.assertGreater(2, 1)],
    ["assertGreaterOrEqual()", () => l.assertGreaterOrEqual(2n, 2n)],
    ["assertLess()", () => l.assertLess("a", "b")],
    ["assertLessOrEqual()", () => l.assertLessOrEqual(1, 1)],
    ["assertAlmostEquals()", () => l.assertAlmostEquals(0.1 + 0.2, 0.3)],
    [
      "assertAlmostEquals() within a tolerance",
      () => l.assertAlmostEquals(10, 12, 2),
    ],
    [
      "assertAlmostEquals() of infinities",
      () => l.assertAlmostEquals(Infinity, Infinity),
    ],
    [
      "assertObjectMatch()",
      () =>
        l.assertObjectMatch(
          { a: 1, b: { c: [1, { d: 2, e: 3 }], f: /g/ } },
          { b: { c: [1, { d: 2 }], f: /g/ } },
        ),
    ],
    [
      "assertObjectMatch() of collections",
      () =>
        l.assertObjectMatch(
          { map: new Map([["a", { b: 1, c: 2 }]]), set: new Set([1, 2]) },
          { map: new Map([["a", { b: 1 }]]), set: new Set([2]) },
        ),
    ],
    ["assertThrows()", () => l.assertThrows(thrower("anything"))],
    [
      "assertThrows() with a class and a message",
      () => l.assertThrows(thrower(new TypeError("so long")), Error, "long"),
    ],
    ["assertRejects()", () => l.assertRejects(() => Promise.reject(1))],
    [
      "assertRejects() with a class and a message",
      () =>
        l.assertRejects(
          () => Promise.reject(new TypeError("so long")),
          TypeError,
          "so",
        ),
    ],
  ];
}

/** What each assertion turns down; all are given the reason "because". */
function turnedDown(library: AssertLibrary): [string, () => unknown][] {
  const l: AssertLibrary = library;
  const why = "because";
  return [
    ["assert()", () => l.assert(0, why)],
    ["assertFalse()", () => l.assertFalse("yes", why)],
    ["fail()", () => l.fail(why)],
    [
      "assertStrictEquals() of 0 and -0",
      () => l.assertStrictEquals(0, -0, why),
    ],
    [
      "assertStrictEquals() of objects",
      () => l.assertStrictEquals({}, {}, why),
    ],
    ["assertNotStrictEquals()", () => l.assertNotStrictEquals(1, 1, why)],
    ["assertExists() of null", () => l.assertExists(null, why)],
    ["assertExists() of undefined", () => l.assertExists(undefined, why)],
    ["assertInstanceOf()", () => l.assertInstanceOf({ x: 1 }, Point, why)],
    ["assertInstanceOf() of null", () => l.assertInstanceOf(null, Point, why)],
    ["assertMatch()", () => l.assertMatch("one two", /^two/, why)],
    ["assertStringIncludes()", () => l.assertStringIncludes("one", "t", why)],
    ["assertArrayIncludes()", () => l.assertArrayIncludes([1], [1, 2], why)],
    ["assertGreater()", () => l.assertGreater(1, 1, why)],
    ["assertGreaterOrEqual()", () => l.assertGreaterOrEqual(0, 1, why)],
    ["assertLess()", () => l.assertLess(1, 1, why)],
    ["assertLessOrEqual()", () => l.assertLessOrEqual(2, 1, why)],
    ["assertLessOrEqual() of NaN", () => l.assertLessOrEqual(NaN, 1, why)],
    [
      "assertAlmostEquals()",
      () => l.assertAlmostEquals(1, 1.00001, undefined, why),
    ],
    [
      "assertAlmostEquals() outside a tolerance",
      () => l.assertAlmostEquals(10, 12.5, 2, why),
    ],
    [
      "assertObjectMatch() of another value",
      () => l.assertObjectMatch({ a: { b: 1 } }, { a: { b: 2 } }, why),
    ],
    [
      "assertObjectMatch() of a missing property",
      () => l.assertObjectMatch({ a: 1 }, { a: 1, b: undefined }, why),
    ],
    [
      "assertObjectMatch() of a set",
      () => l.assertObjectMatch({ a: new Set([1]) }, { a: new Set([2]) }, why),
    ],
    [
      "assertObjectMatch() of a map",
      () =>
        l.assertObjectMatch(
          { a: new Map([[1, 2]]) },
          { a: new Map([[1, 3]]) },
          why,
        ),
    ],
    ["assertThrows()", () => l.assertThrows(() => 1, why)],
    [
      "assertThrows() of another class",
      () => l.assertThrows(thrower(new Error("e")), TypeError, "", why),
    ],
    [
      "assertThrows() of another message",
      () => l.assertThrows(thrower(new Error("e")), Error, "f", why),
    ],
    [
      "assertThrows() of what is no error",
      () => l.assertThrows(thrower("e"), Error, "", why),
    ],
    [
      "assertRejects() of a promise that fulfils",
      () => l.assertRejects(() => Promise.resolve(1), why),
    ],
    [
      "assertRejects() of a function that throws",
      () => l.assertRejects(thrower(new Error("e")), Error, "", why),
    ],
    [
      "assertRejects() of a function without a promise",
      () => l.assertRejects((() => 1) as never, why),
    ],
    [
      "assertRejects() of another class",
      () =>
        l.assertRejects(
          () => Promise.reject(new Error("e")),
          TypeError,
          "",
          why,
        ),
    ],
    [
      "assertRejects() of another message",
      () =>
        l.assertRejects(() => Promise.reject(new Error("e")), Error, "f", why),
    ],
  ];
}

/** The error of `fn`, thrown or rejected, looked at without any assertion. */
async function errorOf(fn: () => unknown): Promise<unknown> {
  try {
    await fn();
  } catch (error) {
    return error;
  }
  return undefined;
}

async function expectPass(name: string, fn: () => unknown): Promise<void> {
  const error = await errorOf(fn);
  if (error !== undefined) throw new Error(`${name} failed`, { cause: error });
}

async function expectFailure(
  name: string,
  fn: () => unknown,
  library: AssertLibrary,
): Promise<void> {
  const error = await errorOf(fn);
  if (!(error instanceof library.AssertionError)) {
    throw new Error(`${name} did not fail: ${error}`);
  }
  if (!error.message.includes("because")) {
    throw new Error(`${name} lost the reason`, { cause: error });
  }
}

for (const [origin, library] of assertLibraries) {
  Deno.test(`assertEquals() accepts what is deeply equal (${origin})`, async () => {
    for (const [name, a, b] of EQUAL) {
      await expectPass(name, () => library.assertEquals(a, b));
      await expectFailure(
        name,
        () => library.assertNotEquals(a, b, "because"),
        library,
      );
    }
  });

  Deno.test(`assertEquals() turns down what is not deeply equal (${origin})`, async () => {
    for (const [name, a, b] of DIFFERENT) {
      await expectPass(name, () => library.assertNotEquals(a, b));
      await expectFailure(
        name,
        () => library.assertEquals(a, b, "because"),
        library,
      );
    }
  });

  Deno.test(`assertions accept what is as it should be (${origin})`, async () => {
    for (const [name, fn] of accepted(library)) await expectPass(name, fn);
  });

  Deno.test(`assertions turn down what is not (${origin})`, async () => {
    for (const [name, fn] of turnedDown(library)) {
      await expectFailure(name, fn, library);
    }
  });

  Deno.test(`assertThrows() and assertRejects() return the error (${origin})`, async () => {
    const l: AssertLibrary = library;
    const error = new TypeError("mine");
    l.assertStrictEquals(l.assertThrows(thrower(error)), error);
    l.assertStrictEquals(l.assertThrows(thrower(error), TypeError), error);
    l.assertStrictEquals(
      await l.assertRejects(() => Promise.reject(error), TypeError),
      error,
    );
  });

  Deno.test(`equal() throws when the elements cannot be seen (${origin})`, () => {
    library.assertThrows(
      () => library.equal(new WeakMap(), new WeakMap()),
      TypeError,
    );
  });
}

Deno.test("assertEquals() shows both values when they differ", () => {
  const { message } = assertThrows(
    () => assertEquals({ a: [1, NaN] }, { a: [1, -0] }),
    AssertionError,
  );
  assertStringIncludes(message, "actual:   { a: [ 1, NaN ] }");
  assertStringIncludes(message, "expected: { a: [ 1, -0 ] }");
});

for (const [origin, { deadline, delay }] of asyncLibraries) {
  Deno.test(`delay() resolves when the time is over (${origin})`, async () => {
    const start = performance.now();
    await delay(20);
    // A timer counts whole milliseconds and may start in the middle of one.
    assertGreaterOrEqual(performance.now() - start, 19);
  });

  Deno.test(`delay() rejects with the reason when it is aborted (${origin})`, async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const waiting = delay(2 ** 40, { signal: controller.signal });
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => waiting), reason);
    assertStrictEquals(
      await assertRejects(() => delay(1, { signal: controller.signal })),
      reason,
    );
  });

  Deno.test(`deadline() settles as its promise does when there is time (${origin})`, async () => {
    assertEquals(await deadline(Promise.resolve(1), 60_000), 1);
    const reason = new Error("no");
    assertStrictEquals(
      await assertRejects(() => deadline(Promise.reject(reason), 60_000)),
      reason,
    );
  });

  Deno.test(`deadline() rejects when the time is over (${origin})`, async () => {
    const { promise } = Promise.withResolvers<void>();
    const error = await assertRejects(
      () => deadline(promise, 10),
      DOMException,
    );
    assertEquals(error.name, "TimeoutError");
  });

  Deno.test(`deadline() rejects with the reason when it is aborted (${origin})`, async () => {
    const { promise } = Promise.withResolvers<void>();
    const controller = new AbortController();
    const reason = new Error("enough");
    const waiting = deadline(promise, 60_000, { signal: controller.signal });
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => waiting), reason);
  });
}

Deno.test("delay() lets the process end when it is not persistent", async () => {
  const module = JSON.stringify(new URL("./async.ts", import.meta.url).href);
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `import { delay } from ${module}; delay(Infinity, { persistent: false });`,
    ],
    signal: AbortSignal.timeout(60_000),
  }).output();
  assertEquals(success, true);
});
