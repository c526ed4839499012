/**
 * Raw descriptors, a reactor on each backend, and objects to register there: what
 * the tests of descriptors share.
 *
 * @module
 */

import { deadline } from "@std/async";
import { assertEquals } from "@std/assert";
import { check, libc, linux, LINUX_ONLY, POSIX } from "../ffi/mod.ts";
import {
  Reactor,
  type ReactorOptions,
  type ReadDescriptor,
  type WriteDescriptor,
} from "../mod.ts";

/** What asks the kernel. */
export type Backend = "epoll" | "poll";

export const onLinux: boolean = Deno.build.os === "linux";

/** Those that this system has. */
export const BACKENDS: readonly Backend[] = onLinux
  ? ["epoll", "poll"]
  : ["poll"];

/**
 * Longer than anything here takes; no test waits for it to pass. What expects a
 * test to fail can shorten it.
 */
export const PATIENCE: number = Number(Deno.env.get("PATIENCE") ?? 20_000);

// The library stays open from its first use on, and the sanitizer would take
// that for a leak of the test that comes first.
const { close, dup2, fcntl, read, write } = libc();

const CLOEXEC_NONBLOCK = LINUX_ONLY.CLOEXEC | LINUX_ONLY.NONBLOCK;

/** Options of {@linkcode testBackends}. */
export interface TestBackendsOptions {
  /** Options of the reactor. */
  reactor?: ReactorOptions;
  /** The backends to test. The default is all that there are. */
  backends?: readonly Backend[];
  /** Whether only Linux has what is tested. */
  linuxOnly?: boolean;
}

/**
 * Defines a test for each backend. It fails on errors that were reported and that
 * the test did not take, on rejections that nobody handled, and when it takes too
 * long.
 */
export function testBackends(
  name: string,
  fn: (bench: Bench) => void | Promise<void>,
  options: TestBackendsOptions = {},
): void {
  const { backends = BACKENDS, linuxOnly = false } = options;
  for (const backend of backends) {
    Deno.test({
      name: `${name} [${backend}]`,
      // A system that lacks what is tested has nothing to show.
      ignore: linuxOnly && !onLinux || !BACKENDS.includes(backend),
      async fn() {
        const bench = new Bench({ ...options.reactor, backend });
        using rejections = new UnhandledRejections();
        try {
          await deadline((async () => await fn(bench))(), PATIENCE);
        } finally {
          await deadline(bench.close(), PATIENCE);
        }
        assertEquals(bench.takeErrors(), []);
        assertEquals(rejections.reasons, []);
      },
    });
  }
}

/** A reactor, descriptors, and what went wrong. Everything is closed at the end. */
export class Bench {
  readonly reactor: Reactor;
  readonly backend: Backend;
  readonly #errors: { error: unknown; where: string }[] = [];
  readonly #open = new Set<number>();

  constructor(options: ReactorOptions & { backend: Backend }) {
    this.backend = options.backend;
    this.reactor = new Reactor({
      onError: (error, where) => this.#errors.push({ error, where }),
      ...options,
    });
  }

  /** What was reported since the last time. */
  takeErrors(): unknown[] {
    return this.#errors.splice(0).map(({ error }) => error);
  }

  /** Sees to it that a descriptor is closed at the end. */
  adopt(fd: number): number {
    this.#open.add(fd);
    return fd;
  }

  pipe(): [read: number, write: number] {
    return this.#adoptPair(makePipe());
  }

  socketpair(): [number, number] {
    return this.#adoptPair(makeSocketpair());
  }

  eventfd(value = 0): number {
    return this.adopt(makeEventfd(value));
  }

  timerfd(): number {
    return this.adopt(makeTimerfd());
  }

  /** A duplicate at `at`, or at the first free number above it. */
  dup(fd: number, at = 3): number {
    return this.adopt(
      check(fcntl(fd, POSIX.F_DUPFD_CLOEXEC, at), "Cannot duplicate"),
    );
  }

  /** Closes a descriptor, and nothing else: no reactor is told. */
  closeFd(fd: number): void {
    check(close(fd), `Cannot close descriptor ${fd}`);
    this.release(fd);
  }

  /** Leaves a descriptor alone at the end: somebody else has closed it. */
  release(fd: number): void {
    this.#open.delete(fd);
  }

  /**
   * Closes `fd` and gives its number to the file of `other`, whose own number is
   * closed, in one step: nobody else can take the number in between.
   */
  reuse(fd: number, other: number): void {
    check(dup2(other, fd), `Cannot give ${fd} to another file`);
    this.closeFd(other);
  }

  /** Runs turns on this thread until `condition` holds. */
  pump(condition: () => boolean): void {
    const end = performance.now() + PATIENCE;
    while (!condition()) {
      if (performance.now() > end) throw tooLong(condition);
      this.reactor.iterate(10);
    }
  }

  /** Ends the reactor, and closes the descriptors that are left. */
  async close(): Promise<void> {
    await this.reactor.close();
    for (const fd of this.#open) close(fd);
    this.#open.clear();
  }

  #adoptPair(pair: [number, number]): [number, number] {
    for (const fd of pair) this.adopt(fd);
    return pair;
  }
}

/** Catches what would end the program otherwise. */
class UnhandledRejections implements Disposable {
  readonly reasons: unknown[] = [];
  readonly #listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    this.reasons.push(event.reason);
  };

  constructor() {
    addEventListener("unhandledrejection", this.#listener);
  }

  [Symbol.dispose](): void {
    removeEventListener("unhandledrejection", this.#listener);
  }
}

/** What a {@linkcode Probe} does when it is called. */
export interface ProbeHandlers {
  onRead?: (probe: Probe) => unknown;
  onWrite?: (probe: Probe) => unknown;
  onLost?: (reason: Error) => unknown;
}

/** A reader and a writer that counts its calls. Nothing registers it but the test. */
export class Probe implements ReadDescriptor, WriteDescriptor {
  /** What `fileno()` says. */
  fd: number;
  /** How often `fileno()` was called. */
  looks = 0;
  reads = 0;
  writes = 0;
  /** What `connectionLost` was called with. */
  readonly reasons: Error[] = [];
  handlers: ProbeHandlers;

  constructor(fd: number, handlers: ProbeHandlers = {}) {
    this.fd = fd;
    this.handlers = handlers;
  }

  fileno(): number {
    this.looks++;
    return this.fd;
  }

  doRead(): unknown {
    this.reads++;
    return this.handlers.onRead?.(this);
  }

  doWrite(): unknown {
    this.writes++;
    return this.handlers.onWrite?.(this);
  }

  connectionLost(reason: Error): void {
    this.reasons.push(reason);
    return this.handlers.onLost?.(reason) as void;
  }

  /** The one reason it was given. */
  get reason(): Error | undefined {
    assertEquals(this.reasons.length, 1);
    return this.reasons[0];
  }
}

/** A probe that understands half-closed connections. */
export class HalfCloseProbe extends Probe {
  /** What `readConnectionLost` was called with. */
  readonly readReasons: Error[] = [];
  onReadLost: () => unknown = () => {};

  readConnectionLost(reason: Error): void {
    this.readReasons.push(reason);
    return this.onReadLost() as void;
  }
}

export function makePipe(): [read: number, write: number] {
  const ends = new Int32Array(2);
  if (onLinux) {
    check(linux().pipe2(ends, CLOEXEC_NONBLOCK), "Cannot make a pipe");
  } else {
    check(libc().pipe(ends), "Cannot make a pipe");
    for (const fd of ends) fcntl(fd, POSIX.F_SETFL, POSIX.O_NONBLOCK);
  }
  return [ends[0]!, ends[1]!];
}

export function makeSocketpair(): [number, number] {
  const ends = new Int32Array(2);
  check(
    libc().socketpair(POSIX.AF_UNIX, POSIX.SOCK_STREAM, 0, ends),
    "Cannot make a pair of sockets",
  );
  for (const fd of ends) {
    fcntl(fd, POSIX.F_SETFD, POSIX.FD_CLOEXEC);
    fcntl(fd, POSIX.F_SETFL, POSIX.O_NONBLOCK);
  }
  return [ends[0]!, ends[1]!];
}

export function makeEventfd(value = 0): number {
  return check(
    linux().eventfd(value, CLOEXEC_NONBLOCK),
    "Cannot make an eventfd",
  );
}

export function makeTimerfd(): number {
  return check(
    linux().timerfd_create(POSIX.CLOCK_MONOTONIC, CLOEXEC_NONBLOCK),
    "Cannot make a timerfd",
  );
}

/** Lets a timerfd expire once, after `ms`. */
export function setTimerfd(fd: number, ms: number): void {
  const words = new Int32Array(8); // struct itimerspec: interval, then delay.
  words[4] = Math.floor(ms / 1000);
  words[6] = Math.max(1, ms % 1000 * 1e6);
  check(linux().timerfd_settime(fd, 0, words, null), "Cannot set a timerfd");
}

/** A listening TCP socket on 127.0.0.1, and its port. */
export function makeListener(): { fd: number; port: number } {
  const fd = makeTcpSocket();
  check(libc().bind(fd, loopback(0), 16), "Cannot bind");
  check(libc().listen(fd, 16), "Cannot listen");
  const address = new Uint8Array(16);
  const length = new Uint32Array([16]);
  check(libc().getsockname(fd, address, length), "Cannot ask for the port");
  return { fd, port: address[2]! << 8 | address[3]! };
}

/** A TCP socket that is on its way to a port of 127.0.0.1. */
export function startConnecting(port: number): number {
  const fd = makeTcpSocket();
  // Non-blocking: -1 and EINPROGRESS are the ordinary answer.
  libc().connect(fd, loopback(port), 16);
  return fd;
}

/** Accepts a connection that is there. */
export function accept(listener: number): number {
  const fd = check(libc().accept(listener, null, null), "Cannot accept");
  fcntl(fd, POSIX.F_SETFD, POSIX.FD_CLOEXEC);
  fcntl(fd, POSIX.F_SETFL, POSIX.O_NONBLOCK);
  return fd;
}

/** A port of 127.0.0.1 where nobody listens: it was somebody's a moment ago. */
export function unusedPort(): number {
  const { fd, port } = makeListener();
  close(fd);
  return port;
}

/** Writes all of `text`. */
export function send(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  assertEquals(write(fd, bytes, bytes.length), bytes.length);
}

/** What can be read, up to 64 KiB: "" at the end, null if there is nothing now. */
export function receive(fd: number): string | null {
  const count = read(fd, buffer, buffer.length);
  return count < 0 ? null : new TextDecoder().decode(buffer.slice(0, count));
}

/** Writes until there is no room. */
export function fill(fd: number): void {
  while (write(fd, buffer, buffer.length) > 0);
}

/** Reads until there is nothing left. */
export function empty(fd: number): void {
  while (read(fd, buffer, buffer.length) > 0);
}

/** Whether a number is an open descriptor. */
export function isOpen(fd: number): boolean {
  return fcntl(fd, POSIX.F_GETFD, 0) >= 0;
}

/** A number that is not open, and higher than any that the system gives by itself. */
export const CLOSED_FD: number = 2 ** 20 - 7;

/** Waits until `condition` holds, which something else brings about. */
export async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!condition()) {
    if (performance.now() > end) throw tooLong(condition);
    await macrotask();
  }
}

/** Lets everything that is due have its turn on Deno's loop. */
export function macrotask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function tooLong(condition: () => boolean): Error {
  return new Error(`It never came true within ${PATIENCE} ms: ${condition}`);
}

function makeTcpSocket(): number {
  const fd = check(
    libc().socket(POSIX.AF_INET, POSIX.SOCK_STREAM, 0),
    "Cannot make a socket",
  );
  fcntl(fd, POSIX.F_SETFD, POSIX.FD_CLOEXEC);
  fcntl(fd, POSIX.F_SETFL, POSIX.O_NONBLOCK);
  return fd;
}

/** `struct sockaddr_in` of 127.0.0.1; macOS has its length in the first byte. */
function loopback(port: number): Uint8Array<ArrayBuffer> {
  const head = onLinux ? [POSIX.AF_INET, 0] : [16, POSIX.AF_INET];
  return new Uint8Array(
    [...head, port >> 8, port & 0xff, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
  );
}

const buffer = new Uint8Array(65536);
