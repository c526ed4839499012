/**
 * Tables for a terminal: aligned columns, no wider than they may be.
 *
 * @module
 */

/** A column of a table. */
export interface Column {
  /** What stands above it. If nothing does above any, that line is left out. */
  readonly header: string;
  /** Whether its cells end at the same place, as numbers do. */
  readonly right?: boolean;
  /** Whether its cells may be cut. */
  readonly flexible?: boolean;
}

/** Between two columns. */
const GAP = "  ";

/** Where nothing more fits. */
const CUT = "…";

/** To this width a flexible column can be cut. */
const LEAST = 4;

/**
 * What a terminal would obey, or what would upset the columns: controls, marks
 * of direction, lone surrogates.
 */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** What takes two columns: the scripts of East Asia, full-width forms, emoji. */
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u;

/** What takes none: it stands above or below what was before. */
const NARROW = /\p{M}/u;

/** Far more than fits on a line, and no work for a label of megabytes. */
const LONGEST = 1000;

/** A text as it can be printed, on one line. */
export function printable(text: string): string {
  return text.slice(0, LONGEST).replace(
    INVISIBLE,
    (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`,
  );
}

/** How many columns of a terminal a printable text takes. */
export function widthOf(text: string): number {
  let width = 0;
  for (const c of text) width += widthOfOne(c);
  return width;
}

function widthOfOne(c: string): number {
  if (c < "\u0300") return 1; // As nearly all.
  return NARROW.test(c) ? 0 : WIDE.test(c) ? 2 : 1;
}

/**
 * Renders rows.
 *
 * @param rows A printable text for each column.
 * @param width How many columns of a terminal it may take, as far as the
 * flexible columns allow that.
 * @returns Lines, each with a margin of two, and nothing behind the last cell.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): string[] {
  const headers = columns.map(({ header }) => header);
  const lines = headers.some((header) => header !== "")
    ? [headers, ...rows]
    : rows;
  const widths = fitted(columns, lines, width - columns.length * GAP.length);
  return lines.map((cells) =>
    cells.map((cell, i) =>
      GAP + aligned(cutTo(printable(cell), widths[i]!), widths[i]!, columns[i]!)
    ).join("").trimEnd()
  );
}

/** The widths of the columns: as wide as their cells, if there is room. */
function fitted(
  columns: readonly Column[],
  lines: readonly (readonly string[])[],
  room: number,
): number[] {
  const widths = columns.map((_, i) =>
    Math.max(...lines.map((cells) => widthOf(printable(cells[i]!))))
  );
  let excess = widths.reduce((sum, width) => sum + width, 0) - room;
  while (excess > 0) {
    // The widest gives way first.
    const widest = Math.max(
      ...widths.filter((_, i) => columns[i]!.flexible),
    );
    if (!(widest > LEAST)) break;
    widths[
      widths.findIndex((width, i) => width === widest && columns[i]!.flexible)
    ]!--;
    excess--;
  }
  return widths;
}

/** A printable text that takes no more than so many columns. */
export function cutTo(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let result = "";
  let left = width - 1;
  for (const c of text) {
    left -= widthOfOne(c);
    if (left < 0) break;
    result += c;
  }
  return result + CUT;
}

function aligned(text: string, width: number, { right }: Column): string {
  const padding = " ".repeat(width - widthOf(text));
  return right ? padding + text : text + padding;
}
