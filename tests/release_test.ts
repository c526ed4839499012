/**
 * What the workflow that publishes asks before it does: whether tag, version and
 * changelog agree. And whether they will, at the next release.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreater,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { complaints, sections } from "../.ci/check_release.ts";

const CHECKOUT = new URL("../", import.meta.url);

const CHANGELOG = `# Changelog

## What to expect of a new version

## [Unreleased]

## [1.2.0] - 2026-02-28

### Added

- Something.

## [1.1.0] - 2026-01-31

- Something else.
`;

const RELEASE = { tag: "v1.2.0", version: "1.2.0", changelog: CHANGELOG };

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, CHECKOUT));
}

Deno.test("sections() are those of a changelog that are about a version", () => {
  assertEquals(
    sections(CHANGELOG).map(({ name, date }) => [name, date]),
    [["Unreleased", ""], ["1.2.0", "2026-02-28"], ["1.1.0", "2026-01-31"]],
  );
  assertEquals(sections(CHANGELOG).at(-1)?.text, "- Something else.");
});

Deno.test("complaints() has none about a release where all agree, of a pre-release as well", () => {
  assertEquals(complaints(RELEASE), []);
  const changelog = CHANGELOG.replace("[1.2.0]", "[1.2.0-rc.1]");
  assertEquals(
    complaints({ tag: "v1.2.0-rc.1", version: "1.2.0-rc.1", changelog }),
    [],
  );
});

Deno.test("complaints() says what does not agree, each in one sentence", () => {
  const wrong: [Partial<typeof RELEASE>, string][] = [
    [{ tag: "v1.2.1" }, 'the tag must be "v1.2.0"'],
    [{ tag: "1.2.0" }, 'the tag must be "v1.2.0"'],
    [{ tag: "" }, 'the tag must be "v1.2.0"'],
    [
      { changelog: CHANGELOG.replace("[1.2.0]", "[1.1.1]") },
      'the newest section is "1.1.1"',
    ],
    [
      { changelog: "# Changelog\n\n## 1.2.0 - 2026-02-28\n\n- New.\n" },
      'the newest section is "none"',
    ],
    [
      { changelog: CHANGELOG.replace(" - 2026-02-28", "") },
      '"" is no date for "1.2.0"',
    ],
    [
      { changelog: CHANGELOG.replace("2026-02-28", "2026-02-30") },
      '"2026-02-30" is no date',
    ],
    [
      { changelog: CHANGELOG.replace("### Added\n\n- Something.\n", "") },
      'the section "1.2.0" is empty',
    ],
    [
      {
        changelog: CHANGELOG.replace("[Unreleased]", "[Unreleased]\n\n- New."),
      },
      'belongs under "1.2.0"',
    ],
  ];
  for (const [change, expected] of wrong) {
    const found = complaints({ ...RELEASE, ...change });
    assertEquals(found.length, 1, `${expected}: ${found}`);
    assertStringIncludes(found[0]!, expected);
  }
});

Deno.test("complaints() knows what is no version", () => {
  for (
    const version of ["1.2", "v1.2.0", "1.02.0", "1.2.0+build", "", "1.2.0-"]
  ) {
    const changelog = CHANGELOG.replace("[1.2.0]", `[${version || "none"}]`);
    const found = complaints({ tag: `v${version}`, version, changelog });
    assertStringIncludes(found[0]!, `"${version}" is no version`);
  }
});

Deno.test("the version in deno.json is the one that comes next, and CHANGELOG.md is ready for it", () => {
  const { version } = JSON.parse(read("deno.json"));
  const tag = `v${version}`;
  const changelog = read("CHANGELOG.md");
  const unreleased = sections(changelog).find(({ name }) =>
    name === "Unreleased"
  );
  // What the chapter on releases in CONTRIBUTING.md has people do.
  const next = unreleased === undefined || unreleased.text === ""
    ? changelog
    : changelog.replace("## [Unreleased]", `## [${version}] - 2026-01-31`);
  assertEquals(complaints({ tag, version, changelog: next }), []);
  const names = sections(next).map(({ name }) => name);
  assertEquals(names, [...new Set(names)]);
});

/** What this reads of `deno doc --json`. */
interface Documentation {
  nodes: Record<string, { symbols: { name: string }[] }>;
}

Deno.test("what CHANGELOG.md calls experimental is there", async () => {
  const [, table] = read("CHANGELOG.md").match(
    /^### Experimental\n([^]+?)^##/m,
  )!;
  const names = [...table!.matchAll(/`([A-Za-z]\w+)(?:\.\w+)?(?:\(\))?`/g)]
    .map((match) => match[1]!);
  assertGreater(names.length, 5);

  const { exports } = JSON.parse(read("deno.json"));
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...Object.values<string>(exports)],
    cwd: CHECKOUT,
  }).output();
  const { nodes }: Documentation = JSON.parse(new TextDecoder().decode(stdout));
  const known = new Set(
    Object.values(nodes).flatMap(({ symbols }) =>
      symbols.map(({ name }) => name)
    ),
  );
  known.add("inspect"); // A function of the reactor.
  assertEquals(names.filter((name) => !known.has(name)), []);
});

Deno.test("publish.yml asks before it publishes, runs the gate in between, and may attest", async () => {
  const workflow = read(".github/workflows/publish.yml");
  assertMatch(workflow, /^ {4}tags: \["v\*"\]$/m);
  assertMatch(workflow, /^ {6}id-token: write$/m);
  assertMatch(workflow, /^ {4}uses: \.\/\.github\/workflows\/ci\.yml$/m);
  assertMatch(read(".github/workflows/ci.yml"), /^ {2}workflow_call:/m);
  assertEquals(workflow.match(/needs: \w+/g), [
    "needs: agreement",
    "needs: gate",
  ]);
  const [, command] = workflow.match(
    /run: deno (run .+ \.ci\/check_release\.ts) "\$GITHUB_REF_NAME"$/m,
  )!;

  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/.ci`);
    await Deno.copyFile(
      new URL(".ci/check_release.ts", CHECKOUT),
      `${folder}/.ci/check_release.ts`,
    );
    await Deno.writeTextFile(`${folder}/deno.json`, '{ "version": "1.2.0" }');
    await Deno.writeTextFile(`${folder}/CHANGELOG.md`, CHANGELOG);
    const ask = (tag: string) =>
      new Deno.Command(Deno.execPath(), {
        args: [...command!.split(" "), tag],
        cwd: folder,
        env: { NO_COLOR: "1", DENO_NO_PROMPT: "1" },
      }).output();

    const right = await ask("v1.2.0");
    const decoder = new TextDecoder();
    assert(right.success, decoder.decode(right.stderr));
    const wrong = await ask("v1.3.0");
    assertEquals(wrong.code, 1);
    assertStringIncludes(decoder.decode(wrong.stderr), 'tag must be "v1.2.0"');
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
