// A Worker without any permission. Run by handle_test.ts.

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import { connectReactor } from "../../src/threads/mod.ts";

interface Desk {
  note(text: unknown): void;
  double(n: number): number;
  stop(): void;
}

self.onmessage = ({ data }) => {
  for (const handle of [data.plain, data.handle]) {
    try {
      const reactor = connectReactor<Desk>(handle);
      reactor.callFromThread(
        "note",
        reactor.blockingCallFromThread("double", 4),
      );
      reactor.callFromThread("stop");
    } catch (error) {
      postMessage((error as Error).message);
    }
  }
};
