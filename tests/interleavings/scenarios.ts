/**
 * What is explored: each line with every interleaving of both threads, of what
 * the program does, and of what happens outside.
 *
 * @module
 */

import type { Program } from "./program.ts";
import type { ReactorOptions } from "./reactor.ts";
import { type Budget, Simulation } from "./simulation.ts";

/** One line. */
export interface Scenario {
  readonly name: string;
  readonly reactor: ReactorOptions;
  readonly budget: Partial<Budget>;
  /** Terminated threads may end wherever they are. */
  readonly kills?: boolean;
  /** Accesses that are not atomic are steps of their own. */
  readonly isFine?: boolean;
}

/** Makes a simulation of it. */
export function simulationOf(
  scenario: Scenario,
  program: Program,
): Simulation {
  const { budget, reactor } = scenario;
  return new Simulation(program, budget, reactor, scenario);
}

const DENO: ReactorOptions = {
  backend: "poll",
  host: "Deno's loop",
  actions: [],
};

/** The table. Every line has its bounds in its name. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "one call of any kind and one event [poll]",
    reactor: {
      ...DENO,
      actions: [
        "call soon",
        "call later",
        "add a reader",
        "remove a reader",
        "crash",
      ],
    },
    budget: { actions: 1, events: 1 },
  },
  {
    name: "one call of any kind and one event [epoll]",
    reactor: {
      ...DENO,
      backend: "epoll",
      actions: [
        "call soon",
        "call later",
        "add a reader",
        "remove a reader",
        "iterate",
        "crash",
      ],
    },
    budget: { actions: 1, events: 1 },
  },
  {
    name: "one call, down to plain accesses",
    reactor: { ...DENO, actions: ["call soon", "reconsider"] },
    budget: { actions: 1 },
    isFine: true,
  },
  {
    name: "one call with a queue, down to plain accesses",
    reactor: {
      ...DENO,
      host: "a queue",
      actions: ["call soon", "reconsider", "crash"],
    },
    budget: { actions: 1 },
    isFine: true,
  },
  {
    name: "one call in a toolkit, down to plain accesses",
    reactor: {
      ...DENO,
      host: "a toolkit",
      actions: ["call soon", "crash"],
    },
    budget: { actions: 1 },
    isFine: true,
  },
  {
    name: "two calls soon, or one and the end",
    reactor: { ...DENO, actions: ["call soon", "crash"] },
    budget: { actions: 2 },
  },
  {
    name: "a table that grows and a wait that is taken back",
    reactor: { ...DENO, actions: ["add a reader", "reconsider"] },
    budget: { actions: 2 },
  },
  {
    name: "one call, one event and a poll() that is interrupted",
    reactor: { ...DENO, actions: ["call soon"] },
    budget: { actions: 1, events: 1, interruptions: 1 },
  },
  {
    name: "a nested loop of a toolkit's and one event",
    reactor: { ...DENO, actions: ["modal"] },
    budget: { actions: 1, events: 1 },
  },
  {
    name: "one call and one event, with a waker",
    reactor: {
      ...DENO,
      host: "a waker",
      actions: ["call soon", "iterate", "crash"],
    },
    budget: { actions: 1, events: 1 },
  },
  {
    name: "one call and one event, with a queue",
    reactor: {
      ...DENO,
      host: "a queue",
      actions: ["call soon", "get for a while", "crash"],
    },
    budget: { actions: 1, events: 1 },
  },
  {
    name: "one call and one event, in a toolkit",
    reactor: {
      ...DENO,
      host: "a toolkit",
      actions: ["call soon", "stop", "crash"],
    },
    budget: { actions: 1, events: 1 },
  },
  {
    name: "one call, in a toolkit that refuses it once",
    reactor: {
      ...DENO,
      host: "a toolkit",
      actions: ["call soon", "crash"],
      toolkit: { refuses: true },
    },
    budget: { actions: 1, refusals: 1 },
  },
  {
    name: "one call and one event, in a toolkit that waits for the work item",
    reactor: {
      ...DENO,
      host: "a toolkit",
      actions: ["call soon", "crash"],
      toolkit: { synchronous: true },
    },
    budget: { actions: 1, events: 1 },
  },
  {
    name: "a loop that is held, or refused, and the end",
    reactor: { ...DENO, actions: ["attach a loop", "crash"] },
    budget: { actions: 2, refusals: 1 },
  },
  {
    name: "a loop that is held and a wait on the main thread",
    reactor: { ...DENO, actions: ["attach a loop", "iterate"] },
    budget: { actions: 2 },
  },
  {
    name: "one error anywhere in the worker",
    reactor: DENO,
    budget: { faults: 1 },
  },
  {
    name: "one error anywhere in the worker and the end, in a toolkit",
    reactor: { ...DENO, host: "a toolkit", actions: ["crash"] },
    budget: { actions: 1, faults: 1 },
  },
  {
    name: "a worker that is given up for dead, and a wait that is taken back",
    reactor: { ...DENO, actions: ["reconsider"] },
    budget: { actions: 1, patience: 1 },
  },
  {
    name: "one call, one event and a report that is made again",
    reactor: { ...DENO, actions: ["call soon", "reconsider", "crash"] },
    budget: { actions: 1, events: 1, repeats: 1 },
  },
  {
    name: "one call and a report that is made again, in a toolkit",
    reactor: {
      ...DENO,
      host: "a toolkit",
      actions: ["call soon", "stop", "crash"],
    },
    budget: { actions: 1, repeats: 1 },
  },
  {
    name: "a table that grows, one call and a message that comes twice",
    reactor: { ...DENO, actions: ["add a reader", "call soon"] },
    budget: { actions: 2, doubles: 1 },
  },
];
