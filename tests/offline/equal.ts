type Collection = Map<unknown, unknown> | Set<unknown>;

/**
 * Deep equality: the same prototypes and equal properties. 0 equals -0 and NaN
 * equals NaN. Of anything that is no plain object or array the inherited and
 * hidden properties count as well, so two errors are equal only if their stacks
 * are. Private fields cannot be seen, circular values are not supported.
 */
export function equal(a: unknown, b: unknown): boolean {
  if (a === b || Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b)) return false;
  if (prototypeOf(a) !== prototypeOf(b)) return false;
  if (a instanceof Date) {
    return Object.is(a.getTime(), (b as Date).getTime());
  }
  if (
    a instanceof RegExp || a instanceof URL || a instanceof URLSearchParams
  ) {
    return String(a) === String(b);
  }
  if (a instanceof WeakMap || a instanceof WeakSet) {
    throw new TypeError(
      `Cannot compare values: a "${a[Symbol.toStringTag]}" hides its elements`,
    );
  }
  if (a instanceof ArrayBuffer || a instanceof SharedArrayBuffer) {
    return equal(new Uint8Array(a), new Uint8Array(b as ArrayBuffer));
  }
  if (isTypedArray(a)) return equalElements(a, b as Uint8Array);
  if (a instanceof Map || a instanceof Set) {
    return equalCollections(a, b as Collection);
  }
  return keysOf(a).union(keysOf(b)).values().every((key) =>
    key in a && key in b && equal(Reflect.get(a, key), Reflect.get(b, key))
  );
}

/** Whether a value has properties to look at; functions are compared whole. */
export function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isTypedArray(value: object): value is Uint8Array {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

/** An object without a prototype passes for a plain one. */
function prototypeOf(value: object): object {
  return Object.getPrototypeOf(value) ?? Object.prototype;
}

function keysOf(value: object): Set<PropertyKey> {
  const prototype = prototypeOf(value);
  if (prototype === Object.prototype || prototype === Array.prototype) {
    return new Set(Reflect.ownKeys({ ...value }));
  }
  const keys = new Set<PropertyKey>();
  for (
    let owner = value;
    owner !== null && owner !== Object.prototype;
    owner = Object.getPrototypeOf(owner)
  ) {
    for (const key of Reflect.ownKeys(owner)) keys.add(key);
  }
  return keys;
}

function equalElements(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((one, index) => equal(one, b[index]));
}

/** Order does not count, and a key may be any value that is deeply equal. */
function equalCollections(a: Collection, b: Collection): boolean {
  if (a.size !== b.size) return false;
  const unmatched = new Map<unknown, unknown>(b.entries());
  for (const [key, value] of a.entries()) {
    const candidates = unmatched.has(key) ? [key] : [...unmatched.keys()];
    const match = candidates.findIndex((candidate) =>
      equal(candidate, key) && equal(unmatched.get(candidate), value)
    );
    if (match === -1) return false;
    unmatched.delete(candidates[match]);
  }
  return true;
}
