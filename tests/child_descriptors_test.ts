import { assertEquals } from "@std/assert";
import { planDescriptors } from "../ffi/child_descriptors.ts";

/** What a child has open that begins with our table and takes the steps. */
function follow(
  ours: readonly number[],
  wanted: Map<number, number>,
  kept: number[] = [],
): Map<number, string> {
  const table = new Map(ours.map((fd) => [fd, `file ${fd}`]));
  const plan = planDescriptors(wanted, kept);
  for (const { from, to } of plan.aside) table.set(to, table.get(from)!);
  for (const fd of kept) table.set(fd, "terminal");
  for (const { from, to } of plan.place) {
    // A dup2() onto itself would leave it closed on exec.
    assertEquals(from === to, false);
    table.set(to, table.get(from)!);
  }
  for (const fd of [...plan.spares, ...plan.gaps]) table.delete(fd);
  for (const fd of table.keys()) {
    if (fd >= plan.rest) table.delete(fd);
  }
  return table;
}

function* mappings(
  targets: readonly number[],
  sources: readonly number[],
): Generator<Map<number, number>> {
  const [target, ...rest] = targets;
  if (target === undefined) return yield new Map();
  for (const others of mappings(rest, sources)) {
    yield others;
    for (const source of sources) {
      yield new Map([[target, source], ...others]);
    }
  }
}

Deno.test("planDescriptors() gives a child exactly what is wanted, for every mapping of few numbers", () => {
  const numbers = [0, 1, 2, 3, 5];
  let count = 0;
  for (const wanted of mappings([0, 1, 3, 5], numbers)) {
    const expected = [...wanted].map(([to, from]) =>
      [to, `file ${from}`] as const
    );
    assertEquals(follow([...numbers, 9], wanted), new Map(expected));
    count++;
  }
  assertEquals(count, 6 ** 4);
});

Deno.test("planDescriptors() leaves what something else opens", () => {
  const numbers = [0, 1, 2, 3, 4];
  for (const wanted of mappings([3, 4], numbers)) {
    const expected = new Map<number, string>([
      [0, "terminal"],
      [1, "terminal"],
      [2, "terminal"],
    ]);
    for (const [to, from] of wanted) expected.set(to, `file ${from}`);
    assertEquals(follow(numbers, wanted, [0, 1, 2]), expected);
  }
});

Deno.test("planDescriptors() closes the standard descriptors that are not wanted", () => {
  const { gaps, rest } = planDescriptors(new Map());
  assertEquals({ gaps, rest }, { gaps: [0, 1, 2], rest: 3 });
});

Deno.test("planDescriptors() moves nothing that is in nobody's way", () => {
  const { aside, place, spares } = planDescriptors(new Map([[0, 7], [1, 8]]));
  assertEquals(aside, []);
  assertEquals(spares, []);
  assertEquals(place, [{ from: 7, to: 0 }, { from: 8, to: 1 }]);
});
