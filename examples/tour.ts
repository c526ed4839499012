/**
 * A terminal, a directory, a timer and a web server: four things that have
 * nothing in common, waited for all at once, on one thread.
 *
 *     deno run --allow-ffi --allow-net=127.0.0.1 --allow-write examples/tour.ts
 *
 * `deno task tour` does the same. For three seconds you will see a line for
 * everything that happens, with the time and where it came from, and then a
 * summary of what that cost. Ctrl-C ends it earlier.
 *
 * @module
 */

import { cpuUsage } from "node:process";
import { FileDescriptor, reactor, ReactorNotRunning } from "../mod.ts";
import { openPidfd, openPty, reap, spawnOnTerminal } from "../ffi/mod.ts";
import { lines } from "./stdin_lines.ts";
import { changes, openInotify } from "./watch_directory.ts";

/** What runs in the terminal. */
const SCRIPT = `
  echo "this shell sits on $(tty)"
  for step in 1 2 3 4 5 6; do sleep 0.33; echo "step $step of 6"; done
`;

const COLOURS = {
  terminal: "cyan",
  directory: "yellow",
  timer: "magenta",
  fetch: "green",
};

type Source = keyof typeof COLOURS;

const began = performance.now();
const counts = { terminal: 0, directory: 0, timer: 0, fetch: 0 };

/**
 * Prints a line. Where there is no terminal, or NO_COLOR is set, Deno leaves
 * the colour out.
 */
function say(source: Source, text: string): void {
  counts[source]++;
  const seconds = ((performance.now() - began) / 1000).toFixed(3);
  const style = `color: ${COLOURS[source]}`;
  console.log("%s  %c%s%c %s", seconds, style, source.padEnd(10), "", text);
}

/** A shell behind a pseudoterminal: descriptors that Deno can't wait for. */
async function watchTerminal(): Promise<void> {
  const { master, path } = openPty();
  using terminal = FileDescriptor.adopt(master);
  const pid = spawnOnTerminal(path, "sh", { args: ["-c", SCRIPT] });
  using child = FileDescriptor.adopt(openPidfd(pid));

  for await (const line of lines(terminal.readable())) say("terminal", line);
  await reactor.readable(child);
  say("terminal", `the shell has exited with status ${reap(pid)?.code}`);
}

/** A timer of the reactor's, which starts itself again. */
function watchTimer(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  function tick(count: number): void {
    say("timer", `tick ${count}`);
    if (count < 10) reactor.callLater(250, tick, count + 1);
    else resolve();
  }
  reactor.callLater(250, tick, 1);
  return promise;
}

/** One more such descriptor: the kernel tells what happens in a directory. */
async function watchDirectory(
  directory: string,
  end: AbortSignal,
): Promise<void> {
  using inotify = openInotify(directory);
  for await (const { what, name } of changes(inotify, end)) {
    say("directory", `${name} ${what}`);
  }
}

/**
 * Deno's own network and files. What is fetched is saved, so that something
 * happens in the directory.
 */
async function fetchAll(url: string, directory: string): Promise<void> {
  for (const fruit of ["apples", "pears", "plums", "cherries"]) {
    const answer = await fetch(`${url}${fruit}`);
    const text = await answer.text();
    say("fetch", `${answer.status} ${text}`);
    if (!reactor.running) return; // Ctrl-C: the directory is about to go.
    await Deno.writeTextFile(`${directory}/${fruit}`, text);
  }
}

async function tour(): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "tour-" });
  await using cleanUp = new AsyncDisposableStack();
  cleanUp.defer(() => Deno.remove(directory, { recursive: true }));
  const server = cleanUp.use(Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async ({ url }) => {
      await new Promise((resolve) => setTimeout(resolve, 450));
      return new Response(`a basket of ${new URL(url).pathname.slice(1)}`);
    },
  ));
  const url = `http://127.0.0.1:${server.addr.port}/`;

  const end = new AbortController();
  await Promise.all([
    watchDirectory(directory, end.signal),
    Promise.all([watchTerminal(), watchTimer(), fetchAll(url, directory)])
      .then(() => end.abort()),
  ]);
}

function summarize(): void {
  const { counters, descriptors, delayedCalls } = reactor.inspect();
  const { parks, events } = counters;
  const { user, system } = cpuUsage();
  const took = ((performance.now() - began) / 1000).toFixed(1);
  const busy = ((user + system) / 1e6).toFixed(1);
  const seen = Object.entries(counts).map(([name, count]) =>
    `${name} ${count}`
  );
  console.log(`
What happened   ${seen.join(", ")}
What it took    ${took} s on one thread, ${busy} s of it at work
How it waited   the main thread slept ${parks} times, was woken by the kernel
                for ${events} events, and was never polled
What is left    ${descriptors.length} descriptors, ${delayedCalls.length} delayed calls`);
}

const run = reactor.run(); // Until stop(), or Ctrl-C.
try {
  await tour();
  summarize();
  reactor.stop();
} catch (error) {
  // This is what Ctrl-C tells everybody who still waits.
  if (!(error instanceof ReactorNotRunning)) throw error;
  console.log("Stopped, and cleaned up.");
}
await run;
