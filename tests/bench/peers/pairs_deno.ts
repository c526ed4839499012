/**
 * What `pairs.ts` does, with Deno's own UNIX sockets.
 *
 *     pairs_deno.ts PAIRS IDLE WARM_UP_MS MEASURE_MS
 */

const [pairs, idle, warmUp, measure] = Deno.args.map(Number) as [
  number,
  number,
  number,
  number,
];
const folder = Deno.makeTempDirSync();
const path = `${folder}/socket`;
const listener = Deno.listen({ transport: "unix", path });
const one = new Uint8Array(1);
let events = 0;

// All are there before any is busy: those that play leave no turn to accept().
const silent: Deno.UnixConn[] = [];
const players: [Deno.UnixConn, Deno.UnixConn][] = [];
for (let i = 0; i < idle; i += 2) silent.push(...await pair());
for (let i = 0; i < pairs; i++) players.push(await pair());
for (const end of silent) void play(end);
for (const [here, there] of players) {
  void play(here);
  void play(there);
  await here.write(one);
}
Deno.removeSync(folder, { recursive: true });
setTimeout(() => {
  const before = events;
  const start = performance.now();
  setTimeout(() => {
    const rate = (events - before) / (performance.now() - start) * 1000;
    console.log(JSON.stringify({ rate }));
    Deno.exit();
  }, measure);
}, warmUp);

async function pair(): Promise<[Deno.UnixConn, Deno.UnixConn]> {
  const [here, there] = await Promise.all([
    Deno.connect({ transport: "unix", path }),
    listener.accept(),
  ]);
  return [here, there];
}

async function play(end: Deno.UnixConn): Promise<void> {
  const buffer = new Uint8Array(64);
  while (await end.read(buffer) !== null) {
    events++;
    await end.write(one);
  }
}
