/**
 * A GTK 4 window with a clock, buttons and a live log, in Deno's loop or in
 * GLib's.
 *
 *     deno run --allow-ffi --allow-net=127.0.0.1 examples/loops/gtk4.ts
 *
 * Deno is the host in this form: a `setInterval` moves the clock, the button
 * fetches from the server of the same program, and every request to it shows in
 * the log. The address is printed, so that you can send requests of your own.
 *
 * With `guest` behind the command the window has the main thread, inside
 * `g_main_loop_run()`. Then Deno's timers and its network stand still, and the
 * reactor does it all: a delayed call moves the clock, and what the button
 * writes into a pipe comes out in the log.
 *
 * "Quit", or closing the window, stops the reactor first, and then the rest.
 *
 * @module
 */

import { FileDescriptor, Reactor } from "../../mod.ts";
import { glibLoop, glibWaker } from "../../src/loops/glib.ts";
import {
  column,
  destroyWindow,
  evenRow,
  newButton,
  newHeadline,
  newMainLoop,
  onClose,
  setLabel,
  showWindow,
  TextView,
} from "./bindings/gtk4.ts";

const reactor = new Reactor();

const clock = newHeadline("--:--:--");
const log = new TextView();
const button = newButton("Say hello", () => sayHello());
const window = showWindow("GTK 4 and Deno", {
  width: 480,
  height: 360,
  child: column(clock, log.widget, evenRow(button, newButton("Quit", quit))),
});
onClose(window, quit);

/** What the button does: each form has its own way. */
let sayHello: () => void;

function showTime(): void {
  setLabel(clock, new Date().toLocaleTimeString("en-GB"));
}

function report(line: string): void {
  log.append(line);
  console.log(line);
}

let stopping = false;

/** Stops the reactor; its end is the end of the rest. */
function quit(): void {
  if (!stopping) reactor.stop();
  stopping = true;
}

function host(): void {
  // The integration, Deno as the host:
  reactor.attach(glibLoop());
  reactor.addSystemEventTrigger("after", "shutdown", destroyWindow, window);

  showTime();
  const ticking = setInterval(showTime, 1000);
  let requests = 0;
  function respond({ method, url }: Request): Response {
    report(`${method} ${new URL(url).pathname}`);
    return new Response(`Hello, number ${++requests}\n`);
  }
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const server = Deno.serve(options, respond);
  const address = `http://127.0.0.1:${server.addr.port}`;
  report(`Serving ${address}/`);
  sayHello = async () => {
    const response = await fetch(`${address}/hello`);
    report(`The answer: ${(await response.text()).trim()}`);
  };
  reactor.addSystemEventTrigger("before", "shutdown", () => {
    clearInterval(ticking);
    return server.shutdown();
  });
}

function guest(): void {
  // The integration:
  const loop = newMainLoop();
  reactor.interleave(glibWaker());
  reactor.addSystemEventTrigger("after", "shutdown", loop.quit);
  setTimeout(loop.run, 0); // Promises are served inside a timer only.

  function tick(): void {
    showTime();
    reactor.callLater(1000, tick);
  }
  tick();

  const [ear, mouth] = FileDescriptor.pipe();
  const words = new Uint8Array(1024);
  reactor.addReader({
    fileno: () => ear.fileno(),
    doRead() {
      const length = ear.read(words)!;
      report(new TextDecoder().decode(words.subarray(0, length)).trim());
    },
    connectionLost() {
      ear.close();
      mouth.close();
    },
  });
  let hellos = 0;
  sayHello = () => {
    mouth.write(new TextEncoder().encode(`Hello, number ${++hellos}\n`));
  };
  report("A pipe is open");
}

if (Deno.args[0] === "guest") guest();
else host();
