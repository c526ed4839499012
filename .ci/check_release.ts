/**
 * Checks that a tag, the version in deno.json and the newest section of
 * CHANGELOG.md agree. A version on JSR can't be changed once it is published.
 *
 *     deno run --allow-read=deno.json,CHANGELOG.md .ci/check_release.ts v0.1.0
 *
 * @module
 */

/** What has to agree. */
export interface Release {
  /** The tag, such as "v0.1.0". */
  tag: string;
  /** The version in deno.json. */
  version: string;
  /** The text of CHANGELOG.md. */
  changelog: string;
}

/** A section of a changelog, such as that under "## [0.1.0] - 2026-01-31". */
export interface Section {
  /** What stands in the brackets. */
  name: string;
  /** What stands behind them; empty if nothing does. */
  date: string;
  /** What was written about it. */
  text: string;
}

/** SemVer 2.0.0, without build metadata, which JSR does not tell apart. */
const VERSION =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$/;

/** The sections of a changelog that are about a version, the newest first. */
export function sections(changelog: string): Section[] {
  const found: Section[] = [];
  for (const section of changelog.split(/^## /m).slice(1)) {
    const [heading = "", ...lines] = section.split("\n");
    const match = heading.match(/^\[(.+?)\](?: - (.+))?$/);
    if (match === null) continue; // An introduction, or the like.
    const [, name = "", date = ""] = match;
    found.push({ name, date, text: lines.join("\n").trim() });
  }
  return found;
}

/** Says what is wrong with a release; nothing if it can be published. */
export function complaints({ tag, version, changelog }: Release): string[] {
  const found: string[] = [];
  if (!VERSION.test(version)) {
    found.push(`deno.json: "${version}" is no version of SemVer`);
  }
  if (tag !== `v${version}`) {
    found.push(
      `The tag is "${tag}", but deno.json's version is "${version}": the tag must be "v${version}"`,
    );
  }
  const all = sections(changelog);
  const unreleased = all.find(({ name }) => name === "Unreleased");
  if (unreleased !== undefined && unreleased.text !== "") {
    found.push(
      `CHANGELOG.md: what stands under "Unreleased" would be published, and belongs under "${version}"`,
    );
  }
  const newest = all.find((section) => section !== unreleased);
  if (newest?.name !== version) {
    found.push(
      `CHANGELOG.md: the newest section is "${
        newest?.name ?? "none"
      }", and must be "${version}"`,
    );
    return found;
  }
  if (!isDate(newest.date)) {
    found.push(
      `CHANGELOG.md: "${newest.date}" is no date for "${version}": it must be like 2026-01-31`,
    );
  }
  if (newest.text === "") {
    found.push(`CHANGELOG.md: the section "${version}" is empty`);
  }
  return found;
}

function isDate(text: string): boolean {
  const date = new Date(`${text}T00:00Z`);
  return !Number.isNaN(date.getTime()) &&
    date.toISOString().slice(0, 10) === text;
}

if (import.meta.main) {
  const [tag = ""] = Deno.args;
  const { version } = JSON.parse(Deno.readTextFileSync("deno.json"));
  const changelog = Deno.readTextFileSync("CHANGELOG.md");
  const found = complaints({ tag, version, changelog });
  for (const complaint of found) console.error(complaint);
  if (found.length > 0) Deno.exit(1);
  console.log(`${tag}, deno.json and CHANGELOG.md agree`);
}
