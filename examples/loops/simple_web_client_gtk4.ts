/**
 * SimpleWebClient: a window of GTK 4's that fetches a web page and shows its
 * source.
 *
 *     deno run --allow-ffi examples/loops/simple_web_client_gtk4.ts
 *
 * You will see a field for an address, and a button, Go; the Enter key does the
 * same. While the page is under way something goes round, and the window can be
 * used: another address takes the place of the first. What fails is said where
 * the page would be. Closing the window is answered with "later": it says that
 * it is shutting down, and goes when the reactor has stopped.
 *
 * Deno is the host in this form. With `guest` behind the command GLib's loop has
 * the main thread, and Deno's `fetch` would stand still. So the page comes by the
 * reactor's own connections, which know no difference: the two forms are one
 * program but for the lines that integrate. A word more is the address to begin
 * with.
 *
 * @module
 */

import { deferLater, Reactor } from "../../mod.ts";
import { glibLoop, glibWaker } from "../../src/loops/glib.ts";
import { getText } from "../net/http_client.ts";
import {
  blur,
  column,
  destroyWindow,
  entryText,
  focus,
  newButton,
  newEntry,
  newMainLoop,
  newSpinner,
  onClose,
  row,
  setEnabled,
  setSpinning,
  setTitle,
  showWindow,
  TextView,
  wide,
} from "./bindings/gtk4.ts";

const NAME = "SimpleWebClient";

const [form = "host", start = "https://example.com/"] = Deno.args;
const reactor = new Reactor();

// The window.
const address = newEntry(start, go);
const wheel = newSpinner();
const text = new TextView();
const controls = row(wide(address), wheel, newButton("Go", go));
const main = showWindow(NAME, {
  width: 640,
  height: 440,
  child: column(controls, text.widget),
});
focus(address);
onClose(main, shouldClose);

// What it does.
let giveUp = () => {};

function go(): void {
  giveUp();
  setSpinning(wheel, true);
  text.show("");
  const controller = new AbortController();
  giveUp = () => controller.abort();
  // It begins in a work item of the reactor's, not here in a call of GTK's:
  // inside GLib's loop, promises go on behind those.
  reactor.callFromThread(showPage, entryText(address), controller.signal);
}

async function showPage(url: string, signal: AbortSignal): Promise<void> {
  const [kind, words] = await getText(url, { gzip: true, reactor, signal })
    .then((page) => ["page", page], (error) => ["error", error.message]);
  if (signal.aborted) return;
  setSpinning(wheel, false);
  text.show(words);
  console.log(kind, words.length);
}

// Whoever wants the window to close is told "later", and the reactor to stop:
// when it has, and nothing of it is left, the window goes.
let stopping = false;

function shouldClose(): void {
  if (stopping) return;
  stopping = true;
  giveUp();
  setSpinning(wheel, true);
  blur(main); // GTK complains of a field that has the keyboard and is disabled.
  setEnabled(controls, false);
  setTitle(main, `${NAME} is shutting down`);
  text.show("Shutting down");
  console.log("stopping");
  reactor.stop();
}

// A client with more to tidy up would do it here. This one takes its time, for
// you to see that the window is alive meanwhile.
reactor.addSystemEventTrigger(
  "before",
  "shutdown",
  () => deferLater(1000, () => console.log("stopped"), { clock: reactor }),
);

function host(): void {
  // The integration, Deno as the host:
  reactor.attach(glibLoop());
  reactor.addSystemEventTrigger("after", "shutdown", destroyWindow, main);
}

function guest(): void {
  // The integration:
  const loop = newMainLoop();
  reactor.interleave(glibWaker());
  reactor.addSystemEventTrigger("after", "shutdown", destroyWindow, main);
  reactor.addSystemEventTrigger("after", "shutdown", loop.quit);
  setTimeout(loop.run, 0);
}

if (form === "guest") guest();
else host();
