/**
 * Load on calls: delayed ones by the thousand, queued ones, triggers of events.
 *
 * @module
 */

import { deferLater, type DelayedCall, LoopingCall } from "../../mod.ts";
import { expect, expectRejection, misdelivered, type Stage } from "./stage.ts";

/** A delayed call, and what is to become of it. */
interface Appointment {
  call: DelayedCall;
  cancelled: boolean;
  rings: number;
}

/** Calls that are put off, moved up and cancelled while others are made. */
export async function timers(stage: Stage): Promise<void> {
  const { reactor, random, dropped } = stage;
  const appointments: Appointment[] = [];
  const over = Promise.withResolvers<void>();
  let open = 1;
  const close = () => {
    if (--open === 0) over.resolve();
  };
  for (let i = 0; i < 2000; i++) {
    const appointment: Omit<Appointment, "call"> & { call?: DelayedCall } = {
      cancelled: false,
      rings: 0,
    };
    appointment.call = reactor.callLater(random.below(40), () => {
      const { call, cancelled, rings } = appointment as Appointment;
      appointment.rings++;
      stage.counters.delivered++;
      if (rings > 0) misdelivered(stage, "a delayed call came twice");
      if (cancelled) misdelivered(stage, "a call came that was cancelled");
      if (reactor.now() < call.getTime()) {
        misdelivered(stage, `${call.getTime() - reactor.now()} ms too early`);
      }
      close();
    });
    open++;
    if (i % 10 === 0) dropped.add("delayed call", appointment.call);
    appointments.push(appointment as Appointment);
    for (let changes = random.below(3); changes > 0; changes--) {
      if (change(stage, random.pick(appointments))) close();
    }
  }
  close();
  await over.promise;
  for (const { cancelled, rings } of appointments) {
    expect(stage, rings === (cancelled ? 0 : 1), `${rings} rings of one call`);
  }
}

/** Changes one. Returns whether it is cancelled now. */
function change({ random }: Stage, appointment: Appointment): boolean {
  const { call } = appointment;
  if (!call.active()) return false;
  const kind = random.below(4);
  if (kind === 0) call.delay(random.below(20));
  if (kind === 1) call.reset(random.below(20));
  if (kind === 2) {
    call.unref();
    call.ref();
  }
  if (kind < 3) return false;
  call.cancel();
  appointment.cancelled = true;
  return true;
}

/** What is built on delayed calls. */
export async function intervals(stage: Stage): Promise<void> {
  const { reactor, random, signal } = stage;
  let rounds = 0;
  const loop = new LoopingCall(() => {
    if (++rounds === 5) loop.stop();
  });
  loop.clock = reactor;
  await loop.start(random.below(3));
  expect(stage, rounds === 5, `${rounds} rounds of a LoopingCall`);

  const answer = await deferLater(1, () => rounds, { clock: reactor, signal });
  expect(stage, answer === rounds, "the result of deferLater()");
  const controller = new AbortController();
  const never = deferLater(100_000, () => {}, {
    clock: reactor,
    signal: controller.signal,
  });
  controller.abort(rounds);
  await expectRejection(
    stage,
    never,
    (reason) => reason === rounds,
    "a deferLater() that was aborted",
  );
}

/** Queued calls come in order, and triggers come or have been removed. */
export async function calls(stage: Stage): Promise<void> {
  const { reactor, random } = stage;
  const over = Promise.withResolvers<void>();
  const count = 1000;
  let next = 0;
  for (let i = 0; i < count; i++) {
    reactor.callFromThread((i) => {
      expect(stage, i === next++, "the order of callFromThread()");
      stage.counters.delivered++;
      if (next === count) over.resolve();
    }, i);
  }
  const event = `event ${random.below(1000)}`;
  let fired = 0;
  for (let i = 0; i < 50; i++) {
    const id = reactor.addSystemEventTrigger(
      random.pick(["before", "during", "after"]),
      random.pick([event, "shutdown"]),
      () => fired++,
    );
    reactor.removeSystemEventTrigger(id);
  }
  for (let i = 0; i < 50; i++) {
    reactor.addSystemEventTrigger("during", event, () => fired++);
  }
  reactor.fireSystemEvent(event);
  expect(stage, fired === 50, `${fired} of 50 triggers`);
  await over.promise;
}
