/**
 * A window of Qt 6 or Qt 5, in Deno's loop or in Qt's.
 *
 *     deno run --allow-ffi --allow-net=127.0.0.1 examples/loops/qt.ts
 *
 * Deno is the host in this form. You will see a window in which the reactor
 * counts seconds, a button counts clicks, and a `setInterval` fetches from a
 * `Deno.serve` in the same program.
 *
 * With `guest` behind the command the window has the main thread, inside
 * `QApplication::exec()`. Then Deno's timers and its network stand still, and
 * the reactor goes on counting. `host 5` and `guest 5` are the same with Qt 5
 * instead of Qt 6.
 *
 * "Quit", or closing the window, stops the reactor first, and then the rest.
 *
 * @module
 */

import { Reactor } from "../../mod.ts";
import { qtLoop, qtWaker } from "../../src/loops/qt.ts";
import { Qt } from "./bindings/qt.ts";

const [form = "host", version = "6"] = Deno.args;

const reactor = new Reactor();
const qt = new Qt(version === "5" ? 5 : 6);

const window = qt.window(`Qt ${version} and Deno`);
const seconds = window.label("");
const requests = window.label("Deno waits for this window");
let clicks = 0;
const button = window.button("Click here", () => {
  button.setText(`Clicked: ${++clicks}`);
});
window.button("Quit", quit);
window.show(quit);

let stopping = false;

/** Stops the reactor, and the rest after it; a second click changes nothing. */
function quit(): void {
  if (!stopping) reactor.stop();
  stopping = true;
}

function count(n: number): void {
  seconds.setText(`Seconds on the reactor's clock: ${n}`);
  reactor.callLater(1000, count, n + 1);
}

async function host(): Promise<void> {
  // The integration, Deno as the host:
  reactor.attach(qtLoop());

  let served = 0;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response(`Requests to Deno.serve: ${++served}`),
  );
  async function ask(): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${server.addr.port}`);
    requests.setText(await response.text());
  }
  let asking = ask();
  const ticking = setInterval(() => asking = ask(), 100);
  await reactor.run();
  clearInterval(ticking);
  await asking;
  await server.shutdown();
}

async function guest(): Promise<void> {
  // The integration:
  reactor.interleave(qtWaker());
  reactor.addSystemEventTrigger("after", "shutdown", () => qt.exit());
  qt.exec();

  await reactor.close(); // If something else ended Qt's loop.
}

count(0);
// A promise is served inside Qt's loop only if a timer began it.
setTimeout(form === "guest" ? guest : host, 0);
