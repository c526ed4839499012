/**
 * SimpleWebClient: a window of GTK 4's that fetches a web page and shows its
 * source.
 *
 *     deno run --allow-ffi --allow-net examples/loops/simple_web_client_gtk4.ts
 *
 * You will see a field for an address, and a button, Go; the Enter key does the
 * same. While the page is under way something goes round, and the window can be
 * used: another address takes the place of the first. What fails is said where
 * the page would be. Closing the window is answered with "later": it says that
 * it is shutting down, and goes when the reactor has stopped.
 *
 * Deno is the host in this form, and the page comes from its own `fetch`. With
 * `guest` behind the command GLib's loop has the main thread, and `fetch` a
 * worker. A word more is the address to begin with.
 *
 * @module
 */

import { deferLater, Reactor } from "../../mod.ts";
import { glibLoop, glibWaker } from "../../src/loops/glib.ts";
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
import { type FetchResult, FetchWorker } from "./fetch_in_worker.ts";

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
  giveUp = fetchPage(entryText(address), showPage);
}

function showPage(result: FetchResult): void {
  setSpinning(wheel, false);
  const page = "text" in result ? result.text : result.error;
  text.show(page);
  console.log("text" in result ? "page" : "error", page.length);
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

/** Fetches a page. Calling what is returned gives that up. */
let fetchPage: (
  url: string,
  callback: (result: FetchResult) => void,
) => () => void;

async function read(url: string, signal: AbortSignal): Promise<FetchResult> {
  try {
    const response = await fetch(url, { signal });
    if (response.ok) return { text: await response.text() };
    await response.body?.cancel();
    return { error: `${response.status} ${response.statusText}`.trim() };
  } catch (error) {
    const { message, cause } = error as Error;
    return { error: cause instanceof Error ? cause.message : message };
  }
}

function host(): void {
  fetchPage = (url, callback) => {
    const controller = new AbortController();
    const { signal } = controller;
    read(url, signal).then((result) => signal.aborted || callback(result));
    return () => controller.abort();
  };

  // The integration, Deno as the host:
  reactor.attach(glibLoop());
  reactor.addSystemEventTrigger("after", "shutdown", destroyWindow, main);
}

function guest(): void {
  // GLib has the main thread, so Deno's fetch has to live in another one.
  const worker = new FetchWorker(reactor);
  fetchPage = (url, callback) => worker.fetch(url, callback);

  // The integration:
  const loop = newMainLoop();
  reactor.interleave(glibWaker());
  reactor.addSystemEventTrigger("after", "shutdown", destroyWindow, main);
  reactor.addSystemEventTrigger("after", "shutdown", loop.quit);
  setTimeout(loop.run, 0);
}

if (form === "guest") guest();
else host();
