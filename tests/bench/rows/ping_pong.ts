/**
 * Those who play ping-pong, for the rows that count callbacks.
 *
 * @module
 */

import {
  DENO,
  EPOLL,
  OURS,
  OURS_POLL,
  TWISTED_EPOLL,
  TWISTED_THREADED,
} from "../contestants.ts";
import { Process } from "../processes.ts";
import type { Contestant, Figures, Setting } from "../row.ts";

/** What `select()` can look at (FD_SETSIZE). */
const SELECT_LIMIT = 1024;

/** Everybody, with so many pairs and so many idle descriptors beside them. */
export function pairsContestants(
  { quick, tools }: Setting,
  pairs: number,
  idle: number,
): Contestant[] {
  const [warmUp, measure] = quick ? [250, 350] : [500, 1000];
  const programs: [string, string, ...string[]][] = [
    [OURS, "pairs.ts", "default"],
    [OURS_POLL, "pairs.ts", "poll"],
    [DENO, "pairs_deno.ts"],
    [EPOLL, "pairs_epoll.c"],
    [TWISTED_EPOLL, "pairs_twisted.py", "epoll"],
    [TWISTED_THREADED, "pairs_twisted.py", "threadedselect"],
  ];
  return programs.map(([who, program, ...parameters]) => ({
    who,
    absent: absence(who),
    measure: () =>
      play(
        tools.command(program, pairs, idle, warmUp, measure, ...parameters),
      ),
  }));

  function absence(who: string): string | undefined {
    if (
      who === TWISTED_THREADED && 2 * pairs + idle > SELECT_LIMIT - 100
    ) return "select() takes no more than 1024 descriptors";
    return tools.absence(who);
  }
}

async function play(command: string[]): Promise<Figures> {
  await using players = new Process(command);
  const { rate } = await players.figures();
  if (!(rate! > 0)) throw new Error("No callback was counted");
  return { rate: rate! };
}
