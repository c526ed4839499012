/**
 * SimpleWebClient: a window of Cocoa's that fetches a web page and shows its
 * source.
 *
 *     deno run --allow-ffi examples/loops/simple_web_client_cocoa.ts
 *
 * You will see a field for an address, and a button, Go; the Return key does the
 * same. While the page is under way something goes round, and the window can be
 * used: another address takes the place of the first. What fails is said where
 * the page would be. While Cocoa has the main thread, Deno's `fetch` stands still,
 * so the page comes by the reactor's own connections. The menu's Quit and the window's close button end it. On
 * Linux this is GNUstep, whose menu is a window of its own; no test has run it on
 * macOS yet, where it should be the same program.
 *
 * @module
 */

import { Reactor } from "../../mod.ts";
import { cocoaWaker } from "../../src/loops/cocoa.ts";
import { getText } from "../net/http_client.ts";
import {
  application,
  button,
  fill,
  type Id,
  object,
  quitMenu,
  scrolledText,
  selector,
  send,
  show,
  spinner,
  STRETCH,
  stringValue,
  TERMINATE_LATER,
  textField,
  window,
} from "./bindings/cocoa.ts";

const NAME = "SimpleWebClient";

const app = application(NAME);
const reactor = new Reactor();

// The window.
const main = window("Simple Web Client", { width: 640, height: 440 });
const address = textField(
  { x: 12, y: 404, width: 488, height: 24 },
  Deno.args[0] ?? "https://example.com/",
);
const wheel = spinner({ x: 508, y: 404, width: 24, height: 24 });
const goButton = button({ x: 540, y: 402, width: 88, height: 28 }, "Go");
const { scroll, text } = scrolledText({
  x: 12,
  y: 12,
  width: 616,
  height: 380,
});
fill(main, [
  [address, STRETCH.WIDTH | STRETCH.BELOW],
  [wheel, STRETCH.LEFT | STRETCH.BELOW],
  [goButton, STRETCH.LEFT | STRETCH.BELOW],
  [scroll, STRETCH.WIDTH | STRETCH.HEIGHT],
]);
quitMenu(app, NAME);

// What it does.
let giveUp = () => {};

function go(): void {
  giveUp();
  send(wheel, "startAnimation:", null);
  send(text, "setString:", "");
  const controller = new AbortController();
  giveUp = () => controller.abort();
  // It begins in a work item of the reactor's, not here in a call of Cocoa's:
  // inside Cocoa's loop, promises go on behind those.
  reactor.callFromThread(showPage, stringValue(address), controller.signal);
}

async function showPage(url: string, signal: AbortSignal): Promise<void> {
  const [kind, words] = await getText(url, { gzip: true, reactor, signal })
    .then((page) => ["page", page], (error) => ["error", error.message]);
  if (signal.aborted) return;
  send(wheel, "stopAnimation:", null);
  send(text, "setString:", words);
  console.log(kind, words.length);
}

// Whoever wants the application to end is told "later", and the reactor to
// stop: when it has, and nothing of it is left, comes the answer.
let stopping = false;

function shouldTerminate(): number {
  giveUp();
  if (!stopping) reactor.stop();
  stopping = true;
  return TERMINATE_LATER;
}

const delegate: Id = object("SimpleWebClientDelegate", {
  "go:": go,
  "applicationDidFinishLaunching:": () => show(app, main),
  "applicationShouldTerminate:": shouldTerminate,
  "applicationShouldTerminateAfterLastWindowClosed:": () => 1,
});
send(app, "setDelegate:", delegate);
for (const control of [address, goButton]) {
  send(control, "setTarget:", delegate);
  send(control, "setAction:", selector("go:"));
}

function terminate(): void {
  console.log("stopped"); // What comes after the next line is never reached.
  send(app, "replyToApplicationShouldTerminate:", true);
}

// The integration:
reactor.interleave(cocoaWaker());
reactor.addSystemEventTrigger("after", "shutdown", terminate);
setTimeout(() => send(app, "run"), 0);
