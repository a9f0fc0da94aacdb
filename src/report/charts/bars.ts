// Bars with their spread: one line for each contender, under a heading for each row, all on one scale.

import { boundText } from "../bound";
import type { Facet } from "../facets";
import type { Cell, Row } from "../model";
import { compact, factorText, short, spread } from "../numbers";
import { nameOf } from "../verdict";
import { base, escapeHtml, isOurs, isShown, valueAxis, whisker, type ChartOption, type Frame, type RenderApi } from "./drawing";

/** A heading without words keeps two rows apart. */
type Line = { readonly heading: string } | { readonly row: Row; readonly cell: Cell };

const pitch = 16;
const below = 46;
const above = 4;

export function barLines(facet: Facet, frame: Frame): Line[] {
  const parts = facet.rows.map(({ label, row }): Line[] => {
    const cells = row.cells.filter((cell) => isShown(frame, cell.contender));
    return cells.length === 0 ? [] : [{ heading: label }, ...cells.map((cell) => ({ row, cell }))];
  }).filter((part) => part.length > 0);
  return parts.flatMap((part, index) => (index === 0 ? part : [{ heading: "" }, ...part]));
}

export function barsHeight(facet: Facet, frame: Frame): number {
  return barLines(facet, frame).length * pitch + above + below;
}

export function barsOption(facet: Facet, frame: Frame): ChartOption {
  const lines = barLines(facet, frame);
  const values = lines.flatMap((line) => ("cell" in line && line.cell.summary ? [line.cell.summary.min, line.cell.summary.max] : []));
  const left = frame.width < 420 ? 142 : 158;
  return {
    ...base(frame),
    grid: { left, right: 62, top: above, bottom: below, containLabel: false },
    xAxis: valueAxis(values, frame, `${facet.unit === "" ? "count" : facet.unit}, ${facet.better} is better`),
    yAxis: {
      type: "category", inverse: true, data: lines.map((_, index) => String(index)),
      axisLine: { show: false }, axisTick: { show: false }, axisLabel: labels(lines, frame, left),
    },
    series: [bars(lines, frame), marks(lines, frame)],
  };
}

function labels(lines: readonly Line[], frame: Frame, left: number): ChartOption {
  const { theme } = frame;
  const fontSize = frame.width < 420 ? 10 : 11;
  return {
    interval: 0, margin: 8, width: left - 10, overflow: "truncate",
    formatter: (key: string): string => {
      const line = lines[Number(key)];
      if (!line || "heading" in line) return "";
      return `{${isOurs(frame, line.cell.contender) ? "ours" : "peer"}|${nameOf(frame, line.cell.contender)}}`;
    },
    rich: { ours: { color: theme.text, fontWeight: 700, fontSize }, peer: { color: theme.soft, fontSize } },
  };
}

function bars(lines: readonly Line[], frame: Frame): ChartOption {
  return {
    type: "bar", barWidth: 11, cursor: "default",
    tooltip: { formatter: ({ dataIndex }: { dataIndex: number }) => tipFor(lines[dataIndex]!, frame) },
    data: lines.map((line) => ("heading" in line || !line.cell.summary ? { value: "-" }
      : { value: line.cell.summary.median, itemStyle: { color: frame.colours.get(line.cell.contender), borderRadius: [0, 3, 3, 0] } })),
  };
}

/** Whiskers, the value behind them, headings, and a word where there is no bar. */
function marks(lines: readonly Line[], frame: Frame): ChartOption {
  return {
    type: "custom", silent: true, z: 5, clip: false, tooltip: { show: false }, encode: { x: [1, 2], y: 0 },
    data: lines.map((line, index) => ("cell" in line && line.cell.summary ? [index, line.cell.summary.min, line.cell.summary.max] : [index, NaN, NaN])),
    renderItem: ({ dataIndex, coordSys }: { dataIndex: number; coordSys: { x: number } }, api: RenderApi) =>
      markFor(lines[dataIndex]!, dataIndex, coordSys.x, frame, api),
  };
}

function markFor(line: Line, index: number, left: number, frame: Frame, api: RenderApi): ChartOption {
  const { theme } = frame;
  const center = api.coord([1, index])[1];
  if ("heading" in line) return words(line.heading, 2, center + 1, theme.text, "bold 12px");
  const { summary } = line.cell;
  if (!summary) return words("✕ refused", left + 4, center, theme.bad, "11px");
  const [from, to] = [api.coord([summary.min, index])[0], api.coord([summary.max, index])[0]];
  const value = words(compact(summary.median), to + 6, center, theme.text, "11px");
  return { type: "group", children: summary.min === summary.max ? [value] : [whisker(from, to, center, theme), value] };
}

function words(text: string, x: number, y: number, fill: string, style: string): ChartOption {
  return { type: "text", silent: true, x, y, style: { text, fill, verticalAlign: "middle", font: `${style} system-ui, 'DejaVu Sans', sans-serif` } };
}

function tipFor(line: Line, frame: Frame): string {
  if ("heading" in line) return "";
  const { row, cell } = line;
  const name = `<b>${escapeHtml(nameOf(frame, cell.contender))}</b><br>${escapeHtml(row.name)}<br>`;
  if (!cell.summary) return `${name}refused: ${escapeHtml(cell.refused ?? "")}`;
  const samples = cell.summary.samples.length;
  const ratios = row.ratios.filter(({ contender, against }) => contender === cell.contender || against === cell.contender).map((ratio) =>
    `<br>${escapeHtml(nameOf(frame, ratio.contender))} / ${escapeHtml(nameOf(frame, ratio.against))}: ${short(ratio.summary.median)}` +
    ` (${factorText(ratio.summary.median, row.better)})${ratio.bound === undefined ? "" : `, ${escapeHtml(boundText(ratio.bound))}: ${ratio.met ? "met" : "MISSED"}`}`);
  return `${name}${spread(cell.summary)} ${escapeHtml(row.unit)}, ${samples} sample${samples === 1 ? "" : "s"}${ratios.join("")}`;
}
