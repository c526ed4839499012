/**
 * What the wakers and loops of Qt say when they cannot be had.
 *
 *     deno run --allow-ffi --allow-env tests/loops/programs/qt_refusals.ts
 *
 * @module
 */

import { qtLoop, type QtOptions, qtWaker } from "../../../src/loops/qt.ts";
import { Qt } from "../../../examples/loops/bindings/qt.ts";
import { say } from "./say.ts";

function refusal(f: () => unknown): string {
  try {
    f();
    return "none";
  } catch (error) {
    return String(error);
  }
}

const four = { version: 4 } as unknown as QtOptions;
const text = { version: "6" } as unknown as QtOptions;
const early = [qtWaker, qtLoop].flatMap((make) => [
  refusal(() => make()),
  refusal(() => make({ version: 6 })),
  refusal(() => make(four)),
  refusal(() => make(text)),
]);
say("early", early);

new Qt(5);
say("waker", refusal(() => qtWaker()));
say("other", refusal(() => qtWaker({ version: 6 })));
say("loop", refusal(() => qtLoop()));
