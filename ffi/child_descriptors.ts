/**
 * How a child gets its descriptors: which steps, in which order.
 *
 * The child begins with a copy of our table, and each step is a `dup2()` or a
 * `close()` there. Whatever is still to be copied must not be overwritten
 * before, and the wish may be any permutation: `{0: 1, 1: 0}`. So each of our
 * numbers that is a target as well is put aside first, under a number that is
 * neither. That includes those that stay what they are (`{3: 3}`), because a
 * `dup2()` onto itself does not everywhere clear the close-on-exec flag, while
 * one from another number does.
 *
 *         ours: 0  1  5          wanted: {0: 1, 1: 0, 2: 5}
 *     aside     1 -> 3, 0 -> 4
 *     place     3 -> 0, 4 -> 1, 5 -> 2
 *     close     3, 4, and the rest
 *
 * @module
 */

/** A step: makes `to` the same file as `from`. */
export interface Duplication {
  readonly from: number;
  readonly to: number;
}

/** What a child does with the descriptors that it begins with. */
export interface DescriptorPlan {
  /** To be done before anything else. */
  readonly aside: readonly Duplication[];
  /** To be done then. */
  readonly place: readonly Duplication[];
  /**
   * The numbers of `aside` that the child has opened by then. They are always
   * open, so all systems can close them.
   */
  readonly spares: readonly number[];
  /** Numbers below `rest` that the child is not to have. */
  readonly gaps: readonly number[];
  /** From here on, the child is to have none. */
  readonly rest: number;
}

/** Children have these by custom, and ours are not closed on exec. */
const STANDARD = 3;

/**
 * Plans the steps.
 *
 * @param wanted Which of our descriptors the child is to have, by its numbers.
 * @param kept Numbers of the child's that something else opens, after `aside`
 * and before `place`.
 */
export function planDescriptors(
  wanted: ReadonlyMap<number, number>,
  kept: readonly number[] = [],
): DescriptorPlan {
  const targets = new Set([...kept, ...wanted.keys()]);
  const taken = new Set([...targets, ...wanted.values()]);
  const moved = new Map<number, number>();
  const place: Duplication[] = [];
  let spare = 0;
  for (const [to, from] of wanted) {
    if (targets.has(from) && !moved.has(from)) {
      while (taken.has(spare)) spare++;
      moved.set(from, spare++);
    }
    place.push({ from: moved.get(from) ?? from, to });
  }
  const rest = Math.max(STANDARD, ...[...targets].map((fd) => fd + 1));
  const gaps: number[] = [];
  for (let fd = 0; fd < rest; fd++) {
    if (!targets.has(fd)) gaps.push(fd);
  }
  return {
    aside: [...moved].map(([from, to]) => ({ from, to })),
    place,
    spares: [...moved.values()],
    gaps,
    rest,
  };
}
