/**
 * Two serial ports with a wire between them, made by `socat` of two
 * pseudoterminals.
 *
 * @module
 */

import { onLinux } from "../descriptors.ts";
import { missingPrograms, Peer, run } from "../net/peers/peer.ts";

/** What is missing for it. */
export const missingSocat: readonly string[] = onLinux
  ? await missingPrograms({ socat: "socat" })
  : ["Linux"];

/** The paths of both ports, and the program between them. */
export class PtyPair implements AsyncDisposable {
  readonly here: string;
  readonly there: string;
  readonly #socat: Peer;

  private constructor(here: string, there: string, socat: Peer) {
    this.here = here;
    this.there = there;
    this.#socat = socat;
  }

  /** Starts the program, and waits until the wire is there. */
  static async start(): Promise<PtyPair> {
    const address = "pty,raw,echo=0";
    const socat = new Peer("socat", ["-d", "-d", address, address]);
    const [, here] = await socat.stderr.printed(/PTY is (\S+)\n/);
    const [, there] = await socat.stderr.printed(/PTY is (\S+)\n/);
    await socat.stderr.printed(/starting data transfer loop/);
    return new PtyPair(here!, there!, socat);
  }

  /** Pulls both plugs: the masters are closed, and the ports hang up. */
  hangUp(): void {
    this.#socat.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#socat[Symbol.asyncDispose]();
  }
}

/** What `stty` says of a port. */
export async function stty(path: string, ...args: string[]): Promise<string> {
  const { code, text, stderr } = await run("stty", ["-F", path, ...args]);
  if (code !== 0) throw new Error(stderr);
  return text;
}
