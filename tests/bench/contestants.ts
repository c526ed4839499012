/**
 * The names of those who are measured.
 *
 * @module
 */

/** This package, as it comes. */
export const OURS = "interleave";
/** With a protocol that has a buffer of its own, as Deno's sockets ask for. */
export const OURS_BUFFERED = "interleave, BufferedProtocol";
/** With `backend: "poll"`. */
export const OURS_POLL = "interleave, poll backend";
/** With the ready-made native waker. */
export const OURS_NATIVE_WAKER = "interleave, threadSafeWaker";
/** With `latency: "low"`. */
export const OURS_LOW_LATENCY = "interleave, low latency";
/** Deno's own sockets and timers. */
export const DENO = "Deno native";
/** Node's sockets as Deno has them. */
export const DENO_NODE = "node:net in Deno";
/** Node itself. */
export const NODE = "Node";
/** A server of sixty lines in C. */
export const EPOLL = "C epoll";
/** Twisted on epoll. */
export const TWISTED_EPOLL = "Twisted epollreactor";
/** Twisted's threaded reactor, interleaved with asyncio. */
export const TWISTED_THREADED = "Twisted threadedselect";
/** trio by itself. */
export const TRIO = "trio";
/** trio as a guest of asyncio. */
export const TRIO_GUEST = "trio guest mode";
