/**
 * libuv in Deno's loop. Each case is one function.
 *
 *     libuv_host.ts <case>
 *
 * @module
 */

import {
  type Handle,
  startTimer,
  stop,
  watchFolder,
} from "../../../examples/loops/bindings/libuv.ts";
import { Reactor } from "../../../mod.ts";
import { libuvLoop } from "../../../src/loops/libuv.ts";
import { aliveBeside, guestErrors, idle } from "./alive.ts";
import { say } from "./say.ts";

const CASES = { beside, kicked, empty, stopped };

const reactor = new Reactor({ onError: (error) => guestErrors.push(error) });
const attachment = reactor.attach(libuvLoop());

async function end(): Promise<void> {
  say("errors", guestErrors.map(String));
  attachment.detach();
  await reactor.close();
  say("closed");
}

/** Waits for one call of a timer of libuv's. */
function timed(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = startTimer(ms, () => {
      timer.close();
      resolve();
    });
  });
}

/** Two handles beside everything else, and then nothing to do. */
async function beside(): Promise<void> {
  const folder = Deno.makeTempDirSync();
  let seen: (name: string) => void;
  const watch = watchFolder(folder, (name) => seen(name));
  let times = 0;
  const timer = startTimer(10, () => times++);
  attachment.kick();
  const alive = await aliveBeside(reactor);
  timer.close();
  say("alive", { ...alive, times });
  const name = await new Promise<string>((resolve) => {
    seen = resolve;
    Deno.writeTextFileSync(`${folder}/note.txt`, "");
  });
  say("seen", name);
  say("idle", await idle(reactor));
  watch.close();
  Deno.removeSync(folder, { recursive: true });
  await end();
}

/** What plain Deno code starts is seen after a kick. */
async function kicked(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 100));
  const before = performance.now();
  const fired = timed(20);
  attachment.kick();
  await fired;
  say("after", performance.now() - before);
  const again = timed(5); // Begun by what a callback of libuv's has resolved.
  attachment.kick();
  await again;
  say("again");
  reactor.callLater(0, () => timed(5).then(end));
}

/** Nothing to do at first, and again after a handle is closed. */
async function empty(): Promise<void> {
  say("idle", await idle(reactor));
  let timer: Handle | undefined = undefined;
  await new Promise<void>((resolve) => {
    timer = startTimer(1, resolve);
    attachment.kick();
  });
  timer!.close();
  attachment.kick();
  say("idle", await idle(reactor));
  await end();
}

/** Somebody has stopped a loop that does not run: the next step takes it. */
async function stopped(): Promise<void> {
  stop();
  const fired = timed(10);
  attachment.kick();
  await fired;
  say("fired");
  await end();
}

setTimeout(CASES[Deno.args[0] as keyof typeof CASES], 0);
