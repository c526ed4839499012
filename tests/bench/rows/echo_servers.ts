/**
 * The echo servers, which several rows measure.
 *
 * @module
 */

import {
  DENO,
  DENO_NODE,
  EPOLL,
  NODE,
  OURS,
  OURS_BUFFERED,
  TRIO,
  TRIO_GUEST,
  TWISTED_EPOLL,
  TWISTED_THREADED,
} from "../contestants.ts";
import type { Tools } from "../tools.ts";

/** A server, which prints its port. */
export interface EchoServer {
  /** Its name. */
  readonly who: string;
  /** Why it is missing here, if it is. */
  readonly absent: string | undefined;
  /** What to start it with. */
  command(): string[];
}

/** All echo servers. */
export function echoServers(tools: Tools): EchoServer[] {
  const commands: [string, () => string[]][] = [
    [OURS, () => tools.command("echo_net.ts")],
    [OURS_BUFFERED, () => tools.command("echo_buffered.ts")],
    [DENO, () => tools.command("echo_deno.ts")],
    [DENO_NODE, () => tools.command("echo_node.mjs")],
    [NODE, () => tools.node("echo_node.mjs")],
    [EPOLL, () => tools.command("echo_epoll.c")],
    [TWISTED_EPOLL, () => tools.command("echo_twisted.py", "epoll")],
    [
      TWISTED_THREADED,
      () => tools.command("echo_twisted.py", "threadedselect"),
    ],
    [TRIO, () => tools.command("echo_trio.py", "alone")],
    [TRIO_GUEST, () => tools.command("echo_trio.py", "guest")],
  ];
  return commands.map(([who, command]) => ({
    who,
    absent: tools.absence(who),
    command,
  }));
}
