/**
 * Downloads through libcurl, any number of them at once, and without blocking
 * anybody.
 *
 * libcurl's multi interface tells, by two callbacks, which sockets to wait for
 * and when to call again at the latest. Here that is what the reactor does:
 * `addReader`, `addWriter` and `callLater`, and `curl_multi_socket_action()`
 * when one of them fires.
 *
 * ```ts
 * const pages = await fetchAll(["https://example.com/", "https://deno.land/"]);
 * for (const { status, body } of pages) console.log(status, body.length);
 * ```
 *
 * It needs `libcurl.so.4` of version 7.85 or later, Debian's package libcurl4.
 * Proxies are taken from the environment, as `curl` does.
 *
 * @module
 */

import { cString } from "../../ffi/mod.ts";
import {
  type DelayedCall,
  type Reactor,
  reactor as shared,
  ReactorNotRunning,
  type TriggerId,
} from "../../mod.ts";

const P = "pointer";

/**
 * `curl_easy_setopt`, `curl_easy_getinfo` and `curl_multi_setopt` are variadic.
 * On x86-64 and on Linux's arm64 such arguments travel in the same registers as
 * others, so one declaration for each type of argument will do. Apple's arm64
 * has them on the stack, and would want six fillers before them.
 */
const SYMBOLS = {
  /** `CURLcode curl_global_init(long flags)` */
  curl_global_init: { parameters: ["i64"], result: "i32" },
  /** `char *curl_version(void)` */
  curl_version: { parameters: [], result: P },
  /** `CURL *curl_easy_init(void)` */
  curl_easy_init: { parameters: [], result: P },
  /** `void curl_easy_cleanup(CURL *handle)` */
  curl_easy_cleanup: { parameters: [P], result: "void" },
  /** `const char *curl_easy_strerror(CURLcode code)` */
  curl_easy_strerror: { parameters: ["i32"], result: P },
  /** `CURLcode curl_easy_setopt(CURL *handle, CURLoption option, long value)` */
  setNumber: {
    name: "curl_easy_setopt",
    parameters: [P, "i32", "i64"],
    result: "i32",
  },
  /** `CURLcode curl_easy_setopt(CURL *handle, CURLoption option, char *value)` */
  setMemory: {
    name: "curl_easy_setopt",
    parameters: [P, "i32", "buffer"],
    result: "i32",
  },
  /** `CURLcode curl_easy_setopt(CURL *handle, CURLoption option, void *value)` */
  setPointer: {
    name: "curl_easy_setopt",
    parameters: [P, "i32", P],
    result: "i32",
  },
  /** `CURLcode curl_easy_getinfo(CURL *handle, CURLINFO info, void *value)` */
  curl_easy_getinfo: { parameters: [P, "i32", "buffer"], result: "i32" },
  /** `struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text)` */
  curl_slist_append: { parameters: [P, "buffer"], result: P },
  /** `void curl_slist_free_all(struct curl_slist *list)` */
  curl_slist_free_all: { parameters: [P], result: "void" },
  /** `CURLM *curl_multi_init(void)` */
  curl_multi_init: { parameters: [], result: P },
  /** `CURLMcode curl_multi_cleanup(CURLM *multi)` */
  curl_multi_cleanup: { parameters: [P], result: "i32" },
  /** `const char *curl_multi_strerror(CURLMcode code)` */
  curl_multi_strerror: { parameters: ["i32"], result: P },
  /** `CURLMcode curl_multi_setopt(CURLM *multi, CURLMoption option, long value)` */
  setMultiNumber: {
    name: "curl_multi_setopt",
    parameters: [P, "i32", "i64"],
    result: "i32",
  },
  /** `CURLMcode curl_multi_setopt(CURLM *multi, CURLMoption option, void (*value)())` */
  setMultiPointer: {
    name: "curl_multi_setopt",
    parameters: [P, "i32", P],
    result: "i32",
  },
  /** `CURLMcode curl_multi_add_handle(CURLM *multi, CURL *handle)` */
  curl_multi_add_handle: { parameters: [P, P], result: "i32" },
  /** `CURLMcode curl_multi_remove_handle(CURLM *multi, CURL *handle)` */
  curl_multi_remove_handle: { parameters: [P, P], result: "i32" },
  /** `CURLMcode curl_multi_socket_action(CURLM *multi, curl_socket_t socket, int events, int *running)` */
  curl_multi_socket_action: {
    parameters: [P, "i32", "i32", "buffer"],
    result: "i32",
  },
  /** `CURLMsg *curl_multi_info_read(CURLM *multi, int *left)` */
  curl_multi_info_read: { parameters: [P, "buffer"], result: P },
} as const;

/** `int (curl_socket_callback)(CURL *handle, curl_socket_t socket, int what, void *user, void *socketUser)` */
const SOCKET_FUNCTION = {
  parameters: [P, "i32", "i32", P, P],
  result: "i32",
} as const;

/** `int (curl_multi_timer_callback)(CURLM *multi, long ms, void *user)` */
const TIMER_FUNCTION = { parameters: [P, "i64", P], result: "i32" } as const;

/**
 * `size_t (curl_write_callback)(char *data, size_t size, size_t count, void
 * *user)`; for headers it is the same. The last is taken for a number.
 */
const DATA_FUNCTION = {
  parameters: [P, "usize", "usize", "usize"],
  result: "usize",
} as const;

// Of curl.h.
const GLOBAL_ALL = 3;
const OPT_FOLLOWLOCATION = 52;
const OPT_MAXREDIRS = 68;
const OPT_NOSIGNAL = 99;
const OPT_TIMEOUT_MS = 155;
const OPT_WRITEDATA = 10_001;
const OPT_URL = 10_002;
const OPT_ERRORBUFFER = 10_010;
const OPT_HTTPHEADER = 10_023;
const OPT_HEADERDATA = 10_029;
const OPT_CAINFO = 10_065;
const OPT_ACCEPT_ENCODING = 10_102;
const OPT_PROTOCOLS_STR = 10_318;
const OPT_WRITEFUNCTION = 20_011;
const OPT_HEADERFUNCTION = 20_079;
const INFO_EFFECTIVE_URL = 0x100001;
const INFO_RESPONSE_CODE = 0x200002;
const ERROR_SIZE = 256;

// Of multi.h.
const MOPT_MAX_TOTAL_CONNECTIONS = 13;
const MOPT_SOCKETFUNCTION = 20_001;
const MOPT_TIMERFUNCTION = 20_004;
const POLL_IN = 1;
const POLL_OUT = 2;
const POLL_REMOVE = 4;
const SOCKET_TIMEOUT = -1;
const CSELECT_IN = 1;
const CSELECT_OUT = 2;
const MSG_DONE = 1;

type Libcurl = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: Libcurl | undefined;

function libcurl(): Libcurl {
  if (opened === undefined) {
    opened = Deno.dlopen("libcurl.so.4", SYMBOLS).symbols;
    opened.curl_global_init(BigInt(GLOBAL_ALL));
  }
  return opened;
}

/** The version of libcurl and of what it is made of, as text. */
export function curlVersion(): string {
  return textAt(libcurl().curl_version());
}

/** A download did not come to a good end. */
export class CurlError extends Error {
  static {
    this.prototype.name = "CurlError";
  }
  /** A CURLcode, such as 7 when nobody listens and 28 when it took too long. */
  readonly code: number;

  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/** What has come. An answer like 404 is one, too. */
export interface Download {
  /** Where it came from, after all redirects. */
  readonly url: string;
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Options of {@linkcode Curl}. */
export interface CurlOptions {
  /**
   * Who waits. It runs already.
   *
   * @default {the shared reactor}
   */
  reactor?: Reactor;
  /**
   * How many connections there may be. Downloads beyond that wait their turn.
   *
   * @default {as many as downloads}
   */
  connections?: number;
}

/** Options of {@linkcode Curl.download}. */
export interface DownloadOptions {
  /** What to tell the server, beside what libcurl does. */
  headers?: HeadersInit;
  /** Gives it up: it rejects with the signal's reason. */
  signal?: AbortSignal;
  /**
   * How long it may take, in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number;
  /**
   * How often the server may send it elsewhere.
   *
   * @default {20}
   */
  redirects?: number;
  /**
   * How many bytes it may have.
   *
   * @default {Infinity}
   */
  limit?: number;
  /** A file with the certificates to trust, instead of the system's. */
  caFile?: string;
}

/**
 * Downloads everything at once.
 *
 * @returns In the order of the addresses. Rejects with the first
 * {@linkcode CurlError}, and gives the others up then.
 */
export async function fetchAll(
  urls: readonly (string | URL)[],
  options: CurlOptions & DownloadOptions = {},
): Promise<Download[]> {
  using curl = new Curl(options);
  return await Promise.all(urls.map((url) => curl.download(url, options)));
}

/** A download that is under way. */
interface Transfer {
  readonly easy: Deno.PointerObject;
  readonly answer: PromiseWithResolvers<Download>;
  /** What libcurl writes its complaint to. */
  readonly complaint: Uint8Array<ArrayBuffer>;
  readonly limit: number;
  /** What to take down after it. */
  readonly cleanUp: DisposableStack;
  headers: Headers;
  readonly parts: Uint8Array<ArrayBuffer>[];
  size: number;
  /** Why it was ended by this side. */
  failure?: unknown;
}

/** Downloads that share connections. */
export class Curl implements Disposable {
  readonly #libcurl = libcurl();
  readonly #reactor: Reactor;
  /** Null after the end. */
  #multi: Deno.PointerValue;
  /** By the address of the easy handle. */
  readonly #transfers = new Map<bigint, Transfer>();
  readonly #sockets = new Map<number, Socket>();
  #timer: DelayedCall | undefined;
  /** What could not be done in a callback of libcurl's. */
  #failure: unknown;
  readonly #callbacks = new DisposableStack();
  /** Hears of the end of the reactor. */
  #trigger: TriggerId | undefined;
  readonly #dataFunction: Deno.PointerObject;
  readonly #headerFunction: Deno.PointerObject;

  constructor(options: CurlOptions = {}) {
    this.#reactor = options.reactor ?? shared;
    const { curl_multi_init, setMultiNumber, setMultiPointer } = this.#libcurl;
    const multi = this.#multi = curl_multi_init();
    const onSocket = this.#function(SOCKET_FUNCTION, (_easy, fd, what) => {
      return this.#guarded(() => this.#watch(fd, what)) ? 0 : -1;
    });
    const onTimer = this.#function(TIMER_FUNCTION, (_multi, ms) => {
      return this.#guarded(() => this.#setTimer(Number(ms))) ? 0 : -1;
    });
    setMultiPointer(multi, MOPT_SOCKETFUNCTION, onSocket);
    setMultiPointer(multi, MOPT_TIMERFUNCTION, onTimer);
    const most = BigInt(options.connections ?? 0);
    setMultiNumber(multi, MOPT_MAX_TOTAL_CONNECTIONS, most);
    this.#dataFunction = this.#function(DATA_FUNCTION, this.#taker(take));
    this.#headerFunction = this.#function(
      DATA_FUNCTION,
      this.#taker(takeHeader),
    );
    const stopped = () => {
      this.#trigger = undefined;
      this.#end(new ReactorNotRunning("The reactor has stopped"));
    };
    this.#trigger = this.#reactor
      .addSystemEventTrigger("before", "shutdown", stopped);
  }

  /**
   * Downloads something.
   *
   * @returns Rejects with a {@linkcode CurlError}, or the signal's reason.
   */
  async download(
    url: string | URL,
    options: DownloadOptions = {},
  ): Promise<Download> {
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#multi === null) throw new CurlError("It is closed", 0);
    const transfer = this.#begin(String(url), options);
    const { promise } = transfer.answer;
    const abort = () => this.#giveUp(transfer, signal!.reason);
    signal?.addEventListener("abort", abort);
    transfer.cleanUp.defer(() => signal?.removeEventListener("abort", abort));
    return await promise;
  }

  /** Gives up what is under way, and closes all connections. */
  close(): void {
    this.#end(new DOMException("The downloads were given up", "AbortError"));
  }

  /** The same as {@linkcode Curl.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #begin(url: string, options: DownloadOptions): Transfer {
    const { curl_easy_init, curl_easy_cleanup, curl_multi_add_handle } =
      this.#libcurl;
    const easy = curl_easy_init()!;
    const transfer: Transfer = {
      easy,
      answer: Promise.withResolvers(),
      complaint: new Uint8Array(ERROR_SIZE),
      limit: options.limit ?? Infinity,
      cleanUp: new DisposableStack(),
      headers: new Headers(),
      parts: [],
      size: 0,
    };
    transfer.cleanUp.defer(() => curl_easy_cleanup(easy));
    this.#transfers.set(addressOf(easy), transfer);
    try {
      this.#setOptions(transfer, url, options);
      this.#check(curl_multi_add_handle(this.#multi, easy));
    } catch (error) {
      this.#takeOut(transfer);
      throw error;
    }
    return transfer;
  }

  #setOptions(transfer: Transfer, url: string, options: DownloadOptions): void {
    const { easy, complaint, cleanUp } = transfer;
    const { setMemory, setPointer } = this.#libcurl;
    const { redirects = 20, timeout = Infinity, caFile } = options;
    const setNumber = (option: number, value: number) =>
      this.#checkEasy(this.#libcurl.setNumber(easy, option, BigInt(value)));
    const setText = (option: number, text: string) => {
      const words = cString(text, "download", "url");
      this.#checkEasy(setMemory(easy, option, words)); // Which it copies.
    };
    setMemory(easy, OPT_ERRORBUFFER, complaint);
    setText(OPT_URL, url);
    setText(OPT_PROTOCOLS_STR, "http,https"); // No files of this machine.
    setText(OPT_ACCEPT_ENCODING, ""); // Whatever it knows how to undo.
    if (caFile !== undefined) setText(OPT_CAINFO, caFile);
    setNumber(OPT_NOSIGNAL, 1); // Signals are Deno's.
    setNumber(OPT_FOLLOWLOCATION, redirects > 0 ? 1 : 0);
    setNumber(OPT_MAXREDIRS, redirects);
    if (timeout < Infinity) setNumber(OPT_TIMEOUT_MS, Math.ceil(timeout));
    setPointer(easy, OPT_WRITEFUNCTION, this.#dataFunction);
    setPointer(easy, OPT_WRITEDATA, easy);
    setPointer(easy, OPT_HEADERFUNCTION, this.#headerFunction);
    setPointer(easy, OPT_HEADERDATA, easy);

    const { curl_slist_append, curl_slist_free_all } = this.#libcurl;
    let list: Deno.PointerValue = null;
    cleanUp.defer(() => curl_slist_free_all(list));
    for (const [name, value] of new Headers(options.headers)) {
      const line = cString(`${name}: ${value}`, "download", "headers");
      list = curl_slist_append(list, line);
    }
    setPointer(easy, OPT_HTTPHEADER, list);
  }

  /** libcurl tells for what of a socket to wait. */
  #watch(fd: number, what: number): void {
    const socket = this.#sockets.get(fd) ?? new Socket(
      fd,
      (events) => this.#act(fd, events),
      (reason) => this.#end(reason),
    );
    this.#sockets.set(fd, socket);
    const removed = what === POLL_REMOVE;
    if (!removed && what & POLL_IN) this.#reactor.addReader(socket);
    else this.#reactor.removeReader(socket);
    if (!removed && what & POLL_OUT) this.#reactor.addWriter(socket);
    else this.#reactor.removeWriter(socket);
    if (removed) this.#sockets.delete(fd);
  }

  /** libcurl tells when it wants to be called; -1 for never. */
  #setTimer(ms: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = ms < 0
      ? undefined
      : this.#reactor.callLater(ms, () => this.#act(SOCKET_TIMEOUT, 0));
  }

  /** Tells libcurl of a socket, or that the time has come. */
  #act(fd: number, events: number): void {
    const { curl_multi_socket_action } = this.#libcurl;
    try {
      this.#check(
        curl_multi_socket_action(this.#multi, fd, events, new Int32Array(1)),
      );
    } catch (error) {
      this.#end(error);
    }
    this.#collect();
  }

  /** Looks which downloads have come to their end. */
  #collect(): void {
    const left = new Int32Array(1);
    while (this.#multi !== null) {
      const message = this.#libcurl.curl_multi_info_read(this.#multi, left);
      if (message === null) return;
      // `CURLMsg`: what it is, the easy handle, the CURLcode.
      const view = new Deno.UnsafePointerView(message);
      if (view.getInt32(0) !== MSG_DONE) continue;
      const transfer = this.#transfers.get(view.getBigUint64(8))!;
      this.#finish(transfer, view.getInt32(16));
    }
  }

  #finish(transfer: Transfer, code: number): void {
    const { answer, headers, parts, complaint, failure } = transfer;
    const url = textAt(this.#info(transfer, INFO_EFFECTIVE_URL));
    const status = addressOf(this.#info(transfer, INFO_RESPONSE_CODE));
    this.#takeOut(transfer);
    if (failure !== undefined) answer.reject(failure);
    else if (code !== 0) {
      const words = new TextDecoder()
        .decode(complaint.subarray(0, complaint.indexOf(0)));
      answer.reject(new CurlError(words || this.#reason(code), code));
    } else {
      answer.resolve({
        url,
        status: Number(status),
        headers,
        body: concatenate(parts, transfer.size),
      });
    }
  }

  /** What libcurl knows of a transfer: a pointer, or a number in its place. */
  #info({ easy }: Transfer, info: number): Deno.PointerValue {
    const value = new BigUint64Array(1);
    this.#libcurl.curl_easy_getinfo(easy, info, value);
    return Deno.UnsafePointer.create(value[0]!);
  }

  #giveUp(transfer: Transfer, reason: unknown): void {
    this.#takeOut(transfer);
    transfer.answer.reject(reason);
  }

  #takeOut({ easy, cleanUp }: Transfer): void {
    this.#transfers.delete(addressOf(easy));
    this.#libcurl.curl_multi_remove_handle(this.#multi, easy);
    cleanUp.dispose();
  }

  #end(reason: unknown): void {
    if (this.#multi === null) return;
    for (const transfer of [...this.#transfers.values()]) {
      this.#giveUp(transfer, reason);
    }
    this.#libcurl.curl_multi_cleanup(this.#multi);
    this.#multi = null;
    this.#timer?.[Symbol.dispose]();
    for (const socket of this.#sockets.values()) {
      this.#reactor.removeReader(socket);
      this.#reactor.removeWriter(socket);
    }
    this.#sockets.clear();
    this.#callbacks.dispose();
    if (this.#trigger === undefined) return;
    this.#reactor.removeSystemEventTrigger(this.#trigger);
  }

  /** Makes a C function, for as long as there are transfers. */
  #function<const D extends Deno.UnsafeCallbackDefinition>(
    definition: D,
    f: Deno.UnsafeCallbackFunction<D["parameters"], D["result"]>,
  ): Deno.PointerObject {
    const callback = new Deno.UnsafeCallback(definition, f);
    this.#callbacks.defer(() => callback.close());
    return callback.pointer;
  }

  /** What takes data, and says so. Another number than theirs is an error. */
  #taker(
    take: (transfer: Transfer, bytes: Uint8Array<ArrayBuffer>) => void,
  ): Deno.UnsafeCallbackFunction<
    typeof DATA_FUNCTION.parameters,
    typeof DATA_FUNCTION.result
  > {
    return (data, size, count, user) => {
      const transfer = this.#transfers.get(BigInt(user))!;
      const bytes = new Uint8Array(Number(size) * Number(count));
      try {
        if (bytes.length > 0) new Deno.UnsafePointerView(data!).copyInto(bytes);
        take(transfer, bytes);
        return BigInt(bytes.length);
      } catch (error) {
        transfer.failure = error;
        return BigInt(bytes.length + 1);
      }
    };
  }

  /** Calls `f` for libcurl, which has no use for what it throws. */
  #guarded(f: () => void): boolean {
    try {
      f();
      return true;
    } catch (error) {
      this.#failure = error;
      return false;
    }
  }

  #check(code: number): void {
    if (code === 0) return;
    const { curl_multi_strerror } = this.#libcurl;
    throw this.#failure ?? new CurlError(textAt(curl_multi_strerror(code)), 0);
  }

  #checkEasy(code: number): void {
    if (code !== 0) throw new CurlError(this.#reason(code), code);
  }

  #reason(code: number): string {
    return textAt(this.#libcurl.curl_easy_strerror(code));
  }
}

/** A socket of libcurl's, in the reactor. */
class Socket {
  readonly label = "curl";
  readonly #fd: number;
  readonly #act: (events: number) => void;
  readonly connectionLost: (reason: Error) => void;

  constructor(
    fd: number,
    act: (events: number) => void,
    lost: (reason: Error) => void,
  ) {
    this.#fd = fd;
    this.#act = act;
    this.connectionLost = lost;
  }

  fileno(): number {
    return this.#fd;
  }

  doRead(): void {
    this.#act(CSELECT_IN);
  }

  doWrite(): void {
    this.#act(CSELECT_OUT);
  }
}

function take(transfer: Transfer, bytes: Uint8Array<ArrayBuffer>): void {
  transfer.size += bytes.length;
  if (transfer.size > transfer.limit) {
    throw new RangeError(`It has more than ${transfer.limit} bytes`);
  }
  transfer.parts.push(bytes);
}

function takeHeader(transfer: Transfer, bytes: Uint8Array<ArrayBuffer>): void {
  const line = new TextDecoder("latin1").decode(bytes);
  // Each answer has its own: that of a redirect is not what was asked for.
  if (line.startsWith("HTTP/")) transfer.headers = new Headers();
  const colon = line.indexOf(":");
  if (colon < 0) return;
  transfer.headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
}

function concatenate(
  parts: readonly Uint8Array<ArrayBuffer>[],
  size: number,
): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function addressOf(pointer: Deno.PointerValue): bigint {
  return BigInt(Deno.UnsafePointer.value(pointer));
}

/** A text of C's; "" if there is none. */
function textAt(pointer: Deno.PointerValue): string {
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}
