/**
 * Certificates made by the `openssl` command, and that command as a peer.
 *
 * It is started by a shell, since tests may run that and no `openssl`.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { missingPackages } from "../loops/toolkit.ts";

/** A certificate with its key, both in PEM. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate says. */
export interface IssueOptions {
  /** Whom it is for, as in `"DNS:localhost,IP:127.0.0.1"`. */
  readonly names?: string;
  /** The common name of its subject. */
  readonly subject?: string;
  /** For how many days it is good. */
  readonly days?: number;
  /** Whether it can sign others. */
  readonly authority?: boolean;
}

/**
 * Which packages are missing. Where the library is, the command can be missing
 * all the same.
 */
export async function missingOpenssl(): Promise<string[]> {
  const missing = await missingPackages({
    libraries: Deno.build.os === "linux" ? { "libssl.so.3": "libssl3" } : {},
    windows: false,
  });
  const command = await openssl("version").catch(() => undefined);
  if (command !== undefined) return missing;
  if (Deno.env.get("TOOLKITS") === "required") {
    throw new Error("Packages are missing: openssl");
  }
  return [...missing, "openssl"];
}

/** Runs the command to its end, and returns what it printed. */
export async function openssl(...args: string[]): Promise<string> {
  const child = start(args);
  await child.stdin.close();
  const text = await new Response(child.stdout).text();
  const { code } = await child.status;
  assertEquals(code, 0, `openssl ${args[0]}: ${text}`);
  return text;
}

/** The command as a peer, at the terminal of which the test sits. */
export class OpensslPeer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #keyboard: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #screen: ReadableStreamDefaultReader<string>;
  #text = "";

  /** Starts it in a folder. */
  constructor(folder: string, ...args: string[]) {
    this.#child = start(args, folder);
    this.#keyboard = this.#child.stdin.getWriter();
    this.#screen = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  /** Types something. */
  async type(text: string): Promise<void> {
    await this.#keyboard.write(new TextEncoder().encode(text));
  }

  /** Waits until it has printed something, after what was waited for before. */
  async printed(words: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = words.exec(this.#text);
      if (found !== null) {
        this.#text = this.#text.slice(found.index + found[0].length);
        return found;
      }
      const { value } = await this.#screen.read();
      if (value === undefined) {
        throw new Error(`It ended without printing ${words}: ${this.#text}`);
      }
      this.#text += value;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#keyboard.abort().catch(() => {}); // Nobody is there any more.
    await this.#screen.cancel();
    await this.#child.status;
  }
}

/** Starts the command, with its errors among its output. */
function start(args: readonly string[], cwd = "."): Deno.ChildProcess {
  return new Deno.Command("sh", {
    args: ["-c", 'exec openssl "$@" 2>&1', "sh", ...args],
    cwd,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
}

/** A folder for what the command reads and writes. */
export class Folder implements AsyncDisposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "tls" });

  /** Where a file of that name is. */
  file(name: string): string {
    return `${this.path}/${name}`;
  }

  /** Writes a file, and returns where it is. */
  async write(name: string, content: string | Uint8Array): Promise<string> {
    const bytes = typeof content === "string"
      ? new TextEncoder().encode(content)
      : content;
    await Deno.writeFile(this.file(name), bytes);
    return this.file(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** Who can sign certificates. */
export class Authority {
  /** Its certificate and key. */
  readonly identity: Identity;

  constructor(identity: Identity) {
    this.identity = identity;
  }

  /** An authority that nobody has signed but itself. */
  static async root(subject: string): Promise<Authority> {
    return new Authority(await selfSigned({ subject, authority: true }));
  }

  /** Signs a new certificate. */
  issue(options: IssueOptions): Promise<Identity> {
    return makeCertificate(options, this.identity);
  }

  /** Signs a new authority. */
  async delegate(subject: string): Promise<Authority> {
    return new Authority(await this.issue({ subject, authority: true }));
  }
}

/** Makes a certificate that has signed itself. */
export function selfSigned(options: IssueOptions): Promise<Identity> {
  return makeCertificate(options);
}

async function makeCertificate(
  options: IssueOptions,
  signer?: Identity,
): Promise<Identity> {
  const { names, subject = "A test", days = 2, authority = false } = options;
  await using folder = new Folder();
  const extensions = [
    `basicConstraints=critical,CA:${authority ? "TRUE" : "FALSE"}`,
    "subjectKeyIdentifier=hash",
  ];
  if (signer !== undefined) extensions.push("authorityKeyIdentifier=keyid");
  if (names !== undefined) extensions.push(`subjectAltName=${names}`);
  const [key, request, cert] = ["key.pem", "request.pem", "cert.pem"]
    .map((name) => folder.file(name)) as [string, string, string];
  // deno-fmt-ignore
  await openssl(
    "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
    "-nodes", "-keyout", key, "-out", request, "-subj", `/CN=${subject}`,
  );
  // deno-fmt-ignore
  await openssl(
    "x509", "-req", "-in", request, "-out", cert, "-days", `${days}`,
    "-extfile", await folder.write("extensions", extensions.join("\n")),
    ...signer === undefined ? ["-signkey", key] : [
      "-CA", await folder.write("signer.pem", signer.cert),
      "-CAkey", await folder.write("signer.key", signer.key),
      "-set_serial", `${crypto.getRandomValues(new Uint32Array(1))[0]}`,
    ],
  );
  return {
    cert: await Deno.readTextFile(cert),
    key: await Deno.readTextFile(key),
  };
}
