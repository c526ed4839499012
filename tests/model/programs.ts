/**
 * What the model does: steps at random, as data that can be printed, shrunk and
 * run again.
 *
 * A step names what it is about by a plain number, of which the remainder counts
 * among those that there are. So every step means something wherever it stands,
 * and a program stays a program when steps are taken out of it.
 *
 * @module
 */

import fc from "npm:fast-check@^4";
import type { Side } from "./kernel.ts";

/** What a callback does. */
export interface Plan {
  /** The first time it is called: these, among its own work. */
  readonly steps: readonly Step[];
  /** How many bytes it takes or sends at a time; 0 for all that there are. */
  readonly size: number;
  /** How often it is called before it ends. */
  readonly calls: number;
  /** How it ends: it leaves, returns ConnectionDone, or throws. */
  readonly end: "leave" | "done" | "throw";
  /** A reader that understands half-closed connections. */
  readonly halfCloses: boolean;
  /** Whether it promises that nobody closes its descriptor. */
  readonly owned: boolean;
}

/** As `on`: with whatever the callback belongs to whose step it is. */
export const SELF = -1;

/** One thing to do. `on` and `other` say with what. */
export type Step =
  | { do: "open"; kind: "socket" | "pipe" }
  | { do: "duplicate" | "close" | "close behind" | "end writing"; on: number }
  | { do: "fill"; on: number }
  | { do: "reopen"; on: number; kind: "socket" | "pipe"; plan: Plan }
  | { do: "reuse behind"; on: number; other: number }
  | { do: "send" | "take"; on: number; size: number }
  | { do: "add"; on: number; side: Side; plan: Plan }
  | { do: "add again" | "remove"; on: number; side: Side }
  | { do: "remove all" }
  | { do: "wait"; on: number; side: Side; plan: Plan }
  | { do: "abort"; on: number }
  | { do: "watch"; on: number; side: Side; plan: Plan }
  | { do: "next" | "unref" | "ref" | "close watch"; on: number }
  | { do: "call later"; ms: number; plan: Plan }
  | { do: "reset" | "delay"; on: number; ms: number }
  | { do: "cancel"; on: number }
  | { do: "call from thread"; plan: Plan }
  | { do: "advance"; ms: number };

/** A step of the program itself, and what is done before the next one. */
export interface Command {
  readonly step: Step;
  /** Wait until all is quiet, nothing, or let Deno's loop turn once. */
  readonly then: "settle" | "go on" | "breathe";
}

/** A program, and whether the reactor is closed in the middle of it all. */
export interface Program {
  readonly commands: readonly Command[];
  readonly closes: boolean;
}

/** For {@linkcode programs}. */
export interface ProgramOptions {
  /** Without: no waits and no watches. */
  promises: boolean;
  /** Commands, at most. */
  length: number;
}

/** One program of so many ends by closing the reactor. */
const CLOSES_EVERY = 400;

/** Far enough never to be due. */
const FAR = 1e6;

const any = fc.nat(11);
const anyOrSelf = fc.oneof(any, fc.constant(SELF));
const size = fc.constantFrom(1, 0, 7, 300);
const side = fc.constantFrom<Side>("reading", "writing");
const kind = fc.constantFrom<"socket" | "pipe">("pipe", "socket");
const ms = fc.constantFrom(0, 0.5, 1, 2, FAR);
const shift = fc.constantFrom(0, 0.5, 2, -1, -FAR);

/** Steps whose callbacks' steps have callbacks, so many times over. */
function steps(
  depth: number,
  promises: boolean,
  on: fc.Arbitrary<number> = anyOrSelf,
): fc.Arbitrary<Step> {
  const plan: fc.Arbitrary<Plan> = fc.record({
    steps: depth === 0
      ? fc.constant([])
      : fc.array(steps(depth - 1, promises), { maxLength: 3 }),
    size,
    calls: fc.integer({ min: 1, max: 4 }),
    end: fc.constantFrom<Plan["end"]>("leave", "done", "throw"),
    halfCloses: fc.boolean(),
    owned: fc.boolean(),
  }, { noNullPrototype: true });
  const of = <T>(
    weight: number,
    model: { [K in keyof T]: fc.Arbitrary<T[K]> },
  ) => ({
    weight,
    arbitrary: fc.record<T>(model, { noNullPrototype: true }) as fc.Arbitrary<
      unknown
    > as fc.Arbitrary<Step>,
  });
  const is = fc.constant;
  const plain = [
    of(4, { do: is("open"), kind }),
    of(8, { do: is("send"), on, size }),
    of(8, { do: is("add"), on, side, plan }),
    of(2, { do: is("take"), on, size }),
    of(1, { do: is("fill"), on }),
    of(1, { do: is("duplicate"), on }),
    of(2, { do: is("close"), on }),
    of(2, { do: is("reopen"), on, kind, plan }),
    of(1, { do: is("close behind"), on }),
    of(1, { do: is("reuse behind"), on, other: any }),
    of(1, { do: is("end writing"), on }),
    of(2, { do: is("add again"), on, side }),
    of(4, { do: is("remove"), on, side }),
    of(1, { do: is("remove all") }),
    of(4, { do: is("call later"), ms, plan }),
    of(1, { do: is("reset"), on: any, ms }),
    of(1, { do: is("delay"), on: any, ms: shift }),
    of(2, { do: is("cancel"), on: any }),
    of(2, { do: is("call from thread"), plan }),
    of(2, { do: is("advance"), ms: fc.constantFrom(2, 1, 0.5) }),
  ];
  if (!promises) return fc.oneof(...plain);
  return fc.oneof(
    ...plain,
    of(5, { do: is("wait"), on, side, plan }),
    of(2, { do: is("abort"), on: any }),
    of(2, { do: is("watch"), on, side, plan }),
    of(4, { do: is("next"), on: any }),
    of(1, { do: is("unref"), on: any }),
    of(1, { do: is("ref"), on: any }),
    of(1, { do: is("close watch"), on: any }),
  );
}

/** Programs at random. */
export function programs(options: ProgramOptions): fc.Arbitrary<Program> {
  const command: fc.Arbitrary<Command> = fc.record({
    step: steps(2, options.promises, any),
    then: fc.constantFrom<Command["then"]>(
      "settle",
      "settle",
      "settle",
      "go on",
      "breathe",
    ),
  }, { noNullPrototype: true });
  return fc.record({
    commands: fc.array(command, {
      minLength: 1,
      maxLength: options.length,
      size: "max",
    }),
    closes: fc.nat(CLOSES_EVERY - 1).map((n) => n === CLOSES_EVERY - 1),
  }, { noNullPrototype: true });
}

/** A program as lines of text. */
export function show(program: Program): string {
  const lines = program.commands.map(({ step, then }, i) =>
    `  ${i + 1}. ${showStep(step)}; then ${then}`
  );
  if (program.closes) lines.push("  and the reactor is closed");
  return lines.join("\n");
}

function showStep(step: Step): string {
  const { do: what, plan, ...rest } = step as Step & { plan?: Plan };
  const details = Object.entries(rest).map(([key, value]) => `${key} ${value}`);
  if (plan !== undefined) details.push(`plan ${showPlan(plan)}`);
  return details.length === 0 ? what : `${what} (${details.join(", ")})`;
}

function showPlan(plan: Plan): string {
  const { steps, size, calls, end, halfCloses, owned } = plan;
  const flags = (halfCloses ? ", half-closes" : "") + (owned ? ", owned" : "");
  const inner = steps.map(showStep).join("; ");
  return `[${inner}] size ${size}, ${calls} calls, ${end}${flags}`;
}
