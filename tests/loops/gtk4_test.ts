// GTK 4: windows in both directions, and the two demos.

import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import {
  assertBeside,
  assertCleanEnd,
  assertIdle,
  assertInside,
} from "./assertions.ts";
import { Authority, Folder, missingOpenssl } from "../net/certificates.ts";
import type { Display, Window } from "./display.ts";
import {
  missingPackages,
  testOnDisplay,
  testProgramOnDisplay,
  ToolkitProgram,
} from "./toolkit.ts";

const missing = await missingPackages({
  libraries: { "libgtk-4.so.1": "libgtk-4-1", "libX11.so.6": "libx11-6" },
});

const GTK4 = "examples/loops/gtk4.ts";
const CLIENT = "examples/loops/simple_web_client_gtk4.ts";

/** Clicks a button at the top, and waits until the label below it has changed. */
async function clickTop(display: Display, window: Window): Promise<void> {
  const { x, y, width } = window;
  const label = { x, y: y + 48, width, height: 40 };
  const before = await display.pixels(label);
  await display.click(window, width / 2, 25);
  await display.changed(label, before);
}

testProgramOnDisplay(
  "glibLoop() shows a window of GTK 4 that hears clicks, beside all of Deno",
  { missing, file: "tests/loops/programs/gtk4_host.ts" },
  async (program, display) => {
    const window = await display.drawnWindow("GTK 4 beside Deno");
    await clickTop(display, window);
    await program.line("clicked");
    assertBeside(await program.json("alive"));
    assertIdle(await program.json("idle"));
    await display.askToClose(window);
    await program.line("detached");
  },
);

testProgramOnDisplay(
  "glibWaker() serves the reactor inside GTK 4's loop, and ends it",
  { missing, file: "tests/loops/programs/gtk4_guest.ts" },
  async (program, display) => {
    const window = await display.drawnWindow("GTK 4 around Deno");
    await clickTop(display, window);
    await program.line("clicked");
    assertInside(await program.json("alive"), "glibWaker() in GTK 4");
    await display.askToClose(window);
    await program.line("returned");
  },
);

/** Clicks one of the two buttons of the GTK 4 demo. */
async function clickDemo(
  display: Display,
  window: Window,
  button: "hello" | "quit",
): Promise<void> {
  const { width, height } = window;
  await display.click(
    window,
    button === "hello" ? width / 4 : width * 3 / 4,
    height - 25,
  );
}

/** Where the GTK 4 demo has its log. */
function log({ x, y, width, height }: Window): Omit<Window, "id"> {
  return { x, y: y + 60, width, height: height - 120 };
}

testProgramOnDisplay(
  `${GTK4} serves, fetches and quits, with Deno as the host`,
  {
    missing,
    file: GTK4,
    permissions: ["--allow-ffi", "--allow-net=127.0.0.1"],
  },
  async (program, display) => {
    const address = await program.line("Serving");
    const window = await display.drawnWindow("GTK 4 and Deno");

    const before = await display.pixels(log(window));
    const response = await fetch(`${address}outside`);
    assertEquals(await response.text(), "Hello, number 1\n");
    assertEquals(await program.line("GET"), "/outside");
    await display.changed(log(window), before);

    await clickDemo(display, window, "hello");
    assertEquals(await program.line("GET"), "/hello");
    assertEquals(await program.line("The answer:"), "Hello, number 2");

    const clock = { ...window, height: 48 };
    await display.changed(clock, await display.pixels(clock));
    await clickDemo(display, window, "quit");
  },
);

testProgramOnDisplay(
  `${GTK4} ends when its window is closed, with Deno as the host`,
  {
    missing,
    file: GTK4,
    args: ["host"],
    permissions: ["--allow-ffi", "--allow-net=127.0.0.1"],
  },
  async (_, display) => {
    await display.askToClose(await display.drawnWindow("GTK 4 and Deno"));
  },
);

testProgramOnDisplay(
  `${GTK4} ticks, listens to its pipe and quits, as a guest`,
  { missing, file: GTK4, args: ["guest"], permissions: ["--allow-ffi"] },
  async (program, display) => {
    await program.line("A pipe is open");
    const window = await display.drawnWindow("GTK 4 and Deno");

    const before = await display.pixels(log(window));
    await clickDemo(display, window, "hello");
    assertEquals(await program.line("Hello,"), "number 1");
    await display.changed(log(window), before);

    const clock = { ...window, height: 48 };
    await display.changed(clock, await display.pixels(clock));
    await clickDemo(display, window, "quit");
  },
);

const PAGE = "<html>\n<body>Grüße</body>\n</html>\n";

/** A server with a page, and one whose end never comes. */
function serve() {
  const asked = Promise.withResolvers<void>();
  const givenUp = Promise.withResolvers<void>();
  const endless: UnderlyingDefaultSource<Uint8Array<ArrayBuffer>> = {
    start(controller) {
      controller.enqueue(new TextEncoder().encode("<html>"));
      asked.resolve();
    },
    cancel: () => givenUp.resolve(),
  };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    ({ url }) =>
      new URL(url).pathname === "/endless"
        ? new Response(new ReadableStream(endless))
        : new Response(PAGE),
  );
  return {
    address: `http://127.0.0.1:${server.addr.port}`,
    asked: asked.promise,
    givenUp: givenUp.promise,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Where nobody listens: the address of a server that has ended. */
async function deadAddress(): Promise<string> {
  await using server = serve();
  return server.address;
}

for (const form of ["host", "guest"]) {
  testOnDisplay(
    `${CLIENT} fetches, fails, gives up, and closes later: ${form}`,
    missing,
    async (display) => {
      const dead = await deadAddress();
      await using server = serve();
      await using program = new ToolkitProgram({
        file: CLIENT,
        args: [form, `${server.address}/endless`],
        display,
        permissions: ["--allow-ffi"],
      });
      const window = await display.drawnWindow("SimpleWebClient");
      const { x, y, width } = window;
      const clickGo = () => display.click(window, width - 30, 25);
      const text = { x: x + 10, y: y + 56, width: width - 20, height: 80 };
      await display.focus(window);
      const retype = async (words: string) => {
        await display.click(window, 100, 25);
        await display.key("ctrl+a");
        await display.type(words);
      };

      // A page without an end, and another address in its place.
      await clickGo();
      await server.asked;
      const empty = await display.pixels(text);
      await retype(`${server.address}/`);
      await clickGo();
      await server.givenUp;
      assertEquals(await program.line("page"), String(PAGE.length));
      await display.changed(text, empty);

      // Enter does what the button does.
      const shown = await display.pixels(text);
      await retype(dead);
      await display.key("Return");
      assertGreaterOrEqual(Number(await program.line("error")), 1);
      await display.changed(text, shown);

      // "Terminate later": it is there until the reactor has stopped.
      const notice = display.window("SimpleWebClient is shutting down");
      await display.askToClose(window);
      assertEquals((await notice).id, window.id);
      await program.line("stopping");
      await program.line("stopped");
      await assertCleanEnd(program);
    },
  );
}

const missingForTLS = [...new Set([...missing, ...await missingOpenssl()])];

for (const form of ["host", "guest"]) {
  testOnDisplay(
    `${CLIENT} gets a page by TLS, from a host that it knows by name: ${form}`,
    missingForTLS,
    async (display) => {
      const authority = await Authority.root("A root");
      const page = PAGE.repeat(30_000);
      await using server = Deno.serve({
        hostname: "127.0.0.1",
        port: 0,
        onListen() {},
        ...await authority.issue({ names: "DNS:localhost" }),
      }, () => new Response(page));
      await using folder = new Folder();
      const { cert } = authority.identity;
      await using program = new ToolkitProgram({
        file: CLIENT,
        args: [form, `https://localhost:${server.addr.port}/`],
        display,
        // Where OpenSSL looks for the certificates that the system trusts.
        env: { SSL_CERT_FILE: await folder.write("root.pem", cert) },
        permissions: ["--allow-ffi"],
      });
      const window = await display.drawnWindow("SimpleWebClient");
      await display.focus(window);
      await display.key("Return");
      assertEquals(await program.line("page"), String(page.length));
      await display.askToClose(window);
      await program.line("stopped");
      await assertCleanEnd(program);
    },
  );
}
