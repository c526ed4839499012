/**
 * Host names, looked up off the main thread.
 *
 * It also works while Deno's own loop stands still inside a toolkit's: a worker
 * calls `getaddrinfo`, and its answers come through a pipe that the reactor
 * reads. There is one worker a reactor, started for the first name. It asks for
 * up to 32 names at a time, so that one for which no answer comes holds up no
 * other. It keeps the process alive only while somebody waits for an answer, and
 * ends with the reactor.
 *
 * @module
 */

import type { NameAnswer, NameQuestion } from "../../ffi/name_lookup.ts";
import { isLiteral, SocketAddress } from "../../ffi/socket_address.ts";
import { SOCKET } from "../../ffi/socket_constants.ts";
import { checkFunction, complaint, show } from "../arguments.ts";
import type { DelayedCall } from "../delayed_calls.ts";
import { ConnectionLost, ReactorNotRunning } from "../errors.ts";
import type { Reactor } from "../reactor.ts";
import { NameLookupError } from "./errors.ts";
import { type LookupListener, LookupThread } from "./lookup_thread.ts";

/** What a look-up found: addresses, or the error that says why there are none. */
export type NameLookupResult =
  | {
    /** IPv4 and IPv6 addresses, the one to try first in front. At least one. */
    readonly addresses: readonly string[];
    readonly error?: undefined;
  }
  | {
    readonly addresses?: undefined;
    /** Its `code` is the name from `<netdb.h>`, such as `"EAI_NONAME"`. */
    readonly error: NameLookupError;
  };

/** Gets what a look-up found. */
export type NameLookupDone = (result: NameLookupResult) => void;

/** A name that somebody waits for. */
interface Lookup {
  readonly hostname: string;
  readonly question: NameQuestion;
  readonly done: NameLookupDone;
  /** The question or the answer, on its way. */
  call: DelayedCall | undefined;
  /** The worker has the question. */
  asked: boolean;
}

/**
 * The names of `<netdb.h>`'s errors, by their numbers: on Linux (glibc and musl),
 * where they are negative, and on macOS.
 */
const EAI: Readonly<Record<number, string>> = Deno.build.os === "darwin"
  ? {
    1: "EAI_ADDRFAMILY",
    2: "EAI_AGAIN",
    3: "EAI_BADFLAGS",
    4: "EAI_FAIL",
    5: "EAI_FAMILY",
    6: "EAI_MEMORY",
    7: "EAI_NODATA",
    8: "EAI_NONAME",
    9: "EAI_SERVICE",
    10: "EAI_SOCKTYPE",
    11: "EAI_SYSTEM",
    14: "EAI_OVERFLOW",
  }
  : {
    [-1]: "EAI_BADFLAGS",
    [-2]: "EAI_NONAME",
    [-3]: "EAI_AGAIN",
    [-4]: "EAI_FAIL",
    [-5]: "EAI_NODATA",
    [-6]: "EAI_FAMILY",
    [-7]: "EAI_SOCKTYPE",
    [-8]: "EAI_SERVICE",
    [-9]: "EAI_ADDRFAMILY",
    [-10]: "EAI_MEMORY",
    [-11]: "EAI_SYSTEM",
    [-12]: "EAI_OVERFLOW",
  };

const encoder = new TextEncoder();

/** They go when their reactors do. */
const resolvers = new WeakMap<Reactor, Resolver>();

/**
 * Looks a host name up.
 *
 * An address is its own answer. "localhost" and the names below it are this
 * machine (RFC 6761). For other names, addresses of a family that no interface
 * of this machine has, other than the loopback, are left out.
 *
 * @param reactor In one of whose work items `done` is called.
 * @param hostname The name, or an IPv4 or IPv6 address.
 * @param done Is called once, never from inside this call, also when the reactor
 * stops first. What it throws is reported by the reactor.
 * @returns Cancels the look-up: `done` is not called.
 * @throws {TypeError} When `hostname` is not a string, is empty or has a NUL in
 * it, or `done` is not a function.
 * @throws {ReactorNotRunning} When the reactor has stopped.
 * @throws {Deno.errors.BadResource} When the reactor is closed.
 */
export function lookUp(
  reactor: Reactor,
  hostname: string,
  done: NameLookupDone,
): () => void {
  if (
    typeof hostname !== "string" || hostname === "" || hostname.includes("\0")
  ) {
    throw new TypeError(
      complaint(
        hostname,
        "look up a host name",
        "hostname",
        "a string with at least one character and no NUL",
      ),
    );
  }
  checkFunction(done, "look up a host name", "done");
  let resolver = resolvers.get(reactor);
  if (resolver === undefined) {
    resolver = new Resolver(reactor);
    resolvers.set(reactor, resolver);
  }
  return resolver.lookUp(hostname, done);
}

/** The look-ups of a reactor. */
class Resolver implements LookupListener {
  readonly #reactor: Reactor;
  readonly #lookups = new Map<number, Lookup>();
  #lastId = 0;
  /** How many of the look-ups the worker has. */
  #asked = 0;
  #thread: LookupThread | undefined;
  #over = false;

  constructor(reactor: Reactor) {
    this.#reactor = reactor;
    reactor.addSystemEventTrigger("during", "shutdown", () => {
      this.#over = true;
      this.ended(new ConnectionLost("The reactor has stopped"));
    });
  }

  lookUp(hostname: string, done: NameLookupDone): () => void {
    if (this.#over) {
      throw new ReactorNotRunning(
        `Cannot look up ${show(hostname)}: the reactor has stopped`,
      );
    }
    const id = ++this.#lastId;
    const question = { id, ...queryFor(hostname) };
    const lookup: Lookup = {
      hostname,
      question,
      done,
      call: undefined,
      asked: false,
    };
    if (isLiteral(hostname)) this.#answer(lookup, { addresses: [hostname] });
    else this.#askSoon(lookup);
    this.#lookups.set(id, lookup);
    return () => this.#forget(lookup);
  }

  /** An answer has come. */
  answered(answer: NameAnswer): void {
    const lookup = this.#lookups.get(answer.id);
    if (lookup === undefined || !lookup.asked) return;
    this.#noLongerAsked(lookup);
    this.#answer(lookup, resultOf(lookup.hostname, answer));
  }

  /** The worker is dead. The next question starts another one. */
  failed(error: Error): void {
    const asked = this.#withdraw();
    for (const lookup of asked) this.#answer(lookup, failure(lookup, error));
  }

  /** The reactor has ended, so nothing can be put off. */
  ended(reason: Error): void {
    this.#withdraw();
    const errors: unknown[] = [];
    for (const lookup of [...this.#lookups.values()]) {
      this.#forget(lookup);
      try {
        lookup.done(failure(lookup, reason));
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors);
  }

  /**
   * Asks in the next round: a reactor that never runs needs no worker, and what
   * fails here is reported in the same way as what fails there.
   */
  #askSoon(lookup: Lookup): void {
    lookup.call = this.#reactor.callLater(0, () => this.#ask(lookup));
  }

  #ask(lookup: Lookup): void {
    let thread = this.#thread;
    if (thread === undefined) {
      try {
        thread = this.#thread = new LookupThread(this);
      } catch (error) {
        this.#answer(lookup, failure(lookup, error as Error));
        return;
      }
      this.#endWithReactor();
    }
    try {
      if (this.#asked === 0) this.#reactor.addReader(thread);
    } catch (error) {
      this.#answer(lookup, failure(lookup, error as Error));
      return;
    }
    this.#asked++;
    lookup.asked = true;
    thread.ask(lookup.question);
  }

  /** In a round of its own, so that what it throws is its own affair. */
  #answer(lookup: Lookup, result: NameLookupResult): void {
    lookup.call = this.#reactor.callLater(0, () => {
      this.#lookups.delete(lookup.question.id);
      lookup.done(result);
    });
  }

  #forget(lookup: Lookup): void {
    if (!this.#lookups.delete(lookup.question.id)) return;
    if (lookup.call?.active()) lookup.call.cancel();
    if (lookup.asked) this.#noLongerAsked(lookup);
  }

  #noLongerAsked(lookup: Lookup): void {
    lookup.asked = false;
    // Only what somebody waits for keeps the process alive.
    if (--this.#asked === 0) this.#reactor.removeReader(this.#thread!);
  }

  /** Ends the worker, and returns the look-ups that it had. */
  #withdraw(): Lookup[] {
    const asked = [...this.#lookups.values()].filter(({ asked }) => asked);
    for (const lookup of asked) this.#noLongerAsked(lookup);
    this.#thread?.end();
    this.#thread = undefined;
    return asked;
  }

  /**
   * Ends the worker when the reactor ends without a shutdown: by `crash()`, or
   * because it failed. If it begins again, it asks again.
   */
  #endWithReactor(): void {
    const ended = () => {
      if (this.#thread === undefined) return;
      if (this.#reactor.running) {
        this.#endWithReactor();
        return;
      }
      for (const lookup of this.#withdraw()) {
        try {
          this.#askSoon(lookup);
        } catch {
          // It is closed by now, and calls nobody any more.
          this.#forget(lookup);
        }
      }
    };
    this.#reactor.finished.then(ended, ended);
  }
}

/** What to ask the C library for. */
function queryFor(hostname: string): Omit<NameQuestion, "id"> {
  const isLocal = /^(.+\.)?localhost\.?$/i.test(hostname);
  return {
    name: encoder.encode(`${isLocal ? "localhost" : toAscii(hostname)}\0`),
    // This machine has its loopback even where no interface has IPv6.
    flags: isLocal ? 0 : SOCKET.AI_ADDRCONFIG,
  };
}

/** The name as the domain name system has it: with "xn--" for other scripts. */
function toAscii(hostname: string): string {
  // deno-lint-ignore no-control-regex
  if (/^[\x00-\x7f]*$/.test(hostname)) return hostname;
  // What is no name stays as it is, and is not found.
  return process.getBuiltinModule("node:url").domainToASCII(hostname) ||
    hostname;
}

function resultOf(hostname: string, answer: NameAnswer): NameLookupResult {
  const { error, text, addresses } = answer;
  if (error !== 0) {
    const code = EAI[error] ?? `EAI_${error}`;
    const message = `Cannot look up ${show(hostname)}: ${text} (${code})`;
    return { error: new NameLookupError(message, { code }) };
  }
  const hostnames = addresses.map((address) =>
    SocketAddress.from(address).hostname
  );
  return { addresses: [...new Set(hostnames)] };
}

function failure(lookup: Lookup, cause: Error): NameLookupResult {
  const { code, errno } = cause as { code?: string; errno?: number };
  return {
    error: new NameLookupError(
      `Cannot look up ${show(lookup.hostname)}: ${cause.message}`,
      { cause, code, errno },
    ),
  };
}
