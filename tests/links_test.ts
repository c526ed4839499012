/**
 * That the links of all documents lead somewhere: to a file or folder that
 * there is, and to a heading in it. Pages elsewhere are not asked for.
 */

import { assertEquals, assertGreater } from "@std/assert";
import GithubSlugger from "npm:github-slugger@^2";
import { walkTokens } from "npm:marked@^18";
import { documentsIn, parse, root } from "./fences.ts";

const documents = [
  ...[...Deno.readDirSync(root)].map(({ name }) => name)
    .filter((name) => name.endsWith(".md")),
  ...documentsIn("examples"),
  ...documentsIn("tests"),
].sort();

/** The anchors of a document, as GitHub makes them of its headings. */
function anchorsOf(document: string): Set<string> {
  const slugger = new GithubSlugger();
  const anchors = new Set<string>();
  walkTokens(parse(document), (token) => {
    if (token.type === "heading") anchors.add(slugger.slug(token.text));
  });
  return anchors;
}

/** The addresses of the links and pictures of a document. */
function addressesIn(document: string): string[] {
  const addresses: string[] = [];
  walkTokens(parse(document), (token) => {
    if (token.type === "link" || token.type === "image") {
      addresses.push(token.href);
    }
  });
  return addresses;
}

/** Why an address leads nowhere; undefined if it does not. */
function fault(address: string, document: string): string | undefined {
  if (/^[a-z]+:/.test(address)) {
    return address.startsWith("https:") ? undefined : "it is not https";
  }
  const url = new URL(address, `file://${root}/${document}`);
  const path = decodeURIComponent(url.pathname);
  if (!path.startsWith(`${root}/`)) return "it leaves the project";
  try {
    if (Deno.statSync(path).isDirectory) return undefined;
  } catch {
    return "there is no such file";
  }
  const anchor = decodeURIComponent(url.hash.slice(1));
  if (anchor === "" || !path.endsWith(".md")) return undefined;
  const anchors = anchorsOf(path.slice(root.length + 1));
  return anchors.has(anchor) ? undefined : "there is no such heading";
}

for (const document of documents) {
  Deno.test(`the links of ${document} lead somewhere`, () => {
    const faults = addressesIn(document).flatMap((address) => {
      const reason = fault(address, document);
      return reason === undefined ? [] : [`${address}: ${reason}`];
    });
    assertEquals(faults, []);
  });
}

Deno.test("documents have links to follow, with and without an anchor", () => {
  const addresses = documents.flatMap(addressesIn);
  const relative = addresses.filter((address) => !/^[a-z]+:/.test(address));
  assertGreater(relative.length, 50);
  assertGreater(relative.filter((address) => address.includes("#")).length, 2);
  assertEquals(fault("nowhere.md", "README.md"), "there is no such file");
  assertEquals(fault("#nowhere", "README.md"), "there is no such heading");
  assertEquals(fault("../", "README.md"), "it leaves the project");
});
