/**
 * A PostgreSQL server of the tests' own, on a UNIX socket in a temporary folder.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Folder } from "../net/certificates.ts";
import { Output } from "../net/peers/peer.ts";

/**
 * Debian has the server's programs where no PATH leads, several versions side
 * by side. They refuse to run as root, and run as "postgres" then. The end of
 * the input is the end of the server, also when the test has died.
 */
const SCRIPT = `
  folder=$1
  bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  as_user() { "$@"; }
  if [ "$(id -u)" = 0 ]; then
    chown postgres "$folder"
    as_user() {
      setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    }
  fi
  cd "$folder"
  as_user "$bin/initdb" -D data -U tester -A trust -E UTF8 --locale=C \\
    --no-sync >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
  as_user "$bin/pg_ctl" -D data -l server.log -w start \\
    -o "-k $folder -c listen_addresses= -c fsync=off" >&2 ||
    { cat server.log >&2; exit 1; }
  echo ready
  cat >/dev/null
  as_user "$bin/pg_ctl" -D data -m immediate -w stop >&2
`;

/** The package that is missing, if it is. */
export async function missingPostgres(): Promise<string[]> {
  const { code } = await new Deno.Command("sh", {
    args: ["-c", "ls /usr/lib/postgresql/*/bin/initdb"],
    stdout: "null",
    stderr: "null",
  }).output();
  if (code === 0) return [];
  if (Deno.env.get("TOOLKITS") === "required") {
    throw new Error("Packages are missing: postgresql");
  }
  return ["postgresql"];
}

/** A server. */
export class PostgresServer implements AsyncDisposable {
  readonly #folder = new Folder();
  readonly #shell: Deno.ChildProcess;

  private constructor() {
    this.#shell = new Deno.Command("sh", {
      args: ["-c", SCRIPT, "sh", this.#folder.path],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      env: { LC_ALL: "C" },
    }).spawn();
  }

  /** Starts one, and waits until it takes connections. */
  static async start(): Promise<PostgresServer> {
    const server = new PostgresServer();
    const complaints = new Response(server.#shell.stderr).text();
    const output = new Output(server.#shell.stdout);
    try {
      await output.printed(/ready/);
    } catch {
      throw new Error(`There is no server: ${await complaints}`);
    }
    return server;
  }

  /** What tells libpq where it is. */
  get environment(): Record<string, string> {
    return { PGHOST: this.path, PGUSER: "tester", PGDATABASE: "postgres" };
  }

  /** The folder with its socket. */
  get path(): string {
    return this.#folder.path;
  }

  /** The same as a connection string. */
  get conninfo(): string {
    return `host=${this.path} user=tester dbname=postgres`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#shell.stdin.close();
    const { code } = await this.#shell.status;
    await this.#folder[Symbol.asyncDispose]();
    assertEquals(code, 0);
  }
}
