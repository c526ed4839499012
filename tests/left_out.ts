/**
 * Tests that cannot run here.
 *
 * @module
 */

/**
 * Registers a test that is ignored, and prints why.
 *
 * @param name Its name where it runs.
 * @param reason What is missing, such as "install socat".
 */
export function leaveOut(name: string, reason: string): void {
  console.log(`Left out: ${name} (${reason})`);
  Deno.test({
    name: `${name} (ignored: ${reason})`,
    ignore: true,
    fn() {
      throw new Error(`This cannot run here: ${reason}`);
    },
  });
}
