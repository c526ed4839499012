/**
 * The ways to use a reactor in Deno's own loop.
 *
 * @module
 */

import { Reactor, threadSafeWaker } from "../../../mod.ts";

/**
 * Starts a reactor.
 *
 * @param variant "default", "poll" for the portable backend, "native" for the
 * ready-made native waker, or "low" for low latency.
 */
export function startVariant(variant: string = "default"): Reactor {
  const reactor = new Reactor({
    backend: variant === "poll" || Deno.build.os !== "linux" ? "poll" : "epoll",
    latency: variant === "low" ? "low" : "normal",
  });
  reactor.interleave(variant === "native" ? threadSafeWaker() : undefined);
  return reactor;
}
