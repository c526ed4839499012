/**
 * What the programs with very many connections share.
 *
 * @module
 */

/** Tells the test something. */
export function say(value: unknown): void {
  console.log(JSON.stringify(value));
}

/** What the test says. */
export function lines(): AsyncIterable<string> {
  return Deno.stdin.readable
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(
      new TransformStream({
        transform(text, controller) {
          // The test waits for an answer to each, so they come one by one.
          for (const line of text.split("\n").slice(0, -1)) {
            controller.enqueue(line);
          }
        },
      }),
    );
}

/** How much memory this process has, without what is garbage, in bytes. */
export function residentMemory(): number {
  (globalThis as unknown as { gc(): void }).gc();
  return Deno.memoryUsage().rss;
}
