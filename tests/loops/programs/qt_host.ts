/**
 * Deno as Qt's host: a window that is clicked on and closed, and all that goes
 * on beside it.
 *
 *     deno run --allow-ffi --allow-env --allow-net=127.0.0.1 tests/loops/programs/qt_host.ts 6
 *
 * @module
 */

import { Reactor } from "../../../mod.ts";
import { qtLoop, qtWaker } from "../../../src/loops/qt.ts";
import { QT, slotObject } from "../../../ffi/toolkits/qt.ts";
import { openToolkit } from "../../../ffi/toolkits/library.ts";
import { Qt } from "../../../examples/loops/bindings/qt.ts";
import { aliveBeside, idle } from "./alive.ts";
import { say } from "./say.ts";

const version = Deno.args[0] === "5" ? 5 : 6;
const { singleShot } = openToolkit(QT[version], {
  /** `static void QTimer::singleShotImpl(int ms, Qt::TimerType type, const QObject *receiver, QtPrivate::QSlotObjectBase *slot)` */
  singleShot: {
    name:
      "_ZN6QTimer14singleShotImplEiN2Qt9TimerTypeEPK7QObjectPN9QtPrivate15QSlotObjectBaseE",
    parameters: ["i32", "i32", "pointer", "pointer"],
    result: "void",
  },
});

const clicked = Promise.withResolvers<void>();
const closed = Promise.withResolvers<void>();

const reactor = new Reactor();
const qt = new Qt(version);
const window = qt.window("Qt under test");
window.label("Deno is the host");
const button = window.button("Click", () => {
  button.setText("Clicked");
  clicked.resolve();
});
const attachment = reactor.attach(qtLoop());
window.show(closed.resolve);

await clicked.promise;
say("clicked");
say("alive", await aliveBeside(reactor));

say("idle", await idle(reactor));

// Qt is given the thread, and the reactor goes on inside.
reactor.callLater(20, () => qt.exit());
reactor.modal(qtWaker(), () => qt.exec());
say("modal");

// Plain Deno code starts a timer of Qt's.
await new Promise((resolve) => setTimeout(resolve, 0));
const start = performance.now();
await new Promise<void>((resolve) => {
  const PRECISE = 0;
  singleShot(30, PRECISE, null, slotObject(() => resolve()));
  attachment.kick();
});
say("timer", performance.now() - start);

await closed.promise;
say("closed");
attachment.detach();
await reactor.close();
