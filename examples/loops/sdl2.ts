/**
 * A bouncing ball in a window of SDL 2's, in Deno's loop or in a loop around
 * `SDL_WaitEvent`.
 *
 *     deno run --allow-ffi --allow-net=127.0.0.1 examples/loops/sdl2.ts
 *
 * Click to put the ball somewhere else. Deno is the host in this form: it
 * serves the address that is printed, `fetch`es from there once a second, and
 * the window's title counts the requests, while the ball goes on bouncing.
 *
 * With `guest` behind the command the main thread belongs to the game, as it
 * would in C, and a user event in SDL's queue carries the reactor's wake-ups.
 * Deno's own timers and its network stand still then. The ball does not: a
 * looping call of the reactor's moves it.
 *
 * Escape, or closing the window, stops the reactor first, and then SDL.
 *
 * @module
 */

import { LoopingCall, Reactor } from "../../mod.ts";
import { sdl2Loop, sdl2Waker } from "../../src/loops/sdl2.ts";
import {
  drawEllipse,
  drawRectangle,
  newEvent,
  openScreen,
  present,
  quitSdl2,
  readEvent,
  SDLK_ESCAPE,
  setTitle,
  waitEvent,
} from "./bindings/sdl2.ts";

const WIDTH = 640;
const FLOOR = 360;
const HEIGHT = 420;
const RADIUS = 36;
/** Pixels a frame, each frame. */
const GRAVITY = 0.35;

const reactor = new Reactor();
const screen = openScreen("Bouncing ball", { width: WIDTH, height: HEIGHT });
const ball = { x: 120, y: 100, right: 3, down: 0 };
let playing = true;
let stopping = false;

function move(): void {
  ball.down += GRAVITY;
  ball.x += ball.right;
  ball.y += ball.down;
  if (ball.x < RADIUS || ball.x > WIDTH - RADIUS) {
    ball.right = ball.x < RADIUS ? 3 : -3;
  }
  // A ball that always jumps as high as from the middle of the window.
  if (ball.y > FLOOR - RADIUS) {
    ball.y = FLOOR - RADIUS;
    ball.down = -12.5;
  }
}

function draw(): void {
  drawRectangle(screen, {
    ...{ x: 0, y: 0, width: WIDTH, height: FLOOR },
    ...{ top: [18, 22, 58], bottom: [120, 84, 140] },
  });
  drawRectangle(screen, {
    ...{ x: 0, y: FLOOR, width: WIDTH, height: HEIGHT - FLOOR },
    ...{ top: [52, 44, 72], bottom: [28, 24, 44] },
  });
  // The higher the ball, the wider its shadow.
  const height = (FLOOR - RADIUS - ball.y) / FLOOR;
  drawEllipse(screen, {
    ...{ x: ball.x, y: FLOOR + 14, radii: [30 + 26 * height, 8 + 4 * height] },
    ...{ bright: [26, 20, 40], dark: [46, 40, 64] },
  });
  drawEllipse(screen, {
    ...{ x: ball.x, y: ball.y, radii: [RADIUS, RADIUS] },
    ...{ bright: [255, 236, 190], dark: [204, 62, 44], light: [-0.35, -0.4] },
  });
  present(screen);
}

// Where frames were missed, the ball is where it would have been.
const frames = LoopingCall.withCount((count) => {
  for (let i = 0; i < Math.min(count, 60); i++) move();
  draw();
});
frames.clock = reactor;
reactor.addSystemEventTrigger("before", "shutdown", () => {
  stopping = true;
  frames.stop();
});

function handle(bytes: Uint8Array<ArrayBuffer>): void {
  const event = readEvent(bytes);
  switch (event.type) {
    case "click":
      Object.assign(ball, { x: event.x, y: event.y, down: 0 });
      break;
    case "key":
      if (event.key === SDLK_ESCAPE) quit();
      break;
    case "quit":
      quit();
  }
}

/** Ctrl-C comes from two sides: SDL makes an event of it as well. */
function quit(): void {
  if (!stopping) reactor.stop();
  stopping = true;
}

async function host(): Promise<void> {
  // The integration, Deno as the host:
  using loop = sdl2Loop(screen.window, handle);
  const attachment = reactor.attach(loop);
  const ended = reactor.run();

  let requests = 0;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => {
      setTitle(screen, `Bouncing ball: ${++requests} requests served`);
      attachment.kick();
      return new Response(`Hello, number ${requests}\n`);
    },
  );
  const address = `http://127.0.0.1:${server.addr.port}/`;
  console.log(`Serving ${address}`);
  const fetching = setInterval(async () => {
    const response = await fetch(address);
    console.log((await response.text()).trim());
  }, 1000);
  reactor.addSystemEventTrigger("before", "shutdown", async () => {
    clearInterval(fetching);
    await server.shutdown();
  });
  frames.start(1000 / 60);
  await ended;
}

async function guest(): Promise<void> {
  const event = newEvent();
  frames.start(1000 / 60);

  // The integration:
  const waker = sdl2Waker();
  reactor.interleave(waker);
  reactor.addSystemEventTrigger("after", "shutdown", () => playing = false);
  while (playing && waitEvent(event)) {
    waker.isWake(event) ? reactor.work() : handle(event);
  }

  await reactor.close(); // Nobody has stopped it if SDL could not wait.
}

async function play(form: () => Promise<void>): Promise<void> {
  await form();
  quitSdl2();
}

// From a timer: inside a loop that is reached from a promise, promises wait.
setTimeout(play, 0, Deno.args[0] === "guest" ? guest : host);
