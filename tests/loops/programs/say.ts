/** Tells the test something, in a line that begins with `word`. */
export function say(word: string, value: unknown = null): void {
  console.log(word, JSON.stringify(value));
}
