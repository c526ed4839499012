import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { SystemEvents, TriggerId } from "../src/system_events.ts";

/** A set of events whose errors are kept, and resumed at once. */
class Fixture {
  readonly log: unknown[] = [];
  readonly errors: unknown[] = [];
  readonly places: string[] = [];
  /** Called when an event was resumed. */
  resumed: () => void = () => {};
  readonly events: SystemEvents = new SystemEvents({
    failed: (error, where) => {
      this.errors.push(error);
      this.places.push(where);
    },
    resume: (f) => {
      f();
      this.resumed();
    },
  });

  /** Adds a trigger that logs `word`. */
  logs(phase: string, word: string, event = "e"): TriggerId {
    return this.events.add(phase, event, () => this.log.push(word), []);
  }

  /** Adds a trigger that runs `f`. */
  runs(phase: string, f: () => unknown, event = "e"): TriggerId {
    return this.events.add(phase, event, f, []);
  }

  /** Resolves when the next waiting event has been resumed. */
  nextResume(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.resumed = resolve;
    return promise;
  }
}

Deno.test("add() refuses an unknown phase (contract 24)", () => {
  const { events } = new Fixture();
  for (const phase of ["", "Before", "constructor", "__proto__"]) {
    assertThrows(
      () => events.add(phase, "e", () => {}, []),
      RangeError,
      "phase",
    );
  }
  // deno-lint-ignore no-explicit-any
  const wrong: any[] = [undefined, null, 1, ["before"]];
  for (const phase of wrong) {
    assertThrows(
      () => events.add(phase, "e", () => {}, []),
      TypeError,
      "phase",
    );
  }
});

Deno.test("add() refuses an event that is no string", () => {
  const { events } = new Fixture();
  // deno-lint-ignore no-explicit-any
  const wrong: any[] = [undefined, null, 1, Symbol("e")];
  for (const event of wrong) {
    assertThrows(() => events.add("before", event, () => {}, []), TypeError);
  }
});

Deno.test("add() refuses a trigger that is no function (contract 25)", () => {
  const { events } = new Fixture();
  // deno-lint-ignore no-explicit-any
  const wrong: any[] = [undefined, null, 1, {}, "f"];
  for (const f of wrong) {
    assertThrows(() => events.add("before", "e", f, []), TypeError, '"f"');
  }
});

Deno.test("fire() runs a phase in the order of registration (contract 26)", () => {
  for (const phase of ["before", "during", "after"]) {
    const t = new Fixture();
    for (const word of ["a", "b", "c"]) t.logs(phase, word);
    t.events.fire("e");
    assertEquals(t.log, ["a", "b", "c"]);
  }
});

Deno.test("fire() runs before, during, after in that order whatever was added first (contract 27)", () => {
  const t = new Fixture();
  for (const phase of ["after", "during", "before"]) t.logs(phase, phase);
  t.events.fire("e");
  assertEquals(t.log, ["before", "during", "after"]);
});

Deno.test("fire() passes the arguments on (contract 28)", () => {
  const t = new Fixture();
  t.events.add("before", "e", (...args) => t.log.push(args), [1, "two"]);
  t.events.fire("e");
  assertEquals(t.log, [[1, "two"]]);
});

Deno.test("fire() does nothing when an event has no triggers (contract 29)", () => {
  const t = new Fixture();
  t.events.fire("nothing");
  assertEquals(t.errors, []);
});

Deno.test("fire() runs each trigger once when an event is fired twice (contract 30)", () => {
  const t = new Fixture();
  t.logs("before", "a");
  t.logs("during", "b");
  t.logs("after", "c");
  t.events.fire("e");
  t.events.fire("e");
  assertEquals(t.log, ["a", "b", "c"]);
});

Deno.test("fire() waits for a promise of a 'before' trigger (contract 31)", async () => {
  const t = new Fixture();
  const { promise, resolve } = Promise.withResolvers<void>();
  t.runs("before", () => promise);
  t.logs("during", "during");
  t.logs("after", "after");
  t.events.fire("e", { finished: () => t.log.push("finished") });
  assertEquals(t.log, []);
  const resumed = t.nextResume();
  resolve();
  await resumed;
  assertEquals(t.log, ["during", "after", "finished"]);
});

Deno.test("fire() waits for all promises of 'before' triggers (contract 32)", async () => {
  const t = new Fixture();
  const first = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  t.runs("before", () => first.promise);
  t.runs("before", () => second.promise);
  t.logs("during", "during");
  t.events.fire("e");
  const resumed = t.nextResume();
  second.resolve();
  // Longer than the event would take to notice, were the first not pending.
  for (let turn = 0; turn < 20; turn++) await null;
  assertEquals(t.log, []);
  first.resolve();
  await resumed;
  assertEquals(t.log, ["during"]);
});

Deno.test("fire() starts all 'before' triggers without waiting in between (contract 33)", async () => {
  const t = new Fixture();
  const { promise, resolve } = Promise.withResolvers<void>();
  t.runs("before", () => promise);
  t.logs("before", "second");
  t.events.fire("e");
  assertEquals(t.log, ["second"]);
  const resumed = t.nextResume();
  resolve();
  await resumed;
});

Deno.test("fire() goes on and reports when a promise of a 'before' trigger rejects (contract 34)", async () => {
  const t = new Fixture();
  t.runs("before", () => Promise.reject(new Error("first")));
  t.runs("before", () => Promise.reject(new Error("second")));
  t.logs("during", "during");
  t.events.fire("e");
  await t.nextResume();
  assertEquals(t.errors.map((error) => (error as Error).message), [
    "first",
    "second",
  ]);
  assertEquals(t.log, ["during"]);
});

Deno.test("fire() reports a throwing trigger and runs the rest (contract 35, 36)", () => {
  const t = new Fixture();
  for (const phase of ["before", "during", "after"]) {
    t.runs(phase, function stumble() {
      throw phase;
    });
    t.logs(phase, phase);
  }
  t.events.fire("e");
  assertEquals(t.log, ["before", "during", "after"]);
  assertEquals(t.errors, ["before", "during", "after"]);
  assertStringIncludes(t.places[1]!, 'during "e" (function stumble)');
});

Deno.test("fire() does not wait for promises of 'during' and 'after' triggers (contract 37)", () => {
  const t = new Fixture();
  t.runs("during", () => new Promise(() => {}));
  t.runs("after", () => new Promise(() => {}));
  t.logs("after", "after");
  t.events.fire("e", { finished: () => t.log.push("finished") });
  assertEquals(t.log, ["after", "finished"]);
});

Deno.test("fire() reports promises of 'during' and 'after' triggers that reject", async () => {
  const t = new Fixture();
  t.runs("during", () => Promise.reject("during"));
  t.runs("after", () => Promise.reject("after"));
  t.events.fire("e");
  for (let turn = 0; turn < 20; turn++) await null;
  assertEquals(t.errors, ["during", "after"]);
});

Deno.test("fire() does everything before it returns when nothing is promised (contract 38)", () => {
  const t = new Fixture();
  t.runs("before", () => ({ then: "not a function" }));
  t.logs("during", "during");
  t.logs("after", "after");
  t.events.fire("e", {
    during: () => t.log.push("hook"),
    finished: () => t.log.push("finished"),
  });
  assertEquals(t.log, ["hook", "during", "after", "finished"]);
});

Deno.test("fire() waits for a thenable that is no promise", async () => {
  const t = new Fixture();
  let settle = () => {};
  t.runs("before", () => ({
    then(resolve: () => void) {
      settle = resolve;
    },
  }));
  t.logs("during", "during");
  t.events.fire("e");
  await null;
  assertEquals(t.log, []);
  const resumed = t.nextResume();
  settle();
  await resumed;
  assertEquals(t.log, ["during"]);
});

Deno.test("fire() reports a result whose `then` throws, and goes on", () => {
  const t = new Fixture();
  t.runs("before", () => ({
    get then() {
      throw "poisoned";
    },
  }));
  t.logs("during", "during");
  t.events.fire("e");
  assertEquals(t.errors, ["poisoned"]);
  assertEquals(t.log, ["during"]);
});

Deno.test("fire() reports a throwing hook and goes on", () => {
  const t = new Fixture();
  t.logs("during", "during");
  t.events.fire("e", {
    during() {
      throw "during hook";
    },
    finished() {
      throw "finished hook";
    },
  });
  assertEquals(t.errors, ["during hook", "finished hook"]);
  assertEquals(t.log, ["during"]);
});

Deno.test("remove() prevents the call (contract 39)", () => {
  for (const phase of ["before", "during", "after"]) {
    const t = new Fixture();
    t.logs(phase, "a");
    const id = t.logs(phase, "b");
    t.logs(phase, "c");
    t.events.remove(id);
    t.events.fire("e");
    assertEquals(t.log, ["a", "c"]);
  }
});

Deno.test("remove() removes the one of two equal triggers that was meant (contract 39)", () => {
  const t = new Fixture();
  const f = (word: unknown) => t.log.push(word);
  t.events.add("during", "e", f, ["first"]);
  const second = t.events.add("during", "e", f, ["second"]);
  t.events.remove(second);
  t.events.fire("e");
  assertEquals(t.log, ["first"]);
});

Deno.test("remove() throws when the trigger was removed before (contract 40)", () => {
  const t = new Fixture();
  const id = t.logs("during", "a");
  t.events.remove(id);
  assertThrows(() => t.events.remove(id), RangeError, 'during "e"');
});

Deno.test("remove() throws when the trigger has run (contract 40)", () => {
  const t = new Fixture();
  const ids = ["before", "during", "after"].map((phase) => t.logs(phase, "x"));
  t.events.fire("e");
  for (const id of ids) assertThrows(() => t.events.remove(id), RangeError);
});

Deno.test("remove() throws when it is given what was never a trigger (contract 40)", () => {
  const t = new Fixture();
  const foreign = new Fixture().logs("before", "x");
  const forged = new TriggerId("before", "e");
  t.logs("before", "a");
  for (const id of [undefined, null, 0, {}, "before", foreign, forged]) {
    assertThrows(() => t.events.remove(id), TypeError, '"id"');
  }
  t.events.fire("e");
  assertEquals(t.log, ["a"]);
});

Deno.test("remove() stops a later trigger of the same phase when a trigger calls it (contract 41, 46)", () => {
  for (const phase of ["before", "during", "after"]) {
    const t = new Fixture();
    t.runs(phase, () => t.events.remove(later));
    t.logs(phase, "between");
    const later = t.logs(phase, "later");
    t.events.fire("e");
    assertEquals(t.log, ["between"]);
    assertEquals(t.errors, []);
  }
});

Deno.test("remove() does nothing to a 'before' trigger that ran in this event (contract 42)", () => {
  const t = new Fixture();
  const ran = t.logs("before", "ran");
  t.runs("before", () => {
    t.events.remove(ran);
    t.events.remove(ran);
  });
  t.logs("during", "during");
  t.events.fire("e");
  assertEquals(t.errors, []);
  assertEquals(t.log, ["ran", "during"]);
});

Deno.test("remove() does nothing to a 'before' trigger that ran while its event waits (contract 42)", async () => {
  const t = new Fixture();
  const { promise, resolve } = Promise.withResolvers<void>();
  const ran = t.runs("before", () => promise);
  t.events.fire("e");
  t.events.remove(ran);
  const resumed = t.nextResume();
  resolve();
  await resumed;
  assertThrows(() => t.events.remove(ran), RangeError);
});

Deno.test("remove() stops a 'during' trigger when a 'before' trigger calls it (contract 43)", () => {
  const t = new Fixture();
  const during = t.logs("during", "during");
  t.runs("before", () => t.events.remove(during));
  t.logs("after", "after");
  t.events.fire("e");
  assertEquals(t.log, ["after"]);
});

Deno.test("remove() stops a 'during' trigger while promises are awaited (contract 44)", async () => {
  const t = new Fixture();
  const { promise, resolve } = Promise.withResolvers<void>();
  t.runs("before", () => promise);
  const during = t.logs("during", "during");
  t.logs("after", "after");
  t.events.fire("e");
  t.events.remove(during);
  const resumed = t.nextResume();
  resolve();
  await resumed;
  assertEquals(t.log, ["after"]);
});

Deno.test("remove() of its last trigger leaves a waiting event in flight", async () => {
  const t = new Fixture();
  const { promise, resolve } = Promise.withResolvers<void>();
  t.runs("before", () => promise);
  const during = t.logs("during", "during");
  t.events.fire("e", { finished: () => t.log.push("finished") });
  t.events.remove(during);
  t.logs("after", "added");
  const resumed = t.nextResume();
  resolve();
  await resumed;
  assertEquals(t.log, ["added", "finished"]);
});

Deno.test("remove() tells a 'during' trigger from an equal 'before' trigger that ran (contract 45)", () => {
  const t = new Fixture();
  const f = () => t.log.push("f");
  t.runs("before", f);
  const during = t.runs("during", f);
  t.runs("before", () => t.events.remove(during));
  t.events.fire("e");
  assertEquals(t.log, ["f"]);
  assertEquals(t.errors, []);
});

Deno.test("add() during an event adds to the running and to later phases (contract 47)", () => {
  const t = new Fixture();
  const phases = ["before", "during", "after"];
  for (const [index, phase] of phases.entries()) {
    t.runs(phase, () => {
      for (const later of phases.slice(index)) {
        t.logs(later, `${phase} added ${later}`);
      }
    });
  }
  t.events.fire("e");
  assertEquals(t.log, [
    "before added before",
    "before added during",
    "during added during",
    "before added after",
    "during added after",
    "after added after",
  ]);
});

Deno.test("add() to an earlier phase during an event waits for the next firing", () => {
  const t = new Fixture();
  t.runs("after", () => t.logs("before", "before"));
  t.events.fire("e");
  assertEquals(t.log, []);
  t.events.fire("e");
  assertEquals(t.log, ["before"]);
});

Deno.test("add() of a 'before' trigger while promises are awaited is for the next firing (contract 48)", async () => {
  const t = new Fixture();
  const { promise, resolve } = Promise.withResolvers<void>();
  t.runs("before", () => promise);
  t.events.fire("e");
  t.logs("before", "late before");
  t.logs("during", "late during");
  const resumed = t.nextResume();
  resolve();
  await resumed;
  assertEquals(t.log, ["late during"]);
  t.events.fire("e");
  assertEquals(t.log, ["late during", "late before"]);
});

Deno.test("fire() keeps two events in flight apart (contract 49)", async () => {
  const t = new Fixture();
  const one = Promise.withResolvers<void>();
  const two = Promise.withResolvers<void>();
  t.runs("before", () => one.promise, "one");
  t.runs("before", () => two.promise, "two");
  t.logs("during", "one", "one");
  t.logs("during", "two", "two");
  t.events.fire("one");
  t.events.fire("two");
  let resumed = t.nextResume();
  two.resolve();
  await resumed;
  assertEquals(t.log, ["two"]);
  resumed = t.nextResume();
  one.resolve();
  await resumed;
  assertEquals(t.log, ["two", "one"]);
});

Deno.test("remove() treats 'before' triggers as run once 'during' has begun (contract 50)", () => {
  const t = new Fixture();
  const before = t.logs("before", "before");
  t.runs("during", () => t.events.remove(before));
  t.events.fire("e", { during: () => t.events.remove(before) });
  assertEquals(t.errors.length, 2);
  for (const error of t.errors) {
    assertEquals((error as Error).constructor, RangeError);
  }
});

Deno.test("fire() takes events of any name (contract 51)", () => {
  const t = new Fixture();
  for (const name of ["", "my event", "__proto__", "constructor"]) {
    t.logs("before", name, name);
    t.events.fire(name);
  }
  assertEquals(t.log, ["", "my event", "__proto__", "constructor"]);
});

Deno.test("fire() follows the event in flight when it is fired while promises are awaited", async () => {
  const t = new Fixture();
  const { promise, resolve } = Promise.withResolvers<void>();
  t.runs("before", () => promise);
  t.logs("during", "during");
  t.events.fire("e", { finished: () => t.log.push("finished 1") });
  t.logs("before", "late before");
  t.events.fire("e", { finished: () => t.log.push("finished 2") });
  assertEquals(t.log, []);
  const resumed = t.nextResume();
  resolve();
  await resumed;
  assertEquals(t.log, ["during", "finished 1", "late before", "finished 2"]);
});

Deno.test("fire() follows the event in flight when a trigger of it fires it", () => {
  for (const phase of ["before", "during", "after"]) {
    const t = new Fixture();
    t.runs(phase, () => {
      t.events.fire("e", { finished: () => t.log.push("finished 2") });
      t.log.push("fired");
    });
    t.logs("after", "after");
    t.events.fire("e", { finished: () => t.log.push("finished 1") });
    assertEquals(t.log, ["fired", "after", "finished 1", "finished 2"]);
  }
});

Deno.test("fire() follows the event in flight when its end fires it", () => {
  const t = new Fixture();
  t.events.fire("e", {
    finished() {
      t.events.fire("e");
      t.logs("after", "too late for that");
      t.events.fire("other");
    },
  });
  assertEquals(t.log, ["too late for that"]);
});

Deno.test("fire() goes on once when it is resumed twice", async () => {
  const log: string[] = [];
  const { promise, resolve } = Promise.withResolvers<() => void>();
  const events = new SystemEvents({
    failed(error) {
      throw error;
    },
    resume: resolve,
  });
  events.add("before", "e", () => Promise.resolve(), []);
  events.add("during", "e", () => resume(), []);
  events.add("after", "e", () => log.push("after"), []);
  events.fire("e", { finished: () => log.push("finished") });
  const resume = await promise;
  assertEquals(log, []);
  resume();
  resume();
  assertEquals(log, ["after", "finished"]);
});

Deno.test("abandon() ends an event that waits, and frees its name for the next firing", async () => {
  const t = new Fixture();
  const { promise, resolve } = Promise.withResolvers<void>();
  t.runs("before", () => promise);
  t.logs("during", "during");
  t.events.fire("e", { finished: () => t.log.push("finished 1") });
  t.events.fire("e", { finished: () => t.log.push("queued") });
  t.events.abandon("e");
  assertEquals(t.log, []);
  t.events.fire("e", { finished: () => t.log.push("finished 2") });
  assertEquals(t.log, ["during", "finished 2"]);

  const resumed = t.nextResume();
  resolve();
  await resumed;
  assertEquals(t.log, ["during", "finished 2"]);
});

Deno.test("abandon() ends an event before 'during' when a 'before' trigger calls it", () => {
  const t = new Fixture();
  t.runs("before", () => t.events.abandon("e"));
  t.logs("before", "second");
  t.logs("during", "during");
  t.events.fire("e", { finished: () => t.log.push("finished") });
  assertEquals(t.log, ["second"]);
  t.events.fire("e");
  assertEquals(t.log, ["second", "during"]);
});

Deno.test("abandon() lets the same trigger fire the event anew", () => {
  const t = new Fixture();
  t.runs("before", () => {
    t.events.abandon("e");
    t.events.fire("e", { finished: () => t.log.push("finished 2") });
  });
  t.logs("before", "second");
  t.logs("during", "during");
  t.events.fire("e", { finished: () => t.log.push("finished 1") });
  assertEquals(t.log, ["second", "during", "finished 2"]);
});

Deno.test("abandon() lets an event that is past 'before' go on", () => {
  const t = new Fixture();
  t.runs("during", () => t.events.abandon("e"));
  t.runs("during", () => t.events.fire("e"));
  t.logs("during", "during");
  t.runs("after", () => t.logs("before", "before 2"));
  t.events.fire("e", { finished: () => t.log.push("finished") });
  assertEquals(t.log, ["during", "finished", "before 2"]);
});

Deno.test("abandon() does nothing when nothing was fired", () => {
  const t = new Fixture();
  t.events.abandon("e");
  t.logs("during", "during");
  t.events.abandon("e");
  t.events.fire("e");
  assertEquals(t.log, ["during"]);
});

Deno.test("TriggerId shows its phase and event when printed", () => {
  assertEquals(
    String(new Fixture().logs("after", "x")),
    'TriggerId(after "e")',
  );
});
