// Sends standard input back to standard output, no faster than that takes it,
// and says on standard error how it ended. Run by tests/net/stdio_test.ts.
//
// With "ping", it begins by saying "ready"; with "once", it takes its leave after
// the first piece.

import { openStdio } from "../../src/net/stdio.ts";

const [mode] = Deno.args;

const stdio = openStdio({
  dataReceived(data) {
    stdio.write(data);
    if (mode === "once") {
      stdio.unregisterProducer();
      stdio.loseConnection();
    }
  },
  readConnectionLost() {
    stdio.unregisterProducer();
    stdio.loseWriteConnection();
  },
  connectionLost(reason) {
    const { name, code } = reason as Error & { code?: string };
    console.error(code === undefined ? name : `${name}: ${code}`);
  },
});
// A transport is a producer, too: what comes is what it produces.
stdio.registerProducer(stdio, true);
if (mode === "ping") stdio.write("ready\n");
