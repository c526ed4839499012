/**
 * What a timer costs and how late it is, whoever makes it. Plain JavaScript,
 * because Node runs it, too.
 *
 *     ... BATCHES TIMERS
 *
 * @module
 */

const [batches, timers] = process.argv.slice(2).map(Number);

/** How many timers are there at a time. */
const BATCH = 1000;
/** Batches that only warm up. */
const WARM_UP = 20;

/**
 * Measures and prints.
 *
 * @template T
 * @param {(ms: number, f: () => void) => T} schedule
 * @param {(timer: T) => void} cancel
 */
export async function measureTimers(schedule, cancel) {
  const cancelled = [];
  for (let i = 0; i < batches + WARM_UP; i++) {
    const start = performance.now();
    const made = [];
    for (let j = 0; j < BATCH; j++) made.push(schedule(1000 + j, nothing));
    for (const timer of made) cancel(timer);
    cancelled.push((performance.now() - start) / BATCH * 1e6);
    // Cancelled ones are cleared away by and by; that is part of the cost.
    await new Promise((resolve) => schedule(0, resolve));
  }
  const fired = [];
  for (let i = 0; i < batches + WARM_UP; i++) {
    const start = performance.now();
    await new Promise((resolve) => {
      let left = BATCH;
      const fire = () => --left === 0 && resolve();
      for (let j = 0; j < BATCH; j++) schedule(0, fire);
    });
    fired.push((performance.now() - start) / BATCH * 1e6);
  }
  const late = [];
  for (let i = 0; i < timers; i++) {
    await new Promise((resolve) => {
      const start = performance.now();
      schedule(1, () => {
        late.push((performance.now() - start - 1) * 1000);
        resolve();
      });
    });
  }
  console.log(JSON.stringify({
    cancel: quantile(cancelled.slice(WARM_UP), 0.5),
    fire: quantile(fired.slice(WARM_UP), 0.5),
    p50: quantile(late, 0.5),
    p99: quantile(late, 0.99),
  }));
}

function nothing() {}

function quantile(values, part) {
  const sorted = values.sort((a, b) => a - b);
  return sorted[Math.max(Math.ceil(part * sorted.length), 1) - 1];
}
