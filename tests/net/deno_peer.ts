/**
 * The other side of a connection: Deno's own sockets, in a process that may
 * have any of them.
 *
 * @module
 */

/**
 * Runs a program.
 *
 * @param code Its source. `print`, `encode`, `decode` and `args` are there.
 * @param args What it finds in `args`.
 * @returns The lines that it prints.
 */
export async function denoPeer(
  code: string,
  ...args: unknown[]
): Promise<string[]> {
  const prologue = `const print = (line) => console.log(line);
    const args = ${JSON.stringify(args)};
    const encode = (text) => new TextEncoder().encode(text);
    const decode = (bytes) => new TextDecoder().decode(bytes);
  `;
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--unstable-net", prologue + code],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(decoder.decode(stderr));
  return decoder.decode(stdout).split("\n").slice(0, -1);
}
