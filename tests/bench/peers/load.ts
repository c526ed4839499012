/**
 * What `load.c` does, for machines without a C compiler: slower, so that with
 * fast servers it is what limits the rate.
 */

import { quantile } from "../statistics.ts";
import { cpuMicroseconds, microseconds } from "./clock.ts";

const [port, pid, connections, size, warmUp, measure] = Deno.args.map(
  Number,
) as [number, number, number, number, number, number];
const message = new Uint8Array(size).map((_, i) => i * 31);
const took: number[] = [];
/** The longest that each connection had to wait. */
const waits: number[] = [];

const all = await Promise.all(
  Array.from(
    { length: connections },
    () => Deno.connect({ hostname: "127.0.0.1", port }),
  ),
);
const start = microseconds() + warmUp * 1000;
const end = start + measure * 1000;
const work = Promise.all(all.map(talk));
let cpu = 0;
setTimeout(() => cpu = cpuSoFar(), warmUp);
await work;
console.log(JSON.stringify({
  messages: took.length,
  seconds: measure / 1000,
  p50: quantile(took, 0.5),
  p99: quantile(took, 0.99),
  wait99: quantile(waits, 0.99),
  cpu: cpuSoFar() - cpu,
}));

async function talk(connection: Deno.TcpConn): Promise<void> {
  connection.setNoDelay(true);
  const echo = new Uint8Array(size);
  let longest = 0;
  for (;;) {
    const began = microseconds();
    for (let sent = 0; sent < size;) {
      sent += await connection.write(message.subarray(sent));
    }
    for (let got = 0; got < size;) {
      const count = await connection.read(echo.subarray(got));
      if (count === null) throw new Error("The server closed a connection");
      got += count;
    }
    const now = microseconds();
    if (now >= start) longest = Math.max(longest, now - began);
    if (now >= end) break;
    if (now >= start) took.push(now - began);
  }
  waits.push(longest);
  connection.close();
}

/** 0 where the system does not tell. */
function cpuSoFar(): number {
  try {
    return cpuMicroseconds(pid);
  } catch {
    return 0;
  }
}
