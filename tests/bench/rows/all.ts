/**
 * All rows, in the order of the report.
 *
 * @module
 */

import type { Row, Setting } from "../row.ts";
import { fairnessRow } from "./fairness.ts";
import { idleRow } from "./idle.ts";
import { memoryRow } from "./memory.ts";
import { pairsRow } from "./pairs.ts";
import { restRow } from "./rest.ts";
import { startRow } from "./start.ts";
import { tcpRow } from "./tcp.ts";
import { timersRow } from "./timers.ts";
import { wakeRow } from "./wake.ts";

/** Makes them for a machine. */
export function allRows(setting: Setting): Row[] {
  return [
    tcpRow(setting),
    wakeRow(setting),
    pairsRow(setting),
    idleRow(setting),
    timersRow(setting),
    fairnessRow(setting),
    restRow(setting),
    startRow(setting),
    memoryRow(setting),
  ];
}
