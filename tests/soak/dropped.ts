/**
 * Objects that were dropped, and whether they are garbage.
 *
 * @module
 */

/** Counts objects that somebody still holds, although their user has let go. */
export class Dropped {
  readonly #held = new Map<string, number>();
  readonly #registry = new FinalizationRegistry<string>((kind) => {
    this.#held.set(kind, this.#held.get(kind)! - 1);
  });

  /** From now on this object should be garbage, once it is out of use. */
  add(kind: string, object: object): void {
    this.#held.set(kind, (this.#held.get(kind) ?? 0) + 1);
    this.#registry.register(object, kind);
  }

  /** How many are not garbage, as far as has been noticed. */
  get size(): number {
    return this.#held.values().reduce((sum, count) => sum + count, 0);
  }

  /** Which they are. */
  toString(): string {
    return [...this.#held].filter(([, count]) => count > 0)
      .map(([kind, count]) => `${count} of kind "${kind}"`).join(", ");
  }
}
