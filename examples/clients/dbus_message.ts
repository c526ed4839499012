/**
 * What D-Bus messages carry, in TypeScript's types and in libsystemd's hands.
 *
 * | D-Bus | TypeScript |
 * |---|---|
 * | `y` `n` `q` `i` `u` `d` | number |
 * | `x` `t` | bigint |
 * | `b` | boolean |
 * | `s` `o` `g` | string |
 * | `v` | {@linkcode Variant} |
 * | `ay` | Uint8Array |
 * | `a...` | array |
 * | `a{..}` | Map |
 * | `(...)` | tuple |
 *
 * Descriptors (`h`) are not among them.
 *
 * @module
 */

import { cString, systemError } from "../../ffi/mod.ts";

const P = "pointer";

const SYMBOLS = {
  /** `int sd_bus_message_append_basic(sd_bus_message *m, char type, const void *value)` */
  sd_bus_message_append_basic: {
    parameters: [P, "u8", "buffer"],
    result: "i32",
  },
  /** `int sd_bus_message_append_array(sd_bus_message *m, char type, const void *array, size_t size)` */
  sd_bus_message_append_array: {
    parameters: [P, "u8", "buffer", "usize"],
    result: "i32",
  },
  /** `int sd_bus_message_open_container(sd_bus_message *m, char type, const char *contents)` */
  sd_bus_message_open_container: {
    parameters: [P, "u8", "buffer"],
    result: "i32",
  },
  /** `int sd_bus_message_close_container(sd_bus_message *m)` */
  sd_bus_message_close_container: { parameters: [P], result: "i32" },
  /** `int sd_bus_message_read_basic(sd_bus_message *m, char type, void *value)` */
  sd_bus_message_read_basic: { parameters: [P, "u8", "buffer"], result: "i32" },
  /** `int sd_bus_message_read_array(sd_bus_message *m, char type, const void **array, size_t *size)` */
  sd_bus_message_read_array: {
    parameters: [P, "u8", "buffer", "buffer"],
    result: "i32",
  },
  /** `int sd_bus_message_enter_container(sd_bus_message *m, char type, const char *contents)` */
  sd_bus_message_enter_container: {
    parameters: [P, "u8", "buffer"],
    result: "i32",
  },
  /** `int sd_bus_message_exit_container(sd_bus_message *m)` */
  sd_bus_message_exit_container: { parameters: [P], result: "i32" },
  /** `int sd_bus_message_peek_type(sd_bus_message *m, char *type, const char **contents)` */
  sd_bus_message_peek_type: {
    parameters: [P, "buffer", "buffer"],
    result: "i32",
  },
  /** `int sd_bus_message_at_end(sd_bus_message *m, int complete)` */
  sd_bus_message_at_end: { parameters: [P, "i32"], result: "i32" },
  /** `const char *sd_bus_message_get_signature(sd_bus_message *m, int complete)` */
  sd_bus_message_get_signature: { parameters: [P, "i32"], result: P },
} as const;

type Library = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: Library | undefined;

function library(): Library {
  return opened ??= Deno.dlopen("libsystemd.so.0", SYMBOLS).symbols;
}

/** What the names of the errors begin with that everybody knows. */
export const ERROR = "org.freedesktop.DBus.Error";

/**
 * A call failed, or the connection did. A method that is exported throws one to
 * say which error it is; what else it throws is `org.freedesktop.DBus.Error.Failed`.
 */
export class DBusError extends Error {
  static {
    this.prototype.name = "DBusError";
  }
  /** D-Bus's name of it, such as `org.freedesktop.DBus.Error.ServiceUnknown`. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A value that brings its type with it. */
export interface Variant<S extends string = string> {
  /** The one type that it has. */
  readonly signature: S;
  readonly value: string extends S ? unknown : Values<S>[0];
}

/** Makes a variant, the type of which is checked. */
export function variant<const S extends string>(
  signature: S,
  value: Values<S>[0],
): Variant<S> {
  return { signature, value } as Variant<S>;
}

/** The types with one letter. */
interface Basic {
  y: number;
  b: boolean;
  n: number;
  q: number;
  i: number;
  u: number;
  x: bigint;
  t: bigint;
  d: number;
  s: string;
  o: string;
  g: string;
  v: Variant;
}

/** The first type of a signature, and the rest. */
type First<S extends string> = S extends `ay${infer Rest}`
  ? [Uint8Array<ArrayBuffer>, Rest]
  : S extends `a{${infer Entry}`
    ? Until<Entry, "}"> extends [[infer K, infer V], infer Rest]
      ? [Map<K, V>, Rest]
    : never
  : S extends `a${infer Element}`
    ? First<Element> extends [infer T, infer Rest] ? [T[], Rest] : never
  : S extends `(${infer Members}` ? Until<Members, ")">
  : S extends `${infer C extends keyof Basic}${infer Rest}` ? [Basic[C], Rest]
  : never;

/** The types up to a bracket, and the rest. */
type Until<S extends string, End extends string, T extends unknown[] = []> =
  S extends `${End}${infer Rest}` ? [T, Rest]
    : First<S> extends [infer U, infer Rest extends string]
      ? Until<Rest, End, [...T, U]>
    : never;

/** What goes with a signature: `Values<"sa{sv}">` is `[string, Map<string, Variant>]`. */
export type Values<S extends string> = string extends S ? unknown[]
  : Until<`${S})`, ")"> extends [infer T extends unknown[], ""] ? T
  : never;

/** Takes a signature apart: "sa{sv}" is a "s" and an "a{sv}". */
export function typesOf(signature: string): string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length;) {
    const end = endOfType(signature, at);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

function endOfType(signature: string, begin: number): number {
  let depth = 0;
  for (let at = begin; at < signature.length; at++) {
    const letter = signature[at]!;
    if (letter === "(" || letter === "{") depth++;
    else if (letter === ")" || letter === "}") depth--;
    if (letter !== "a" && depth === 0) return at + 1;
  }
  throw new TypeError(`This is not a signature of D-Bus: "${signature}"`);
}

/** Which array has room for one of them. */
const NUMBERS = {
  y: Uint8Array,
  n: Int16Array,
  q: Uint16Array,
  i: Int32Array,
  u: Uint32Array,
  x: BigInt64Array,
  t: BigUint64Array,
  d: Float64Array,
} as const;

function isNumber(type: string): type is keyof typeof NUMBERS {
  return Object.hasOwn(NUMBERS, type);
}

/** Puts values into a message. */
export function append(
  message: Deno.PointerValue,
  signature: string,
  values: readonly unknown[],
): void {
  const types = typesOf(signature);
  if (types.length !== values.length) {
    throw new TypeError(
      `"${signature}" is ${types.length} values, received ${values.length}`,
    );
  }
  types.forEach((type, i) => appendOne(message, type, values[i]));
}

function appendOne(
  message: Deno.PointerValue,
  type: string,
  value: unknown,
): void {
  if (type === "ay") appendBytes(message, value);
  else if (type.startsWith("a{")) appendEntries(message, type, value);
  else if (type.startsWith("a")) {
    const element = type.slice(1);
    const elements = required(Array.isArray(value), value as unknown[], type);
    within(message, "a", element, () => {
      for (const one of elements) appendOne(message, element, one);
    });
  } else if (type.startsWith("(")) {
    const members = type.slice(1, -1);
    const tuple = required(Array.isArray(value), value as unknown[], type);
    within(message, "r", members, () => append(message, members, tuple));
  } else if (type === "v") {
    const { signature, value: inner } = value as Variant;
    within(message, "v", signature, () => append(message, signature, [inner]));
  } else appendBasic(message, type, value);
}

function appendBytes(message: Deno.PointerValue, value: unknown): void {
  const isBytes = value instanceof Uint8Array;
  const bytes = required(isBytes, value as Uint8Array<ArrayBuffer>, "ay");
  const { sd_bus_message_append_array } = library();
  const size = BigInt(bytes.length);
  check(sd_bus_message_append_array(message, code("y"), bytes, size));
}

function appendEntries(
  message: Deno.PointerValue,
  type: string,
  value: unknown,
): void {
  const isMap = value instanceof Map;
  const entries = required(isMap, value as Map<unknown, unknown>, type);
  const contents = type.slice(2, -1);
  within(message, "a", type.slice(1), () => {
    for (const entry of entries) {
      within(message, "e", contents, () => append(message, contents, entry));
    }
  });
}

function appendBasic(
  message: Deno.PointerValue,
  type: string,
  value: unknown,
): void {
  const { sd_bus_message_append_basic } = library();
  check(
    sd_bus_message_append_basic(message, code(type), inMemory(type, value)),
  );
}

/** A value as C has it. */
function inMemory(type: string, value: unknown): BufferSource {
  if (type === "s" || type === "o" || type === "g") {
    return cString(value, "send a message", type);
  }
  if (type === "b") {
    return Int32Array.of(
      required(typeof value === "boolean", value, type) ? 1 : 0,
    );
  }
  if (!isNumber(type)) throw new TypeError(`"${type}" cannot be sent`);
  const memory = new NUMBERS[type](1);
  required(typeof value === typeof memory[0], value, type);
  memory[0] = value as never;
  // What does not fit has become something else.
  if (!Object.is(memory[0], value)) {
    throw new RangeError(`${value} does not fit into a D-Bus "${type}"`);
  }
  return memory;
}

function required<T>(isRight: boolean, value: T, type: string): T {
  if (isRight) return value;
  throw new TypeError(`Not what a D-Bus "${type}" is made of: ${typeof value}`);
}

function within(
  message: Deno.PointerValue,
  type: string,
  contents: string,
  f: () => void,
): void {
  const { sd_bus_message_open_container, sd_bus_message_close_container } =
    library();
  const signature = cString(contents, "send a message", "signature");
  check(sd_bus_message_open_container(message, code(type), signature));
  f();
  check(sd_bus_message_close_container(message));
}

/** The signature of a message. */
export function signatureOf(message: Deno.PointerValue): string {
  return textAt(library().sd_bus_message_get_signature(message, 1));
}

/** Takes all values out of a message. */
export function read(message: Deno.PointerValue): unknown[] {
  return typesOf(signatureOf(message)).map((type) => readOne(message, type));
}

function readOne(message: Deno.PointerValue, type: string): unknown {
  if (type === "ay") return readBytes(message);
  if (type.startsWith("a{")) {
    const contents = type.slice(2, -1);
    const types = typesOf(contents);
    const entries = readAll(
      message,
      type.slice(1),
      () =>
        inside(
          message,
          "e",
          contents,
          () => types.map((type) => readOne(message, type)),
        ),
    );
    return new Map(entries as [unknown, unknown][]);
  }
  if (type.startsWith("a")) {
    const element = type.slice(1);
    return readAll(message, element, () => readOne(message, element));
  }
  if (type.startsWith("(")) {
    const members = type.slice(1, -1);
    return inside(
      message,
      "r",
      members,
      () => typesOf(members).map((type) => readOne(message, type)),
    );
  }
  return type === "v" ? readVariant(message) : readBasic(message, type);
}

function readBytes(message: Deno.PointerValue): Uint8Array<ArrayBuffer> {
  const where = new BigUint64Array(1);
  const size = new BigUint64Array(1);
  const { sd_bus_message_read_array } = library();
  check(sd_bus_message_read_array(message, code("y"), where, size));
  const bytes = new Uint8Array(Number(size[0]));
  const pointer = Deno.UnsafePointer.create(where[0]!);
  if (bytes.length > 0) new Deno.UnsafePointerView(pointer!).copyInto(bytes);
  return bytes;
}

/** The elements of an array. */
function readAll<T>(
  message: Deno.PointerValue,
  contents: string,
  readNext: () => T,
): T[] {
  return inside(message, "a", contents, () => {
    const all: T[] = [];
    while (check(library().sd_bus_message_at_end(message, 0)) === 0) {
      all.push(readNext());
    }
    return all;
  });
}

function readVariant(message: Deno.PointerValue): Variant {
  const contents = new BigUint64Array(1);
  const { sd_bus_message_peek_type } = library();
  check(sd_bus_message_peek_type(message, new Uint8Array(1), contents));
  const signature = textAt(Deno.UnsafePointer.create(contents[0]!));
  const value = inside(
    message,
    "v",
    signature,
    () => readOne(message, signature),
  );
  return { signature, value };
}

function readBasic(message: Deno.PointerValue, type: string): unknown {
  const { sd_bus_message_read_basic } = library();
  const memory = isNumber(type)
    ? new NUMBERS[type](1)
    : type === "b"
    ? new Int32Array(1)
    : new BigUint64Array(1);
  check(sd_bus_message_read_basic(message, code(type), memory));
  if (isNumber(type)) return memory[0];
  if (type === "b") return memory[0] !== 0;
  if (type !== "s" && type !== "o" && type !== "g") {
    throw new TypeError(`"${type}" cannot be read`);
  }
  return textAt(Deno.UnsafePointer.create(memory[0] as bigint));
}

function inside<T>(
  message: Deno.PointerValue,
  type: string,
  contents: string,
  f: () => T,
): T {
  const { sd_bus_message_enter_container, sd_bus_message_exit_container } =
    library();
  const signature = cString(contents, "read a message", "signature");
  check(sd_bus_message_enter_container(message, code(type), signature));
  const result = f();
  check(sd_bus_message_exit_container(message));
  return result;
}

/** A type's letter as a `char`. */
function code(type: string): number {
  return type.charCodeAt(0);
}

/** What sd-bus returns: a negative number is an errno. */
export function check(result: number, action = "Cannot use D-Bus"): number {
  if (result < 0) throw systemError(action, -result);
  return result;
}

/** A text of C's; "" if there is none. */
export function textAt(pointer: Deno.PointerValue): string {
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}
