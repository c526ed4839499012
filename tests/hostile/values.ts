/**
 * Values that somebody made to break whoever looks at them.
 *
 * @module
 */

function refuse(): never {
  throw new Error("a trap was sprung");
}

/** A proxy whose every trap throws. */
export function trapped<T extends object>(target: T): T {
  const traps = Object.fromEntries(
    Object.getOwnPropertyNames(Reflect).map((name) => [name, refuse]),
  );
  return new Proxy(target, traps);
}

/** A proxy that nothing can be asked any more. */
export function revoked<T extends object>(target: T): T {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** An Error of which some properties can't be read. */
export function unreadableError(...keys: string[]): Error {
  const error = new Error("unreadable");
  for (const key of keys) Object.defineProperty(error, key, { get: refuse });
  return error;
}

/** What can be thrown, and is no Error. */
export const NO_ERRORS: Record<string, () => unknown> = {
  undefined: () => undefined,
  null: () => null,
  "0": () => 0,
  "a symbol": () => Symbol("thrown"),
  "a frozen object": () => Object.freeze({ message: "frozen" }),
  "an object without a prototype": () => Object.create(null),
  "an object that is no string": () => ({
    toString: refuse,
    [Symbol.toPrimitive]: refuse,
    [Symbol.for("Deno.customInspect")]: refuse,
  }),
  "a proxy whose traps throw": () => trapped({}),
  "a proxy of an Error whose traps throw": () => trapped(new Error()),
  "a function whose traps throw": () => trapped(() => {}),
  "a revoked proxy": () => revoked({}),
};

/** Errors that cannot be looked at. */
export const BAD_ERRORS: Record<string, () => Error> = {
  "a frozen Error": () => Object.freeze(new Error("frozen")),
  "an Error whose message throws": () => unreadableError("message"),
  "an Error whose stack throws": () => unreadableError("stack"),
  "an Error of which nothing can be read": () =>
    unreadableError("message", "stack", "name", "cause", "constructor"),
  "an Error that is its own cause": () => {
    const error = new Error("a circle");
    error.cause = error;
    return error;
  },
};

/** Results that look like promises. */
export const BAD_THENABLES: Record<string, (error: unknown) => unknown> = {
  "whose then throws": (error) => ({
    then() {
      throw error;
    },
  }),
  "whose then is a getter that throws": (error) => ({
    get then() {
      throw error;
    },
  }),
  "that calls back twice": (error) => ({
    then(_: unknown, reject: (error: unknown) => void) {
      reject(error);
      reject(new Error("the second time"));
    },
  }),
  "that calls back, and then throws": (error) => ({
    then(_: unknown, reject: (error: unknown) => void) {
      reject(error);
      throw new Error("after that");
    },
  }),
  "that calls back much later": (error) => ({
    then(_: unknown, reject: (error: unknown) => void) {
      setTimeout(reject, 5, error);
    },
  }),
  "whose then is there only the first time": (error) => {
    let looks = 0;
    return {
      get then() {
        if (looks++ === 0) return () => {};
        throw error;
      },
    };
  },
  "that resolves with another one": (error) => ({
    then(resolve: (value: unknown) => void) {
      resolve({
        then(_: unknown, reject: (error: unknown) => void) {
          reject(error);
        },
      });
    },
  }),
};
