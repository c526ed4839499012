// What the threads of pools call in the tests.

import {
  isInIOThread,
  reactorOfThread,
  transfer,
} from "../../src/threads/mod.ts";

/** What tests offer to these. */
export interface Offers {
  note(value: unknown): void;
  ask(question: string): string;
}

let calls = 0;

/** How often it was called in this thread. */
export const count = (): number => ++calls;

export const add = (a: number, b: number): number => a + b;

export async function addLater(a: number, b: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 1));
  return a + b;
}

export const isHere = (): boolean => isInIOThread();

export default function greet(name: string): string {
  return `hello, ${name}`;
}

export function fail(message: string): never {
  throw Object.assign(new RangeError(message), { code: "E_TEST" });
}

export const notCloneable = (): () => void => () => {};

export function failNotCloneable(): never {
  throw Object.assign(new TypeError("with a function"), { f: () => {} });
}

/** Makes calls for ever. */
export function noteForEver(ended: Int32Array): void {
  const reactor = reactorOfThread<Offers>();
  try {
    for (;;) reactor.callFromThread("note", "again");
  } finally {
    Atomics.store(ended, 0, 1);
    Atomics.notify(ended, 0);
  }
}

/** Says that it has begun, and ends when the word is set. */
export function noteAndWait(word: Int32Array): string {
  reactorOfThread<Offers>().callFromThread("note", "waiting");
  Atomics.wait(word, 0, 0);
  return "waited";
}

/** Makes so many calls, asks, and returns the answer. */
export function noteAndAsk(calls: number, question: string): string {
  const reactor = reactorOfThread<Offers>();
  for (let i = 0; i < calls; i++) reactor.callFromThread("note", i);
  return reactor.blockingCallFromThread("ask", question);
}

/** Makes so many calls, and throws. */
export function noteAndFail(calls: number): never {
  const reactor = reactorOfThread<Offers>();
  for (let i = 0; i < calls; i++) reactor.callFromThread("note", i);
  throw new Error("after the calls");
}

/** Leaves an error behind that belongs to nobody, and never ends. */
export function throwLater(message: string): Promise<void> {
  setTimeout(() => {
    throw new Error(message);
  });
  return new Promise(() => {});
}

/** The same, by a promise. */
export function rejectLater(message: string): Promise<void> {
  setTimeout(() => Promise.reject(new Error(message)));
  return new Promise(() => {});
}

/** Ends the thread. */
export function exit(): void {
  process.exit(7);
}

/** The same, without asking anybody. */
export function exitDeno(): void {
  Deno.exit(7);
}

/** Hands the same memory back. */
export function echo(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return transfer(bytes, [bytes.buffer]);
}

export const notAFunction = 1;
