/**
 * PostgreSQL through libpq, with promises, and without blocking anybody.
 *
 * libpq hands out its socket and leaves the waiting to the program. So the
 * reactor waits, and calls libpq when there is something to read or room to
 * write. The connection is always in libpq's pipeline mode: queries are sent at
 * once, however many are under way, and answered in order.
 *
 * ```ts
 * using db = await Postgres.connect("host=/run/postgresql dbname=shop");
 * const { rows } = await db.query("SELECT $1::int + $2 AS sum", [1, 2]);
 * for await (const { payload } of await db.listen("orders")) console.log(payload);
 * ```
 *
 * It needs `libpq.so.5` of PostgreSQL 14 or later, Debian's package libpq5. Two
 * things are not for it: libpq looks up host names on this thread, so a server
 * elsewhere is better named by `hostaddr`; and COPY has no place in a pipeline.
 *
 * @module
 */

import { cString } from "../../ffi/mod.ts";
import { type Reactor, reactor as shared } from "../../mod.ts";

const P = "pointer";

const SYMBOLS = {
  /** `int PQlibVersion(void)` */
  PQlibVersion: { parameters: [], result: "i32" },
  /** `PGconn *PQconnectStartParams(const char *const *keywords, const char *const *values, int expand_dbname)` */
  PQconnectStartParams: { parameters: ["buffer", "buffer", "i32"], result: P },
  /** `PostgresPollingStatusType PQconnectPoll(PGconn *conn)` */
  PQconnectPoll: { parameters: [P], result: "i32" },
  /** `void PQfinish(PGconn *conn)` */
  PQfinish: { parameters: [P], result: "void" },
  /** `ConnStatusType PQstatus(const PGconn *conn)` */
  PQstatus: { parameters: [P], result: "i32" },
  /** `int PQsocket(const PGconn *conn)` */
  PQsocket: { parameters: [P], result: "i32" },
  /** `int PQserverVersion(const PGconn *conn)` */
  PQserverVersion: { parameters: [P], result: "i32" },
  /** `char *PQerrorMessage(const PGconn *conn)` */
  PQerrorMessage: { parameters: [P], result: P },
  /** `PQnoticeReceiver PQsetNoticeReceiver(PGconn *conn, PQnoticeReceiver proc, void *arg)` */
  PQsetNoticeReceiver: { parameters: [P, "function", P], result: P },
  /** `int PQsetnonblocking(PGconn *conn, int arg)` */
  PQsetnonblocking: { parameters: [P, "i32"], result: "i32" },
  /** `int PQenterPipelineMode(PGconn *conn)` */
  PQenterPipelineMode: { parameters: [P], result: "i32" },
  /**
   * `int PQsendQueryParams(PGconn *conn, const char *command, int nParams, const
   * Oid *paramTypes, const char *const *paramValues, const int *paramLengths,
   * const int *paramFormats, int resultFormat)`
   */
  PQsendQueryParams: {
    parameters: [
      P,
      "buffer",
      "i32",
      "buffer",
      "buffer",
      "buffer",
      "buffer",
      "i32",
    ],
    result: "i32",
  },
  /** `int PQpipelineSync(PGconn *conn)` */
  PQpipelineSync: { parameters: [P], result: "i32" },
  /** `int PQflush(PGconn *conn)` */
  PQflush: { parameters: [P], result: "i32" },
  /** `int PQconsumeInput(PGconn *conn)` */
  PQconsumeInput: { parameters: [P], result: "i32" },
  /** `int PQisBusy(PGconn *conn)` */
  PQisBusy: { parameters: [P], result: "i32" },
  /** `PGresult *PQgetResult(PGconn *conn)` */
  PQgetResult: { parameters: [P], result: P },
  /** `PGnotify *PQnotifies(PGconn *conn)` */
  PQnotifies: { parameters: [P], result: P },
  /** `void PQfreemem(void *ptr)` */
  PQfreemem: { parameters: [P], result: "void" },
  /** `ExecStatusType PQresultStatus(const PGresult *res)` */
  PQresultStatus: { parameters: [P], result: "i32" },
  /** `char *PQresultErrorMessage(const PGresult *res)` */
  PQresultErrorMessage: { parameters: [P], result: P },
  /** `char *PQresultErrorField(const PGresult *res, int fieldcode)` */
  PQresultErrorField: { parameters: [P, "i32"], result: P },
  /** `char *PQcmdStatus(PGresult *res)` */
  PQcmdStatus: { parameters: [P], result: P },
  /** `char *PQcmdTuples(PGresult *res)` */
  PQcmdTuples: { parameters: [P], result: P },
  /** `int PQntuples(const PGresult *res)` */
  PQntuples: { parameters: [P], result: "i32" },
  /** `int PQnfields(const PGresult *res)` */
  PQnfields: { parameters: [P], result: "i32" },
  /** `char *PQfname(const PGresult *res, int column_number)` */
  PQfname: { parameters: [P, "i32"], result: P },
  /** `Oid PQftype(const PGresult *res, int column_number)` */
  PQftype: { parameters: [P, "i32"], result: "u32" },
  /** `int PQgetisnull(const PGresult *res, int row_number, int column_number)` */
  PQgetisnull: { parameters: [P, "i32", "i32"], result: "i32" },
  /** `char *PQgetvalue(const PGresult *res, int row_number, int column_number)` */
  PQgetvalue: { parameters: [P, "i32", "i32"], result: P },
  /** `unsigned char *PQunescapeBytea(const unsigned char *from, size_t *to_length)` */
  PQunescapeBytea: { parameters: [P, "buffer"], result: P },
  /** `void PQclear(PGresult *res)` */
  PQclear: { parameters: [P], result: "void" },
  /** `PGcancel *PQgetCancel(PGconn *conn)` */
  PQgetCancel: { parameters: [P], result: P },
  /**
   * `int PQcancel(PGcancel *cancel, char *errbuf, int errbufsize)`; blocks, and
   * may be called on any thread
   */
  PQcancel: {
    parameters: [P, "buffer", "i32"],
    result: "i32",
    nonblocking: true,
  },
  /** `void PQfreeCancel(PGcancel *cancel)` */
  PQfreeCancel: { parameters: [P], result: "void" },
} as const;

/** `void (PQnoticeReceiver)(void *arg, const PGresult *res)` */
const NOTICE_RECEIVER = { parameters: [P, P], result: "void" } as const;

// Of libpq-fe.h.
const CONNECTION_BAD = 1;
const POLLING_FAILED = 0;
const POLLING_READING = 1;
const POLLING_WRITING = 2;
const POLLING_OK = 3;
const EMPTY_QUERY = 0;
const COMMAND_OK = 1;
const TUPLES_OK = 2;
const BAD_RESPONSE = 5;
const FATAL_ERROR = 7;
const PIPELINE_SYNC = 10;
const PIPELINE_ABORTED = 11;

/** The server counts a query's parameters with 16 bits. */
const MOST_PARAMETERS = 65_535;

/** So many results are taken before others have their turn. */
const PORTION = 100;

/** So long is the name of a channel at most, in bytes: NAMEDATALEN - 1. */
const LONGEST_NAME = 63;

// Of pg_type.dat. What is not named here comes as text.
const BYTEA = 17;
const DECODERS: Readonly<Record<number, (text: string) => unknown>> = {
  16: (text) => text === "t", // bool
  20: BigInt, // int8
  21: Number, // int2
  23: Number, // int4
  26: Number, // oid
  114: (text) => JSON.parse(text), // json
  700: Number, // float4
  701: Number, // float8
  3802: (text) => JSON.parse(text), // jsonb
};

type Libpq = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let opened: Libpq | undefined;

function libpq(): Libpq {
  return opened ??= Deno.dlopen("libpq.so.5", SYMBOLS).symbols;
}

/** The version of libpq, such as 150018 for 15.18. */
export function libpqVersion(): number {
  return libpq().PQlibVersion();
}

/** What the server says of an error, and of a notice. */
export interface Diagnostic {
  /** The sentence. */
  readonly message: string;
  /** `ERROR`, `FATAL`, `WARNING`, `NOTICE` and so on. */
  readonly severity?: string;
  /** Five characters: see PostgreSQL's appendix of error codes. */
  readonly sqlstate?: string;
  /** More about it. */
  readonly detail?: string;
  /** What to do about it. */
  readonly hint?: string;
  /** The table that it concerns. */
  readonly table?: string;
  /** The column. */
  readonly column?: string;
  /** The constraint. */
  readonly constraint?: string;
}

/** A query failed, or the connection did. */
export class PostgresError extends Error implements Diagnostic {
  static {
    this.prototype.name = "PostgresError";
  }
  declare readonly severity?: string;
  /** Undefined where it is not the server that speaks. */
  declare readonly sqlstate?: string;
  declare readonly detail?: string;
  declare readonly hint?: string;
  declare readonly table?: string;
  declare readonly column?: string;
  declare readonly constraint?: string;

  constructor(
    { message, ...fields }: Diagnostic,
    options?: ErrorOptions,
  ) {
    super(message, options);
    Object.assign(this, fields);
  }
}

/** What a query can be given for `$1` and so on. */
export type Parameter =
  | string
  | number
  | bigint
  | boolean
  | Uint8Array
  | null;

/** A query with its parameters. */
export interface Statement {
  readonly sql: string;
  readonly parameters?: readonly Parameter[];
}

/**
 * A row, by the names of its columns. Integers of 64 bits are bigints, bytea is
 * a `Uint8Array`, JSON is what it stands for, and numeric, times and all the
 * rest are text.
 */
export type Row = Record<string, unknown>;

/** What a query has brought. */
export interface Result<R extends Row = Row> {
  readonly rows: R[];
  /** How many rows it has found, inserted, changed or removed. */
  readonly count: number;
  /** What was done, such as `INSERT 0 1`. */
  readonly command: string;
}

/** What somebody has told a channel. */
export interface Notification {
  readonly channel: string;
  readonly payload: string;
  /** The server's process that serves the one who told it. */
  readonly pid: number;
}

/** Options of {@linkcode Postgres.connect}. */
export interface PostgresOptions {
  /**
   * Who waits. It runs already.
   *
   * @default {the shared reactor}
   */
  reactor?: Reactor;
  /** Gives up connecting. */
  signal?: AbortSignal;
  /**
   * Gets the server's notices.
   *
   * @default {console.warn}
   */
  onNotice?: (notice: Diagnostic) => unknown;
}

/** Statements that succeed or fail together, and who waits for them. */
interface Batch {
  readonly results: Result[];
  readonly answer: PromiseWithResolvers<Result[]>;
  error?: Error;
}

/** A connection. */
export class Postgres implements Disposable {
  readonly #libpq = libpq();
  readonly #reactor: Reactor;
  readonly #onNotice: (notice: Diagnostic) => unknown;
  /** Null after the end. */
  #connection: Deno.PointerValue;
  #reason: Error | undefined;
  /** In the order in which the server will answer them. */
  readonly #batches: Batch[] = [];
  readonly #listeners = new Map<
    string,
    Set<ReadableStreamDefaultController<Notification>>
  >();
  /** Why the server is about to hang up. */
  #lastWords: Diagnostic | undefined;
  readonly #noticeReceiver: Deno.UnsafeCallback<typeof NOTICE_RECEIVER>;
  readonly #socket = {
    label: "postgres",
    // libpq closes its socket when it fails, and has none then.
    fileno: () => this.#libpq.PQsocket(this.#connection),
    doRead: () => this.#read(),
    doWrite: () => this.#flush(),
    connectionLost: (reason: Error) => this.#end(reason),
  };

  private constructor(conninfo: string, options: PostgresOptions) {
    this.#reactor = options.reactor ?? shared;
    this.#onNotice = options.onNotice ??
      (({ severity, message }) => console.warn(`${severity}: ${message}`));
    // What comes last counts: everything here takes texts for UTF-8.
    this.#connection = this.#libpq.PQconnectStartParams(
      texts("fallback_application_name", "dbname", "client_encoding"),
      texts("interleave", conninfo, "UTF8"),
      1, // The "dbname" is a connection string, or a URI.
    );
    this.#noticeReceiver = new Deno.UnsafeCallback(
      NOTICE_RECEIVER,
      (_argument, result) => this.#noticed(result!),
    );
    this.#libpq.PQsetNoticeReceiver(
      this.#connection,
      this.#noticeReceiver.pointer,
      null,
    );
  }

  /**
   * Connects.
   *
   * @param conninfo As for `psql`: `"host=/run/postgresql dbname=shop"` or
   * `"postgresql://127.0.0.1/shop"`. What it does not say is taken from PGHOST
   * and so on.
   * @returns Rejects with a {@linkcode PostgresError}, or the signal's reason.
   */
  static async connect(
    conninfo: string,
    options: PostgresOptions = {},
  ): Promise<Postgres> {
    const postgres = new Postgres(conninfo, options);
    try {
      await postgres.#connect(options.signal);
    } catch (error) {
      postgres.close();
      throw error;
    }
    return postgres;
  }

  /** The version of the server, such as 150018 for 15.18. */
  get serverVersion(): number {
    return this.#libpq.PQserverVersion(this.#connection);
  }

  /**
   * Runs a query. It is sent at once, also when others are under way. It fails,
   * and is rolled back, for itself.
   *
   * @returns Rejects with a {@linkcode PostgresError}.
   */
  async query<R extends Row = Row>(
    sql: string,
    parameters?: readonly Parameter[],
  ): Promise<Result<R>> {
    const [result] = await this.pipeline([{ sql, parameters }]);
    return result as Result<R>;
  }

  /**
   * Runs several queries as one transaction, and sends them in one go.
   *
   * @returns Their results. Rejects with the {@linkcode PostgresError} of the
   * first that fails, and none has been done then.
   */
  async pipeline(statements: readonly Statement[]): Promise<Result[]> {
    const encoded = statements.map(encode);
    this.#requireOpen();
    for (const statement of encoded) this.#send(statement);
    this.#require(this.#libpq.PQpipelineSync(this.#connection));
    const batch: Batch = { results: [], answer: Promise.withResolvers() };
    this.#batches.push(batch);
    this.#flush();
    return await batch.answer.promise;
  }

  /**
   * Listens to a channel.
   *
   * @returns What it is told from now on, in order. Leaving a `for await` ends
   * the listening.
   */
  async listen(channel: string): Promise<ReadableStream<Notification>> {
    const name = identifier(channel);
    let listener!: ReadableStreamDefaultController<Notification>;
    const stream = new ReadableStream<Notification>({
      start: (controller) => void (listener = controller),
      cancel: () => this.#unlisten(channel, listener),
    });
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    try {
      await this.query(`LISTEN ${name}`);
    } catch (error) {
      this.#forget(channel, listener);
      throw error;
    }
    return stream;
  }

  /** Tells a channel something. */
  async notify(channel: string, payload: string = ""): Promise<void> {
    await this.query("SELECT pg_notify($1, $2)", [channel, payload]);
  }

  /**
   * Asks the server to give up the query that it is running, which then rejects
   * with SQLSTATE 57014. Elsewhere than on this thread, because libpq waits
   * until the server has heard of it.
   */
  async cancel(): Promise<void> {
    this.#requireOpen();
    const { PQgetCancel, PQcancel, PQfreeCancel } = this.#libpq;
    const cancel = PQgetCancel(this.#connection);
    const complaint = new Uint8Array(256); // As libpq's manual has it.
    try {
      if (await PQcancel(cancel, complaint, complaint.length) === 1) return;
    } finally {
      PQfreeCancel(cancel);
    }
    const end = complaint.indexOf(0);
    const message = new TextDecoder().decode(complaint.subarray(0, end));
    throw new PostgresError({ message: message.trim() });
  }

  /**
   * Hangs up. What is under way rejects; those who listen are done. Closing it
   * twice does nothing.
   */
  close(): void {
    this.#end();
  }

  /** Hangs up, as {@linkcode Postgres.close} does. */
  [Symbol.dispose](): void {
    this.close();
  }

  async #connect(signal: AbortSignal | undefined): Promise<void> {
    const { PQconnectPoll, PQsetnonblocking, PQenterPipelineMode } =
      this.#libpq;
    if (this.#isBroken) throw this.#failure();
    for (let step = POLLING_WRITING; step !== POLLING_OK;) {
      if (step === POLLING_FAILED) throw this.#failure();
      await this.#ready(step, signal);
      step = PQconnectPoll(this.#connection);
    }
    PQsetnonblocking(this.#connection, 1);
    this.#require(PQenterPipelineMode(this.#connection));
    this.#reactor.addReader(this.#socket);
  }

  /**
   * Waits once for the socket, while connecting. `reactor.writable()` would do
   * the same, but it tells of errors, and looking at SO_ERROR clears it: libpq
   * would not know that nobody listens at an address, and not try the next.
   */
  async #ready(step: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Another one each time, perhaps: libpq tries address after address.
    const fd = this.#libpq.PQsocket(this.#connection);
    const waiter = {
      label: "postgres: connecting",
      fileno: () => fd,
      doRead: () => resolve(),
      doWrite: () => resolve(),
      connectionLost: reject,
    };
    const abort = () => reject(signal!.reason);
    signal?.addEventListener("abort", abort);
    if (step === POLLING_READING) this.#reactor.addReader(waiter);
    else this.#reactor.addWriter(waiter);
    try {
      await promise;
    } finally {
      this.#reactor.removeReader(waiter);
      this.#reactor.removeWriter(waiter);
      signal?.removeEventListener("abort", abort);
    }
  }

  #send({ sql, values, lengths, formats }: Encoded): void {
    this.#require(this.#libpq.PQsendQueryParams(
      this.#connection,
      sql,
      values.length,
      null, // The server finds out the types.
      addresses(values),
      lengths,
      formats,
      0, // Results come as text.
    ));
  }

  /** Sends what there is room for, and waits for room for the rest. */
  #flush(): void {
    const left = this.#libpq.PQflush(this.#connection);
    if (left > 0) this.#reactor.addWriter(this.#socket);
    // A failure is told by the read that follows.
    else this.#reactor.removeWriter(this.#socket);
  }

  #read(): void {
    this.#libpq.PQconsumeInput(this.#connection);
    this.#takeAll();
  }

  /** Takes what libpq has read. */
  #takeAll(): void {
    this.#takeNotifications();
    // libpq has it in memory: the socket does not tell of it again.
    if (this.#takeResults()) {
      this.#reactor.callFromThread(() => this.#takeAll());
    } else if (this.#isBroken) this.#end(this.#failure());
  }

  /** @returns Whether there are more. */
  #takeResults(): boolean {
    const { PQisBusy, PQgetResult, PQclear } = this.#libpq;
    for (let taken = 0; this.#batches.length > 0;) {
      if (PQisBusy(this.#connection) === 1) return false;
      if (taken++ === PORTION) return true;
      const result = PQgetResult(this.#connection);
      if (result === null) {
        // The end of a statement's results; or of all, if it repeats.
        if (this.#isBroken) return false;
        continue;
      }
      try {
        this.#take(result);
      } finally {
        PQclear(result);
      }
    }
    return false;
  }

  #take(result: Deno.PointerObject): void {
    const batch = this.#batches[0]!;
    const status = this.#libpq.PQresultStatus(result);
    switch (status) {
      case EMPTY_QUERY:
      case COMMAND_OK:
      case TUPLES_OK:
        this.#keep(batch, result);
        break;
      case BAD_RESPONSE:
      case FATAL_ERROR:
        batch.error ??= new PostgresError(diagnosticOf(result));
        break;
      case PIPELINE_ABORTED: // What came before it has failed.
        break;
      case PIPELINE_SYNC:
        this.#batches.shift();
        settle(batch);
        break;
      default: // There is no way on from here.
        this.#end(new PostgresError({ message: "COPY is not possible here" }));
    }
  }

  /** A value that cannot be read fails its query, not the connection. */
  #keep(batch: Batch, result: Deno.PointerObject): void {
    try {
      batch.results.push(resultOf(result));
    } catch (error) {
      batch.error ??= error as Error;
    }
  }

  #takeNotifications(): void {
    const { PQnotifies, PQfreemem } = this.#libpq;
    for (;;) {
      const pointer = PQnotifies(this.#connection);
      if (pointer === null) return;
      const notification = notificationAt(pointer);
      PQfreemem(pointer);
      const listeners = this.#listeners.get(notification.channel) ?? [];
      for (const listener of listeners) listener.enqueue(notification);
    }
  }

  /** Called by libpq, which wants to go on: the user's function comes later. */
  #noticed(result: Deno.PointerObject): void {
    const notice = diagnosticOf(result);
    if (notice.severity === "FATAL") this.#lastWords = notice;
    else this.#reactor.callFromThread(this.#onNotice, notice);
  }

  async #unlisten(
    channel: string,
    listener: ReadableStreamDefaultController<Notification>,
  ): Promise<void> {
    this.#forget(channel, listener);
    if (this.#listeners.has(channel) || this.#connection === null) return;
    await this.query(`UNLISTEN ${identifier(channel)}`);
  }

  #forget(
    channel: string,
    listener: ReadableStreamDefaultController<Notification>,
  ): void {
    const listeners = this.#listeners.get(channel);
    listeners?.delete(listener);
    if (listeners?.size === 0) this.#listeners.delete(channel);
  }

  get #isBroken(): boolean {
    return this.#connection !== null &&
      this.#libpq.PQstatus(this.#connection) === CONNECTION_BAD;
  }

  #requireOpen(): void {
    if (this.#connection !== null) return;
    throw new PostgresError({ message: "The connection is closed" }, {
      cause: this.#reason,
    });
  }

  /** What libpq refuses to send is no fault of a query's: the end is near. */
  #require(done: number): void {
    if (done === 1) return;
    const failure = this.#failure();
    this.#end(failure);
    throw failure;
  }

  #failure(): PostgresError {
    const message = textAt(this.#libpq.PQerrorMessage(this.#connection));
    return new PostgresError(this.#lastWords ?? { message: message.trim() });
  }

  /** @param reason Why, if nobody has asked for it. */
  #end(reason?: Error): void {
    if (this.#connection === null) return;
    this.#reactor.removeReader(this.#socket);
    this.#reactor.removeWriter(this.#socket);
    this.#libpq.PQfinish(this.#connection);
    this.#connection = null;
    this.#reason = reason;
    this.#noticeReceiver.close();
    const error = reason ??
      new PostgresError({ message: "The connection was closed" });
    for (const batch of this.#batches.splice(0)) {
      batch.error ??= error;
      settle(batch);
    }
    const listeners = [...this.#listeners.values()].flatMap((set) => [...set]);
    this.#listeners.clear();
    for (const listener of listeners) {
      if (reason === undefined) listener.close();
      else listener.error(reason);
    }
  }
}

function settle({ error, results, answer }: Batch): void {
  if (error === undefined) answer.resolve(results);
  else answer.reject(error);
}

/** A statement as libpq wants it. */
interface Encoded {
  readonly sql: Uint8Array<ArrayBuffer>;
  /** Texts end with a NUL. */
  readonly values: readonly (Uint8Array<ArrayBuffer> | null)[];
  readonly lengths: Int32Array<ArrayBuffer>;
  /** 0 for text, 1 for bytes. */
  readonly formats: Int32Array<ArrayBuffer>;
}

function encode({ sql, parameters = [] }: Statement): Encoded {
  const { length } = parameters;
  if (length > MOST_PARAMETERS) {
    throw new RangeError(
      `Cannot run a query: it may have ${MOST_PARAMETERS} parameters, and has ${length}`,
    );
  }
  return {
    sql: cString(sql, "run a query", "sql"),
    values: parameters.map(encodeParameter),
    lengths: Int32Array.from(
      parameters,
      (value) => value instanceof Uint8Array ? value.length : 0,
    ),
    formats: Int32Array.from(
      parameters,
      (value) => value instanceof Uint8Array ? 1 : 0,
    ),
  };
}

function encodeParameter(
  value: Parameter,
  index: number,
): Uint8Array<ArrayBuffer> | null {
  if (value === null) return null;
  if (value instanceof Uint8Array) {
    // No bytes have no address, and that would be NULL.
    const copy = new Uint8Array(value.length + 1);
    copy.set(value);
    return copy;
  }
  const isScalar = ["string", "number", "bigint", "boolean"]
    .includes(typeof value);
  const text: unknown = isScalar ? String(value) : value;
  return cString(text, "run a query", `parameters[${index}]`);
}

/** A name in quotation marks. */
function identifier(name: string): string {
  const { length } = cString(name, "listen to a channel", "channel");
  if (length - 1 > LONGEST_NAME) {
    // The server would cut it, and call it by another name than this one.
    throw new RangeError(
      `Cannot listen to a channel: "${name}" is longer than ${LONGEST_NAME} bytes`,
    );
  }
  return `"${name.replaceAll('"', '""')}"`;
}

/** What C finds through an array of pointers is kept for as long as that is. */
const kept = new WeakMap<BigUint64Array, unknown>();

/** An array of pointers for C. */
function addresses(
  memory: readonly (Uint8Array<ArrayBuffer> | null)[],
): BigUint64Array<ArrayBuffer> {
  const pointers = BigUint64Array.from(
    memory,
    (bytes) =>
      bytes === null
        ? 0n
        : Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)),
  );
  kept.set(pointers, memory);
  return pointers;
}

/** Texts for C, with a null pointer behind them. */
function texts(...words: string[]): BigUint64Array<ArrayBuffer> {
  const memory = words.map((word) =>
    cString(word, "connect to PostgreSQL", "conninfo")
  );
  return addresses([...memory, null]);
}

/** A text of C's; "" if there is none. */
function textAt(pointer: Deno.PointerValue): string {
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}

/** `PGnotify`: the channel, the process, the payload. */
function notificationAt(pointer: Deno.PointerObject): Notification {
  const view = new Deno.UnsafePointerView(pointer);
  return {
    channel: textAt(view.getPointer(0)),
    payload: textAt(view.getPointer(16)),
    pid: view.getInt32(8),
  };
}

/** Of postgres_ext.h. */
const FIELDS: Readonly<Record<keyof Diagnostic, string>> = {
  message: "M",
  severity: "V",
  sqlstate: "C",
  detail: "D",
  hint: "H",
  table: "t",
  column: "c",
  constraint: "n",
};

function diagnosticOf(result: Deno.PointerObject): Diagnostic {
  const { PQresultErrorField, PQresultErrorMessage } = libpq();
  const told = Object.entries(FIELDS).flatMap(([name, code]) => {
    const field = PQresultErrorField(result, code.charCodeAt(0));
    return field === null ? [] : [[name, textAt(field)]];
  });
  // What libpq itself complains of has no fields.
  const message = textAt(PQresultErrorMessage(result)).trim();
  return { message, ...Object.fromEntries(told) };
}

function resultOf(result: Deno.PointerObject): Result {
  const { PQcmdStatus, PQcmdTuples, PQntuples, PQnfields, PQfname, PQftype } =
    libpq();
  const columns = Array.from(
    { length: PQnfields(result) },
    (_, column) => ({
      name: textAt(PQfname(result, column)),
      type: PQftype(result, column),
    }),
  );
  return {
    rows: Array.from(
      { length: PQntuples(result) },
      (_, row) =>
        Object.fromEntries(
          columns.map(({ name, type }, column) => [
            name,
            valueOf(result, row, column, type),
          ]),
        ),
    ),
    count: Number(textAt(PQcmdTuples(result))),
    command: textAt(PQcmdStatus(result)),
  };
}

function valueOf(
  result: Deno.PointerObject,
  row: number,
  column: number,
  type: number,
): unknown {
  const { PQgetisnull, PQgetvalue } = libpq();
  if (PQgetisnull(result, row, column) === 1) return null;
  const value = PQgetvalue(result, row, column)!;
  if (type === BYTEA) return unescape(value);
  const text = textAt(value);
  const decoder = DECODERS[type];
  return decoder === undefined ? text : decoder(text);
}

function unescape(value: Deno.PointerObject): Uint8Array<ArrayBuffer> {
  const { PQunescapeBytea, PQfreemem } = libpq();
  const length = new BigUint64Array(1);
  const memory = PQunescapeBytea(value, length)!;
  const bytes = new Uint8Array(Number(length[0]));
  if (bytes.length > 0) new Deno.UnsafePointerView(memory).copyInto(bytes);
  PQfreemem(memory);
  return bytes;
}
