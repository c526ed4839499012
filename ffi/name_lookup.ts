/**
 * The program of the worker that looks host names up.
 *
 * {@linkcode lookUpNames} is one closure-free function, because it reaches the
 * worker as its own source text, like the one in `poll_loop.ts`.
 *
 * `getaddrinfo` blocks for as long as the name servers take, up to half a
 * minute. The worker does not block with it: each call runs on a thread of a
 * pool of Deno's, of which each worker has its own, with 32 threads at most. So
 * a name that nobody answers for does not keep the others waiting. And since the
 * worker has a loop of its own, all of this goes on while the main thread sits
 * in a toolkit's.
 *
 * The answer goes to the main side as a message, and then a byte into a pipe
 * says that it is there. Such a pipe is a descriptor like any other to a
 * reactor, whoever its host is.
 *
 * ```text
 *     main thread                        worker              a pool's thread
 *     -----------                        ------              ---------------
 *     port: id, name, flags ---------->  calls ------------> getaddrinfo()
 *                                        free                |
 *                                        copies  <---------- its result
 *                        <-------------- port: answer
 *     reactor: readable  <-------------- pipe: one byte
 * ```
 *
 * @module
 */

/** A name to look up. */
export interface NameQuestion {
  /** Comes back with the answer. */
  readonly id: number;
  /** The name, as a C string. */
  readonly name: Uint8Array<ArrayBuffer>;
  /** `ai_flags`. */
  readonly flags: number;
}

/** What was found. */
export interface NameAnswer {
  /** That of the question. */
  readonly id: number;
  /** What `getaddrinfo` returned: 0, or one of the `EAI_` numbers. */
  readonly error: number;
  /** What that number means, in C's words; empty if there was no error. */
  readonly text: string;
  /** Each a `struct sockaddr`, in the order in which to try them. */
  readonly addresses: readonly Uint8Array[];
}

/** An error that ends the worker's program. */
export interface NameLookupFailure {
  /** What was thrown. */
  readonly error: unknown;
}

/** What the worker is given. */
export interface NameLookupData {
  /**
   * Where questions come from and answers go to. When the main side closes its
   * end, the program ends.
   */
  readonly port: {
    on(event: "message", listener: (question: NameQuestion) => void): unknown;
    on(event: "close", listener: () => void): unknown;
    postMessage(answer: NameAnswer | NameLookupFailure): void;
  };
  /** The end of the pipe to write to. The worker closes it at its end. */
  readonly pipe: number;
  /** One word: 1 when the worker has closed the pipe. */
  readonly closed: Int32Array;
  /** What the C library was opened as on the main thread. */
  readonly library: string;
  /** Whether this is macOS. */
  readonly darwin: boolean;
  /** `SOCK_STREAM`: without a type, each address comes once for each. */
  readonly type: number;
}

/**
 * Looks names up until the main side asks for the end.
 *
 * @param data What the main side shares.
 */
export function lookUpNames(data: NameLookupData): void {
  const { port, pipe, closed, darwin } = data;
  try {
    const { symbols: c } = Deno.dlopen(data.library, {
      /**
       * `int getaddrinfo(const char *node, const char *service, const struct
       * addrinfo *hints, struct addrinfo **result)`
       */
      getaddrinfo: {
        parameters: ["buffer", "buffer", "buffer", "buffer"],
        result: "i32",
        nonblocking: true,
      },
      /** `void freeaddrinfo(struct addrinfo *result)` */
      freeaddrinfo: { parameters: ["u64"], result: "void" },
      /** `const char *gai_strerror(int error)` */
      gai_strerror: { parameters: ["i32"], result: "u64" },
      /** `size_t strlen(const char *string)` */
      strlen: { parameters: ["u64"], result: "u32" },
      /** `void *memcpy(void *to, const void *from, size_t length)` */
      memcpy: { parameters: ["buffer", "u64", "u32"], result: "void" },
      /** `ssize_t write(int fd, const void *buf, size_t count)` */
      write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
      /** `int close(int fd)` */
      close: { parameters: ["i32"], result: "i32" },
    });

    // struct addrinfo: flags, family, type and protocol, the length of the
    // address, and three pointers, of which macOS has the first two the other
    // way round. Addresses are numbers here, since a grant that is scoped to the
    // C library takes Deno's pointer functions away.
    const INFO_LENGTH = 48;
    const ADDRESS = darwin ? 4 : 3;
    const NEXT = 5;

    const textOf = (error: number): string => {
      const at = c.gai_strerror(error);
      const bytes = new Uint8Array(c.strlen(at));
      c.memcpy(bytes, at, bytes.length);
      return new TextDecoder().decode(bytes);
    };
    const take = (first: bigint): Uint8Array[] => {
      const addresses: Uint8Array[] = [];
      const info = new ArrayBuffer(INFO_LENGTH);
      const words = new Uint32Array(info);
      const pointers = new BigUint64Array(info);
      for (let at = first; at !== 0n; at = pointers[NEXT]!) {
        c.memcpy(info, at, INFO_LENGTH);
        const address = new Uint8Array(words[4]!);
        c.memcpy(address, pointers[ADDRESS]!, address.length);
        addresses.push(address);
      }
      c.freeaddrinfo(first);
      return addresses;
    };

    let open = true;
    const one = new Uint8Array([1]);
    const say = (answer: NameAnswer): void => {
      // The pipe's number may be somebody else's by now.
      if (!open) return;
      port.postMessage(answer);
      // A pipe that is full will be read all the same.
      c.write(pipe, one, 1);
    };
    const lookUp = async ({ id, name, flags }: NameQuestion): Promise<void> => {
      // The other thread writes to this memory, and reads from it: it must stay
      // where it is, as the memory of an ArrayBuffer does, and be referred to
      // until the call has returned.
      const result = new BigUint64Array(new ArrayBuffer(8));
      const hints = new Int32Array(new ArrayBuffer(INFO_LENGTH));
      hints[0] = flags;
      hints[2] = data.type;
      const memory = [name, hints, result] as const;
      const error = await c.getaddrinfo(memory[0], null, memory[1], memory[2]);
      say({
        id,
        error,
        text: error === 0 ? "" : textOf(error),
        addresses: error === 0 ? take(memory[2][0]!) : [],
      });
    };
    port.on("message", (question) => void lookUp(question));
    port.on("close", () => {
      open = false;
      c.close(pipe);
      Atomics.store(closed, 0, 1);
      Atomics.notify(closed, 0);
    });
  } catch (error) {
    port.postMessage({ error });
  }
}
