/**
 * libuv watches a folder while Deno writes to it, in Deno's loop or in libuv's.
 *
 *     deno run --allow-ffi --allow-write examples/loops/libuv.ts
 *
 * Deno is the host in this form. For three seconds you will see a timer of
 * Deno's write a note now and then, libuv tell that it has changed, and a timer
 * of libuv's count in between. Ctrl-C ends it before.
 *
 * With `guest` behind the command libuv has the main thread, inside `uv_run()`.
 * Then Deno's timers stand still, so the reactor writes; and it is libuv that
 * hears of Ctrl-C.
 *
 * @module
 */

import { LoopingCall, reactor } from "../../mod.ts";
import { libuvLoop, libuvWaker } from "../../src/loops/libuv.ts";
import {
  onInterrupt,
  run,
  startTimer,
  stop,
  watchFolder,
} from "./bindings/libuv.ts";

const folder = Deno.makeTempDirSync();
let notes = 0;

function write(): void {
  console.log(`Deno: note ${++notes}`);
  Deno.writeTextFileSync(`${folder}/note.txt`, `Note ${notes}`);
}

function startLibuv(): void {
  let count = 0;
  const timer = startTimer(400, () => console.log(`libuv: timer ${++count}`));
  const watch = watchFolder(folder, (name) => console.log(`libuv: ${name}`));
  reactor.addSystemEventTrigger("before", "shutdown", () => {
    timer.close();
    watch.close();
    Deno.removeSync(folder, { recursive: true });
  });
}

async function host(): Promise<void> {
  // The integration, Deno as the host:
  reactor.attach(libuvLoop());

  startLibuv();
  const writing = setInterval(write, 700);
  reactor.callLater(3000, () => reactor.stop());
  await reactor.run();
  clearInterval(writing);
  console.log("The end");
}

async function guest(): Promise<void> {
  startLibuv();
  const interrupt = onInterrupt(() => reactor.stop());
  reactor.addSystemEventTrigger("before", "shutdown", () => interrupt.close());
  const writing = new LoopingCall(write);
  void writing.start(700, { now: false });
  reactor.callLater(3000, () => reactor.stop());

  // The integration:
  reactor.interleave(libuvWaker());
  reactor.addSystemEventTrigger("after", "shutdown", stop);
  run();

  await reactor.close(); // If something else has stopped libuv.
  console.log("The end");
}

// A promise is served inside libuv's loop only if that was begun by a timer.
setTimeout(Deno.args[0] === "guest" ? guest : host, 0);
