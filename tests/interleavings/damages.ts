/**
 * Ways to break the hand-over, each of which the exploration must notice.
 *
 * @module
 */

import type { Edit } from "./program.ts";
import type { Scenario } from "./scenarios.ts";

/** One way. */
export interface Damage {
  /** What is wrong then. */
  readonly what: string;
  readonly edits: readonly Edit[];
  /** Where it shows: a part of the name of a scenario. */
  readonly scenario: Scenario;
  /** A part of what is said. */
  readonly message: string;
}

const onPoll: Scenario = {
  name: "a call and an event",
  reactor: {
    backend: "poll",
    host: "Deno's loop",
    actions: ["call soon", "reconsider", "iterate", "crash"],
  },
  budget: { actions: 2, events: 1 },
};

const inQueue: Scenario = {
  ...onPoll,
  reactor: { ...onPoll.reactor, host: "a queue" },
};

const inToolkit: Scenario = {
  ...onPoll,
  reactor: { ...onPoll.reactor, host: "a toolkit" },
};

const growing: Scenario = {
  ...onPoll,
  reactor: { ...onPoll.reactor, actions: ["add a reader", "reconsider"] },
  budget: { actions: 2 },
};

const held: Scenario = {
  ...onPoll,
  reactor: { ...onPoll.reactor, actions: ["attach a loop", "crash"] },
  budget: { actions: 2, patience: 1 },
};

const repeating: Scenario = {
  ...onPoll,
  reactor: { ...onPoll.reactor, actions: ["call soon"] },
  budget: { actions: 1, repeats: 1 },
};

/** The table. */
export const DAMAGES: readonly Damage[] = [
  {
    what: "nobody tells the worker that it was armed",
    edits: [{
      part: "HandOver",
      search: `before, STATE.ARMED);
Atomics.notify(control, WORD.STATE);`,
      replacement: "before, STATE.ARMED);",
    }],
    scenario: onPoll,
    message: "worker is blocked for ever",
  },
  {
    what: "nobody tells the main side of a report that it waits for",
    edits: [{
      part: "pollLoop",
      search: `Atomics.notify(control, words.STATE);
say =`,
      replacement: "say =",
    }],
    scenario: onPoll,
    message: "main is blocked for ever",
  },
  {
    what: "the worker overwrites whatever STATE has become while it polled",
    edits: [{
      part: "pollLoop",
      search:
        "Atomics.compareExchange(control, words.STATE, states.POLLING, states.REPORTED);",
      replacement: "Atomics.store(control, words.STATE, states.REPORTED);",
    }],
    scenario: { ...onPoll, budget: { actions: 1, patience: 1 } },
    message: "worker changed STATE",
  },
  {
    what: "a wait that was withdrawn has the number of the next one",
    edits: [{
      part: "HandOver",
      search: `Atomics.notify(control, WORD.STATE);
control[WORD.SEQUENCE]++;`,
      replacement: "Atomics.notify(control, WORD.STATE);",
    }, {
      part: "HandOver",
      search: `control[WORD.TIMEOUT] = timeout;
control[WORD.SEQUENCE]++;`,
      replacement: "control[WORD.TIMEOUT] = timeout;",
    }],
    scenario: onPoll,
    message: "A turn runs, and the worker",
  },
  {
    what: "the worker sleeps although the word has changed",
    edits: [{
      part: "pollLoop",
      search: "Atomics.wait(control, words.STATE, state, patience);",
      replacement:
        "Atomics.wait(control, words.STATE, Atomics.load(control, words.STATE), patience);",
    }],
    scenario: onPoll,
    message: "worker is blocked for ever",
  },
  {
    what: "a withdrawal does not wake the worker",
    edits: [{
      part: "HandOver",
      search: `try {
wake();`,
      replacement: "try {",
    }],
    scenario: onPoll,
    message: "main is blocked for ever",
  },
  {
    what: "an end does not wake the worker",
    edits: [{
      part: "HandOver",
      search: "this.withdraw(wake);",
      replacement: "",
    }],
    scenario: onPoll,
    message: "The run is over, and the worker's program is not",
  },
  {
    what: "the worker looks what came along before it takes the wait",
    edits: [{
      part: "pollLoop",
      search:
        `if (Atomics.compareExchange(control, words.STATE, states.ARMED, states.POLLING) !== states.ARMED) continue;`,
      replacement:
        "if (Atomics.load(control, words.STATE) !== states.ARMED) continue;",
    }, {
      part: "pollLoop",
      search: "if (holds.length > 0) {",
      replacement:
        `if (Atomics.compareExchange(control, words.STATE, states.ARMED,
states.POLLING) !== states.ARMED) continue;
if (holds.length > 0) {`,
    }],
    scenario: growing,
    message: "table",
  },
  {
    what: "a loop stays held when poll() has returned",
    edits: [{
      part: "pollLoop",
      search: `release();
// Most likely`,
      replacement: "// Most likely",
    }],
    scenario: held,
    message: "holds a loop",
  },
  {
    what: "an end does not wait until the worker has left the toolkit",
    edits: [{
      part: "HandOver",
      search: "if (this.#outlast(WORD.POSTING, 1) || this.#over) return;",
      replacement: "return;",
    }],
    scenario: inToolkit,
    message: "toolkit that was taken down",
  },
  {
    what: "a toolkit's call counts as a report",
    edits: [{
      part: "TurnLoop",
      search: "!handOver.waitForReport(0)",
      replacement: "false",
    }],
    scenario: inToolkit,
    message: "A turn runs, and the worker",
  },
  {
    what: "two wake-ups are pending",
    edits: [{
      part: "PollSet",
      search: "if (this.#wakePending) return false;",
      replacement: "",
    }],
    scenario: onPoll,
    message: "A second wake-up is pending",
  },
  {
    what: "a wake-up counts as pending for ever",
    edits: [{
      part: "PollSet",
      search: "this.#wakePending = false;",
      replacement: "",
    }],
    scenario: onPoll,
    message: "never",
  },
  {
    what: "nobody tells a blocked main side that the worker has failed",
    edits: [{
      part: "pollLoop",
      search: `Atomics.store(control, words.STATE, states.FAILED);
Atomics.notify(control, words.STATE);`,
      replacement: "Atomics.store(control, words.STATE, states.FAILED);",
    }],
    scenario: { ...inQueue, budget: { faults: 1, events: 1 } },
    message: "Nobody waits for events",
  },
  {
    what: "a report that is made again counts as another one",
    edits: [{
      part: "TurnLoop",
      search: "if (sequence === this.#handOver.sequence) this.#reported();",
      replacement: "this.#reported();",
    }],
    scenario: repeating,
    message: "A turn runs, and the worker",
  },
  {
    what: "a report is made again while a toolkit is taken down",
    edits: [{
      part: "HandOver",
      search:
        "Atomics.compareExchange(this.#control, WORD.STATE, REPORTED, PARKED);",
      replacement: "",
    }],
    scenario: {
      ...inToolkit,
      reactor: { ...inToolkit.reactor, actions: ["stop"] },
      budget: { actions: 1, repeats: 1 },
    },
    message: "toolkit that was taken down",
  },
  {
    what: "mail that comes twice counts twice",
    edits: [{
      part: "pollLoop",
      search: "if (message.number !== mail) continue;",
      replacement: "",
    }],
    scenario: {
      ...growing,
      reactor: { ...growing.reactor, actions: ["add a reader", "modal"] },
      budget: { actions: 2, doubles: 1 },
    },
    message: "entries in a table of",
  },
];
