/**
 * Objects that others call over D-Bus: their methods, properties and signals, and
 * what every object has besides, which is `org.freedesktop.DBus.Properties` and
 * `org.freedesktop.DBus.Introspectable`.
 *
 * @module
 */

import {
  DBusError,
  ERROR,
  typesOf,
  type Values,
  type Variant,
} from "./dbus_message.ts";

/** The interface by which properties are read and set. */
export const PROPERTIES = "org.freedesktop.DBus.Properties";
const INTROSPECTABLE = "org.freedesktop.DBus.Introspectable";

/** See {@linkcode method}. */
export interface ExportedMethod {
  readonly takes: string;
  readonly returns: string;
  // deno-lint-ignore no-explicit-any -- Whatever "takes" says.
  readonly call: (...values: any) => unknown;
}

/** See {@linkcode property}. */
export interface ExportedProperty {
  readonly type: string;
  readonly get: () => unknown;
  // deno-lint-ignore no-explicit-any -- Whatever "type" says.
  readonly set?: (value: any) => void;
}

/** An interface to export. */
export interface Interface {
  readonly methods?: Readonly<Record<string, ExportedMethod>>;
  readonly properties?: Readonly<Record<string, ExportedProperty>>;
  /** Signatures by names. */
  readonly signals?: Readonly<Record<string, string>>;
}

/**
 * A method for {@linkcode DBus.export}.
 *
 * @param takes The signature of its arguments.
 * @param returns The signature of what it returns, in an array.
 */
export function method<const In extends string, const Out extends string>(
  takes: In,
  returns: Out,
  // The spread lets an array count as a tuple.
  call: (...values: Values<In>) => [...Values<Out>] | Promise<[...Values<Out>]>,
): ExportedMethod {
  return { takes, returns, call };
}

/** A property for {@linkcode DBus.export}, which others can set if there is a `set`. */
export function property<const S extends string>(
  type: S,
  get: () => Values<S>[0],
  set?: (value: Values<S>[0]) => void,
): ExportedProperty {
  return { type, get, set };
}

/** What a connection exports, by path and by the interface's name. */
export class ExportedObjects {
  readonly #paths = new Map<string, Map<string, Interface>>();

  /**
   * Adds an interface to an object.
   *
   * @returns What takes it away again.
   * @throws {RangeError} When the object has that interface already.
   */
  add(path: string, name: string, contents: Interface): () => void {
    const interfaces = this.#paths.get(path) ?? new Map<string, Interface>();
    if (interfaces.has(name)) {
      throw new RangeError(`"${path}" has an interface "${name}" already`);
    }
    this.#paths.set(path, interfaces.set(name, contents));
    return () => {
      if (interfaces.get(name) !== contents) return;
      interfaces.delete(name);
      if (interfaces.size === 0) this.#paths.delete(path);
    };
  }

  /**
   * Finds a method.
   *
   * @throws {DBusError} When there is none.
   */
  find(path: string, name: string, member: string): ExportedMethod {
    const interfaces = this.#paths.get(path);
    if (interfaces === undefined && name === INTROSPECTABLE) {
      return this.#introspect(path);
    }
    if (interfaces === undefined) {
      throw new DBusError(`${ERROR}.UnknownObject`, `No object "${path}"`);
    }
    // A call need not name its interface.
    for (const [one, { methods = {} }] of this.#builtIn(path, interfaces)) {
      if (name !== "" && name !== one) continue;
      if (Object.hasOwn(methods, member)) return methods[member]!;
    }
    throw new DBusError(
      `${ERROR}.UnknownMethod`,
      `"${path}" has no method "${member}" in "${name}"`,
    );
  }

  /** What an object has, and what every object has. */
  #builtIn(
    path: string,
    interfaces: ReadonlyMap<string, Interface>,
  ): Map<string, Interface> {
    const contents = (name: string) => {
      const found = interfaces.get(name);
      if (found !== undefined) return found;
      throw new DBusError(`${ERROR}.UnknownInterface`, `No "${name}" here`);
    };
    return new Map([
      ...interfaces,
      [PROPERTIES, {
        methods: {
          Get: method("ss", "v", (name, one) => [valueOf(contents(name), one)]),
          GetAll: method("s", "a{sv}", (name) => [valuesOf(contents(name))]),
          Set: method("ssv", "", (name, one, value) => {
            setValue(contents(name), one, value);
            return [];
          }),
        },
        signals: { PropertiesChanged: "sa{sv}as" },
      }],
      [INTROSPECTABLE, {
        methods: {
          Introspect: this.#introspect(path),
        },
      }],
    ]);
  }

  #introspect(path: string): ExportedMethod {
    return method("", "s", () => [this.#describe(path)]);
  }

  /** An object and those below it, in XML. */
  #describe(path: string): string {
    const interfaces = this.#paths.get(path);
    const own = interfaces === undefined
      ? []
      : [...this.#builtIn(path, interfaces)];
    const below = path === "/" ? path : `${path}/`;
    const children = new Set(
      [...this.#paths.keys()]
        .filter((other) => other.startsWith(below) && other !== path)
        .map((other) => other.slice(below.length).split("/")[0]),
    );
    return [
      "<node>",
      ...own.map(([name, contents]) => describe(name, contents)),
      ...[...children].map((child) => `<node name="${child}"/>`),
      "</node>",
    ].join("\n");
  }
}

function propertyOf(contents: Interface, name: string): ExportedProperty {
  const { properties = {} } = contents;
  if (Object.hasOwn(properties, name)) return properties[name]!;
  throw new DBusError(`${ERROR}.UnknownProperty`, `No property "${name}"`);
}

function valueOf(contents: Interface, name: string): Variant {
  const { type, get } = propertyOf(contents, name);
  return { signature: type, value: get() };
}

/** Properties and what they are: of those with these names, or all. */
export function valuesOf(
  contents: Interface,
  names: readonly string[] = Object.keys(contents.properties ?? {}),
): Map<string, Variant> {
  return new Map(names.map((name) => [name, valueOf(contents, name)]));
}

function setValue(contents: Interface, name: string, value: Variant): void {
  const { type, set } = propertyOf(contents, name);
  if (set === undefined) {
    throw new DBusError(`${ERROR}.PropertyReadOnly`, `"${name}" is read-only`);
  }
  if (value.signature !== type) {
    throw new DBusError(
      `${ERROR}.InvalidArgs`,
      `"${name}" is a "${type}", not a "${value.signature}"`,
    );
  }
  set(value.value);
}

/** An interface in XML. Names and signatures have nothing in them to escape. */
function describe(name: string, contents: Interface): string {
  const { methods = {}, properties = {}, signals = {} } = contents;
  const argument = (type: string, direction = "") =>
    typesOf(type).map((one) => `<arg type="${one}"${direction}/>`).join("");
  const lines = [
    ...Object.entries(methods).map(([member, { takes, returns }]) =>
      `<method name="${member}">${argument(takes, ' direction="in"')}${
        argument(returns, ' direction="out"')
      }</method>`
    ),
    ...Object.entries(signals).map(([member, signature]) =>
      `<signal name="${member}">${argument(signature)}</signal>`
    ),
    ...Object.entries(properties).map(([member, { type, set }]) =>
      `<property name="${member}" type="${type}" access="${
        set === undefined ? "read" : "readwrite"
      }"/>`
    ),
  ];
  return [`<interface name="${name}">`, ...lines, "</interface>"].join("\n");
}
