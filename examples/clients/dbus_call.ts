/**
 * Exports an object on the session bus, calls it over another connection, and
 * hears its signals.
 *
 *     deno run --allow-ffi examples/clients/dbus_call.ts
 *
 * You will see who is on the bus, three greetings, the signals that tell of
 * them, a property and an error. With `serve` behind the command it stays until
 * Ctrl-C, for others to call:
 *
 *     busctl --user introspect org.interleave.Greeter /org/interleave/Greeter
 *     busctl --user call org.interleave.Greeter /org/interleave/Greeter \
 *       org.interleave.Greeter Greet s Ann
 *
 * Where there is no session bus, `dbus-run-session --` before the command makes
 * one. It needs Debian's package libsystemd0.
 *
 * @module
 */

import { DBus, DBusError, method, property } from "./dbus.ts";

const NAME = "org.interleave.Greeter";
const PATH = "/org/interleave/Greeter";

/** Exports an object that greets, counts, and tells everybody. */
async function serve(bus: DBus): Promise<void> {
  let count = 0;
  let greeting = "Hello";
  const greeter = bus.export(PATH, NAME, {
    methods: {
      Greet: method("s", "s", (name) => {
        if (name === "") throw new DBusError(`${NAME}.Nobody`, "Greet whom?");
        count++;
        greeter.emit("Greeted", name, count);
        greeter.changed("Count");
        return [`${greeting}, ${name}!`];
      }),
    },
    properties: {
      Count: property("u", () => count),
      Greeting: property("s", () => greeting, (words) => {
        greeting = words;
        greeter.changed("Greeting");
      }),
    },
    signals: { Greeted: "su" },
  });
  await bus.requestName(NAME);
}

async function call(bus: DBus): Promise<void> {
  const [names] = await bus.call({
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "ListNames",
    returns: "as",
  });
  console.log(`On the bus: ${names.join(" ")}`);

  const signals = await bus.signals({
    interface: NAME,
    member: "Greeted",
    carries: "su",
  });
  const greeter = { destination: NAME, path: PATH, interface: NAME } as const;
  const greet = {
    ...greeter,
    member: "Greet",
    takes: "s",
    returns: "s",
  } as const;
  for (const name of ["Ann", "Bob", "Cleo"]) {
    const [greeting] = await bus.call(greet, name);
    console.log(`Method: ${greeting}`);
  }
  for await (const { values: [name, count] } of signals) {
    console.log(`Signal: ${name} is number ${count}`);
    if (count === 3) break;
  }
  const [value] = await bus.call(
    {
      ...greeter,
      interface: "org.freedesktop.DBus.Properties",
      member: "Get",
      takes: "ss",
      returns: "v",
    },
    NAME,
    "Count",
  );
  console.log(`Property: Count is ${value.value}`);
  try {
    await bus.call(greet, "");
  } catch (error) {
    if (!(error instanceof DBusError)) throw error;
    console.log(`Error: ${error.code}: ${error.message}`);
  }
}

async function main([mode]: string[]): Promise<void> {
  // What is exported keeps the program alive, to the end of its connection.
  const server = await DBus.session();
  Deno.addSignalListener("SIGINT", () => server.close());
  await serve(server);
  if (mode === "serve") return console.log(`Serving "${NAME}".`);
  using _server = server;
  using client = await DBus.session();
  await call(client);
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    console.error((error as Error).message);
    Deno.exit(1);
  }
}
