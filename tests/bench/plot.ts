/**
 * Plots lines as SVG, both axes logarithmic.
 *
 * @module
 */

/** A point, with the lowest and the highest of the rounds. */
export interface Point {
  /** Where it stands on the axis below. */
  readonly x: number;
  /** Where it stands on the axis at the left. */
  readonly median: number;
  /** The lower end of its bar. */
  readonly low: number;
  /** The upper end of its bar. */
  readonly high: number;
}

/** A line with a name. */
export interface Line {
  /** What it is of. */
  readonly name: string;
  /** From left to right. */
  readonly points: readonly Point[];
}

/** What stands around the lines. */
export interface PlotOptions {
  /** Above them. */
  readonly title: string;
  /** Below the axis. */
  readonly xTitle: string;
  /** Above the axis at the left. */
  readonly yTitle: string;
}

const WIDTH = 860;
const HEIGHT = 440;
const LEFT = 70;
const RIGHT = 650;
const TOP = 60;
const BOTTOM = 390;

/** Names at the ends of lines keep this distance. */
const LEADING = 17;

/** Told apart by people who see few colours, too (Okabe and Ito). */
const COLOURS = [
  "#000000",
  "#d55e00",
  "#0072b2",
  "#009e73",
  "#cc79a7",
  "#e69f00",
  "#56b4e9",
  "#7a7a7a",
  "#8c6d1f",
];

/** Draws lines, the first one bold. */
export function plot(lines: readonly Line[], options: PlotOptions): string {
  const points = lines.flatMap((line) => line.points);
  const x = new Axis(points.map((point) => point.x), LEFT, RIGHT - 20, false);
  const y = new Axis(
    points.flatMap(({ low, high }) => [low, high]),
    BOTTOM,
    TOP,
    true,
  );
  const labels = spread(
    lines.map((line) => y.place(line.points.at(-1)!.median)),
  );
  return `${
    [
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
      `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
      text(LEFT, 22, options.title, 'font-size="15" font-weight="bold"'),
      text(LEFT, 44, options.yTitle, 'fill="#555"'),
      text(
        (LEFT + RIGHT) / 2,
        HEIGHT - 12,
        options.xTitle,
        'text-anchor="middle" fill="#555"',
      ),
      ...y.ticks.flatMap((value) => [
        `<path d="M${LEFT} ${y.place(value)}H${RIGHT}" stroke="#ddd"/>`,
        text(
          LEFT - 8,
          y.place(value) + 4,
          short(value),
          'text-anchor="end" fill="#555"',
        ),
      ]),
      ...[...new Set(points.map((point) => point.x))].flatMap((value) => [
        `<path d="M${x.place(value)} ${BOTTOM}v5" stroke="#555"/>`,
        text(
          x.place(value),
          BOTTOM + 20,
          short(value),
          'text-anchor="middle" fill="#555"',
        ),
      ]),
      `<path d="M${LEFT} ${BOTTOM}H${RIGHT}" stroke="#555"/>`,
      ...lines.flatMap((line, i) => draw(line, i, labels[i]!)),
      "</svg>",
    ].join("\n")
  }\n`;

  function draw({ name, points }: Line, i: number, label: number): string[] {
    const colour = COLOURS[i % COLOURS.length];
    const width = i === 0 ? 3 : 1.5;
    const path = points.map((point) =>
      `${x.place(point.x)} ${y.place(point.median)}`
    ).join("L");
    const last = points.at(-1)!;
    return [
      `<g stroke="${colour}" fill="none" stroke-width="${width}">`,
      `<path d="M${path}"/>`,
      ...points.map(({ x: at, low, high }) =>
        `<path d="M${x.place(at)} ${y.place(low)}V${y.place(high)}"/>`
      ),
      `<path d="M${x.place(last.x)} ${y.place(last.median)}L${
        RIGHT + 4
      } ${label}" stroke-width="0.7" stroke-dasharray="2 2"/>`,
      "</g>",
      ...points.map((point) =>
        `<circle cx="${x.place(point.x)}" cy="${y.place(point.median)}" r="${
          i === 0 ? 4 : 3
        }" fill="${colour}"/>`
      ),
      text(
        RIGHT + 8,
        label + 4,
        name,
        `fill="${colour}"${i === 0 ? ' font-weight="bold"' : ""}`,
      ),
    ];
  }
}

/** A logarithmic scale between two places. */
class Axis {
  readonly #low: number;
  readonly #high: number;
  readonly #from: number;
  readonly #to: number;
  /** The values with a name: 1, 2 and 5 times the powers of ten. */
  readonly ticks: readonly number[];

  constructor(values: number[], from: number, to: number, round: boolean) {
    const ticks = steps(Math.min(...values), Math.max(...values));
    this.ticks = ticks;
    this.#low = Math.log(round ? ticks[0]! : Math.min(...values));
    this.#high = Math.log(round ? ticks.at(-1)! : Math.max(...values));
    this.#from = from;
    this.#to = to;
  }

  place(value: number): number {
    const part = this.#high === this.#low
      ? 0.5
      : (Math.log(value) - this.#low) / (this.#high - this.#low);
    return Math.round((this.#from + part * (this.#to - this.#from)) * 10) / 10;
  }
}

/** From the step at or below to the step at or above. */
function steps(low: number, high: number): number[] {
  const all: number[] = [];
  for (let power = -3; power < 12; power++) {
    for (const digit of [1, 2, 5]) all.push(digit * 10 ** power);
  }
  const first = all.findLastIndex((step) => step <= low);
  const last = all.findIndex((step) => step >= high);
  return all.slice(first, last + 1);
}

/** Moves labels apart that stand too near to each other. */
function spread(places: readonly number[]): number[] {
  const order = places.map((_, i) => i).sort((a, b) => places[a]! - places[b]!);
  const result = [...places];
  let room = TOP;
  for (const i of order) {
    result[i] = Math.max(result[i]!, room);
    room = result[i]! + LEADING;
  }
  room = BOTTOM;
  for (const i of order.reverse()) {
    result[i] = Math.min(result[i]!, room);
    room = result[i]! - LEADING;
  }
  return result;
}

function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`;
  if (value >= 1000) return `${value / 1000}k`;
  return String(value);
}

function text(
  x: number,
  y: number,
  content: string,
  attributes: string,
): string {
  const escaped = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x}" y="${y}" ${attributes}>${escaped}</text>`;
}
