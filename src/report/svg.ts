// The picture in the README: three figures that matter, on a panel of its own that is right on a light and on a dark page.

import { barLines, barsOption, barsHeight } from "./charts/bars";
import { escapeHtml, font, type ChartOption, type Frame } from "./charts/drawing";
import { coloursOf, light } from "./charts/palette";
import type { Facet } from "./facets";
import type { BenchReport, Row } from "./model";
import { medians } from "./numbers";

interface Chart {
  setOption(option: ChartOption): void;
  renderToSVGString(): string;
  dispose(): void;
}
interface Echarts {
  init(element: null, theme: null, options: { renderer: "svg"; ssr: true; width: number; height: number }): Chart;
}

const width = 980;
const margin = 22;
const headRoom = 92;
const footRoom = 16;
const gap = 18;

/** Which row each part shows, and what it says above it. */
const parts = [
  { group: "swap", name: /^random touch, 1 thread, huge pages off/, title: "Swap: a random page" },
  { group: "io", name: /^4 KiB random read, depth 1, 1 job/, title: "Activated file: 4 KiB random read" },
  { group: "activate", name: /^swapon of 1 GiB, 1 extent$/, title: "Activation: swapon, a page" },
] as const;

export function renderSvg(report: BenchReport): string {
  const shown = parts.flatMap(({ group, name, title }) => {
    const row = report.rows.find((candidate) => candidate.group === group && name.test(candidate.name));
    return row ? [{ title, row }] : [];
  });
  const across = Math.floor((width - 2 * margin - gap * (shown.length - 1)) / Math.max(1, shown.length));
  const drawn = shown.map(({ title, row }) => draw(report, title, row, across));
  const height = headRoom + Math.max(0, ...drawn.map((part) => part.height)) + footRoom;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${font.replaceAll('"', "'")}" role="img">`,
    `<title>${escapeHtml(shown.map(({ title, row }) => `${title}: ${row.name}`).join("; "))}</title>`,
    `<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="14" fill="${light.panel}" stroke="${light.line}"/>`,
    text(margin, 36, 19, light.text, "swapfs beside everything else", 700),
    text(margin, 56, 11.5, light.soft, machineText(report)),
    ...drawn.map(({ title, svg }, index) => {
      const x = margin + index * (across + gap);
      return `${text(x, headRoom - 10, 13, light.text, title, 700)}\n<g transform="translate(${x} ${headRoom})">${svg}</g>`;
    }),
    "</svg>",
  ].join("\n")}\n`;
}

function text(x: number, y: number, size: number, fill: string, words: string, weight = 400): string {
  return `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${fill}">${escapeHtml(words)}</text>`;
}

function machineText({ identity, device, rounds }: BenchReport): string {
  return `${identity.date}, commit ${identity.commit}, Linux ${identity.kernel}, ${identity.cpus} × ${identity.cpu}, on ${device}; ${medians(rounds)}, with their spread`;
}

function draw(report: BenchReport, title: string, row: Row, across: number): { title: string; height: number; svg: string } {
  const facet: Facet = { title, unit: row.unit, better: row.better, rows: [{ label: row.name, row }] };
  const frame: Frame = { theme: light, contenders: report.contenders, colours: coloursOf(report.contenders, light), hidden: new Set(), width: across };
  const height = barsHeight(facet, frame);
  return { title, height, svg: barLines(facet, frame).length === 0 ? "" : inert(barsOption(facet, frame), across, height) };
}

function inert(option: ChartOption, across: number, height: number): string {
  // The whole of echarts takes a quarter of a second to load: only here, and without its types, which know no DOM-less drawing.
  const { init } = require("echarts") as Echarts;
  const chart = init(null, null, { renderer: "svg", ssr: true, width: across, height });
  try {
    chart.setOption(option);
    return withoutNumbers(chart.renderToSVGString());
  } finally {
    chart.dispose();
  }
}

/** The same report gives the same text: echarts counts its classes on, from one picture to the next. They and what else is for a mouse go. */
function withoutNumbers(svg: string): string {
  return svg.replace(/<style[\s\S]*?<\/style>\n?/g, "").replace(/ (class|pointer-events|ecmeta_\w+|xml:space|xmlns:xlink|version|baseProfile)="[^"]*"/g, "")
    .replace(/<\/(path|rect)>/g, "").replace(/<(path|rect)([^>]*[^/])>/g, "<$1$2/>");
}
