/**
 * The bell: how another thread makes a reactor look at what it has been sent.
 *
 * The bell is a pipe in the reactor's set, so it is heard wherever the reactor
 * waits: in its worker, in a toolkit's loop, in `iterate(-1)`. Each thread has
 * words of shared memory, its *line*, and rings by writing one byte. It does not
 * write when it has rung before and nobody has looked since, so a burst of calls
 * costs one system call, and the pipe never has more bytes in it than there are
 * lines.
 *
 * ```text
 *     another thread                      words             reactor's thread
 *     --------------                      -----             ----------------
 *     port: a call ----------------------------------->     (waits there)
 *     exchange RUNG for 1 ------------->  RUNG = 1
 *       was 1: somebody comes anyway
 *     INSIDE = 1 ---------------------->  INSIDE = 1
 *     CLOSED? then not                    CLOSED = 0
 *     write() ---------------------------------------->     readable: empties the pipe
 *     INSIDE = 0 ---------------------->  INSIDE = 0
 *                                         RUNG = 0   <----  exchange RUNG for 0
 *                                                           was 1: takes the calls from the port
 *                                         CLOSED = 1 <----  the end
 *                                         INSIDE = 0 ---->  closes the pipe
 * ```
 *
 * **No call is left lying.** A call is in the port before RUNG is exchanged. If
 * it was 1, the reactor has not put it back yet, and looks into the port after
 * it has.
 *
 * **No byte is written to a number that was closed.** The writer says that it is
 * INSIDE, and then looks whether the line is CLOSED; the other side closes the
 * line, and then looks who is INSIDE. Whichever came first, one of them sees the
 * other (the operations of `Atomics` have one order for all threads). Nothing but
 * the thread itself says that it is not INSIDE any more: `terminate()` does not,
 * and neither does the event "exit", after which Deno 2.9 lets a busy thread go
 * on. Should one ever be stopped between the two, the pipe stays open for good:
 * two numbers that are lost do less harm than a byte in somebody else's file.
 *
 * A Worker that may not call the C library has somebody else ring: a thread of
 * the reactor's own, {@linkcode ringForOthers}, sleeps on a word that such
 * Workers count up. That word is all that they get; it can make the thread ring
 * too often, and do nothing else.
 *
 * {@linkcode openBell} and {@linkcode ringForOthers} are closure-free, because
 * they reach their threads as their own source text, like `pollLoop`.
 *
 * @module
 */

/** Where things stand in the words of a line. */
export const LINE = {
  /** Whether anybody hears it: one of `CLOSED`. */
  CLOSED: 0,
  /** 1 from the ring until somebody looks. */
  RUNG: 1,
  /** 1 while the thread may be writing to the pipe. */
  INSIDE: 2,
  /** How many answers have been sent to the thread. It waits for the next here. */
  ANSWERS: 3,
  /** 1 when somebody has connected to the line. */
  TAKEN: 4,
  /** The number of words. */
  LENGTH: 5,
} as const;

/** Why nobody hears a line. The values of the word `CLOSED`. */
export const CLOSED = {
  /** It is heard. */
  NO: 0,
  /** The reactor has ended. */
  REACTOR_ENDED: 1,
  /** The line was closed, and nothing else. */
  LINE_CLOSED: 2,
} as const;

/** What it takes to have somebody else ring. All of it can be cloned. */
export interface AskedBellData {
  /** The line. */
  readonly words: Int32Array;
  /** The word to count up. */
  readonly asked: Int32Array;
  /** The constants above: a closure-free function cannot see them. */
  readonly at: typeof LINE;
}

/** What it takes to ring. All of it can be cloned. */
export interface BellData {
  /** The line. */
  readonly words: Int32Array;
  /** The end of the pipe to write to. */
  readonly pipe: number;
  /** What the C library was opened as on the reactor's thread. */
  readonly library: string;
  /** The constants above: a closure-free function cannot see them. */
  readonly at: typeof LINE;
}

/**
 * Opens what it takes to ring, on the thread that is going to.
 *
 * @returns Rings.
 * @throws {Deno.errors.NotCapable} When this thread may not open the C library.
 */
export function openBell(data: BellData): () => void {
  const { words, pipe, library, at } = data;
  const { write } = Deno.dlopen(library, {
    /** `ssize_t write(int fd, const void *buf, size_t count)` */
    write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  }).symbols;
  const byte = new Uint8Array([1]);
  return () => {
    if (Atomics.exchange(words, at.RUNG, 1) === 1) return;
    Atomics.store(words, at.INSIDE, 1);
    // A pipe that is full will be read all the same.
    if (Atomics.load(words, at.CLOSED) === 0) write(pipe, byte, 1);
    Atomics.store(words, at.INSIDE, 0);
    Atomics.notify(words, at.INSIDE);
  };
}

/**
 * Has somebody else ring.
 *
 * @returns Rings.
 */
export function askForBell(data: AskedBellData): () => void {
  const { words, asked, at } = data;
  return () => {
    if (Atomics.exchange(words, at.RUNG, 1) === 1) return;
    Atomics.add(asked, 0, 1);
    Atomics.notify(asked, 0);
  };
}

/**
 * Rings for those who ask, until the reactor's side has closed the line and
 * asks once more.
 *
 * @param asked The word that they count up.
 * @param ring Rings.
 */
export function ringForOthers(
  data: BellData,
  asked: Int32Array,
  ring: () => void,
): void {
  const { words, at } = data;
  let seen = 0;
  while (Atomics.load(words, at.CLOSED) === 0) {
    // Returns at once if the word has changed since it was read.
    Atomics.wait(asked, 0, seen);
    seen = Atomics.load(asked, 0);
    ring();
  }
}
