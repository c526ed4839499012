/**
 * A game that owns its main loop: thirty frames a second, and a queue of events
 * in which the reactor's work arrives beside everything else.
 *
 *     deno run --allow-ffi examples/game_loop.ts
 *
 * You will see a fish for four seconds, or until Ctrl-C. A timer of the
 * reactor's drops food for it, and a pipe tells it to turn round. Where there
 * is no terminal to draw on, only what happens is printed.
 *
 * @module
 */

import { FileDescriptor, Reactor } from "../mod.ts";

type GameEvent = { type: "work"; work: () => void } | { type: "quit" };

const events: GameEvent[] = [];

// All that it takes: the waker puts work where the game will find it. Since the
// game takes it out between two frames, no callback meets a half-drawn one.
const reactor = new Reactor();
reactor.interleave((work) => events.push({ type: "work", work }), {
  signals: true,
});

const WIDTH = 50;
const DEPTH = 4;
const FRAME = 1000 / 30;
const onTerminal = Deno.stdout.isTerminal();

const fish = { x: 5, step: 1, eaten: 0 };
let food: { x: number; y: number }[] = [];
let frames = 0;
let news = "";

function tell(text: string): void {
  news = text;
  if (!onTerminal) console.log(`frame ${frames}: ${text}`);
}

// The first source of events: a timer that starts itself again.
function dropFood(): void {
  food.push({ x: 8 + Math.floor(Math.random() * (WIDTH - 16)), y: 0 });
  tell("a timer has dropped some food");
  reactor.callLater(900, dropFood);
}
reactor.callLater(500, dropFood);

// The second: a pipe. Here it is a timer of Deno's that writes to it.
const [ear, mouth] = FileDescriptor.pipe();
const caller = setInterval(() => mouth.write(new Uint8Array(1)), 1200);
reactor.addReader({
  fileno: () => ear.fileno(),
  doRead() {
    ear.read(new Uint8Array(1));
    fish.step = -fish.step;
    tell("a byte in the pipe has turned the fish");
  },
  connectionLost: () => ear.close(),
});

// The end, which is an event like any other by the time the game sees it.
reactor.callLater(4000, () => reactor.stop());
reactor.addSystemEventTrigger("during", "shutdown", () => {
  clearInterval(caller);
  mouth.close();
});
reactor.addSystemEventTrigger("after", "shutdown", () => {
  events.push({ type: "quit" });
});

function move(): void {
  frames++;
  if (fish.x <= 1 || fish.x >= WIDTH - 7) fish.step = fish.x <= 1 ? 1 : -1;
  if (frames % 2 === 0) fish.x += fish.step;
  if (frames % 10 !== 0) return;
  for (const crumb of food) crumb.y++;
  const left = food.filter(({ x, y }) =>
    y < DEPTH - 1 || x < fish.x || x > fish.x + 5
  );
  fish.eaten += food.length - left.length;
  food = left.filter(({ y }) => y < DEPTH);
}

function draw(): void {
  if (!onTerminal) return;
  const tank = Array.from({ length: DEPTH }, () => Array(WIDTH).fill(" "));
  for (const { x, y } of food) tank[y]![x] = ".";
  const shape = fish.step > 0 ? "><(((o" : "o)))><";
  tank[DEPTH - 1]!.splice(fish.x, shape.length, ...shape);
  const rows = [
    ...tank.map((row) => `|${row.join("")}|`),
    `+${"-".repeat(WIDTH)}+`,
    `frame ${frames}, ${fish.eaten} eaten; ${news}`,
  ];
  const up = frames > 1 ? `\x1b[${rows.length}F` : "";
  console.log(up + rows.map((row) => `${row}\x1b[K`).join("\n"));
}

async function play(): Promise<void> {
  for (let due = performance.now();; due += FRAME) {
    for (const event of events.splice(0)) {
      if (event.type === "quit") return;
      event.work();
    }
    move();
    draw();
    const rest = Math.max(0, due + FRAME - performance.now());
    await new Promise((resolve) => setTimeout(resolve, rest));
  }
}

await play();
console.log(`The reactor has stopped, and so does the game: ${frames} frames.`);
