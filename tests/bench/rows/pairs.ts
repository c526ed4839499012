/**
 * Readiness callbacks per second, with more and more that are ready.
 *
 * @module
 */

import type { Row, Setting } from "../row.ts";
import { pairsContestants } from "./ping_pong.ts";

/** See the module's documentation. */
export function pairsRow(setting: Setting): Row {
  return {
    key: "pairs",
    title: "Readiness callbacks",
    method:
      "A byte goes to and fro in each pair of sockets: a callback reads it and writes one. Deno's pairs are UNIX sockets that it connected itself.",
    metrics: [{ name: "rate", title: "callbacks", unit: "/s" }],
    cases: [1, 10, 100, 1000].map((pairs) => ({
      key: `pairs/${pairs}`,
      title: `${pairs} pair${pairs > 1 ? "s" : ""}`,
      contestants: pairsContestants(setting, pairs, 0),
    })),
  };
}
