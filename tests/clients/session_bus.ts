/**
 * A session bus of a test's own, on a UNIX socket in a temporary folder.
 *
 * @module
 */

import { Folder } from "../net/certificates.ts";
import { Peer } from "../net/peers/peer.ts";

/** A `dbus-daemon`. */
export class SessionBus implements AsyncDisposable {
  readonly #folder = new Folder();
  readonly #daemon: Peer;
  /** Where it is. */
  readonly address: string = `unix:path=${this.#folder.file("bus")}`;

  private constructor() {
    this.#daemon = new Peer("dbus-daemon", [
      ...["--session", "--nofork", "--nopidfile", "--print-address"],
      `--address=${this.address}`,
    ]);
  }

  /** Starts one, and waits until it takes connections. */
  static async start(): Promise<SessionBus> {
    const bus = new SessionBus();
    await bus.#daemon.stdout.printed(/unix:path=.+\n/);
    return bus;
  }

  /** What tells programs where it is. */
  get environment(): Record<string, string> {
    return { DBUS_SESSION_BUS_ADDRESS: this.address };
  }

  /** From now on it takes nothing, until it is disposed of. */
  pause(): Disposable {
    this.#daemon.kill("SIGSTOP");
    return { [Symbol.dispose]: () => this.#daemon.kill("SIGCONT") };
  }

  /** Ends it before its time. */
  async kill(): Promise<void> {
    this.#daemon.kill("SIGKILL");
    await this.#daemon.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}
