// Activation: microseconds a page against the number of extents; a line that stays level is what is wanted.

import { activationShape } from "../facets";
import type { Row } from "../model";
import { compact, spread } from "../numbers";
import type { Summary } from "../stats";
import { nameOf } from "../verdict";
import { base, escapeHtml, isShown, valueAxis, whisker, type ChartOption, type Frame, type RenderApi } from "./drawing";

interface Point {
  readonly extents: number;
  readonly summary: Summary;
}

/** The rows of each file size, in their order. */
export function bySize(rows: readonly Row[]): Map<string, Row[]> {
  const sizes = new Map<string, Row[]>();
  for (const row of rows) {
    const shape = activationShape(row);
    if (shape) sizes.set(shape.size, [...(sizes.get(shape.size) ?? []), row]);
  }
  return sizes;
}

/** `all` gives the scale: pictures beside each other can be compared. */
export function activationOption(rows: readonly Row[], all: readonly Row[], frame: Frame): ChartOption {
  const { theme } = frame;
  const counts = [...new Set(rows.map((row) => activationShape(row)!.extents))].sort((a, b) => a - b);
  const ids = frame.contenders.map(({ id }) => id).filter((id) => isShown(frame, id) && pointsOf(rows, id).length > 0);
  const values = all.flatMap(({ cells }) => cells.flatMap(({ summary }) => (summary ? [summary.min, summary.max] : [])));
  return {
    ...base(frame),
    grid: { left: 56, right: 66, top: 14, bottom: 46 },
    xAxis: {
      type: "category", data: counts.map((count) => count.toLocaleString("en-US")), name: "extents", nameLocation: "middle", nameGap: 26,
      nameTextStyle: { color: theme.soft, fontSize: 11 }, axisLabel: { color: theme.soft, fontSize: 10 },
      axisLine: { lineStyle: { color: theme.line } }, axisTick: { show: false },
    },
    yAxis: { ...valueAxis(values, frame, "us a page"), nameGap: 42 },
    series: ids.flatMap((id) => lineWith(id, pointsOf(rows, id), counts, frame)),
  };
}

function pointsOf(rows: readonly Row[], id: string): Point[] {
  return rows.flatMap((row) => {
    const summary = row.cells.find(({ contender }) => contender === id)?.summary;
    return summary ? [{ extents: activationShape(row)!.extents, summary }] : [];
  });
}

function lineWith(id: string, points: readonly Point[], counts: readonly number[], frame: Frame): ChartOption[] {
  const colour = frame.colours.get(id);
  const name = nameOf(frame, id);
  const ours = frame.contenders.some((contender) => contender.id === id && contender.ours);
  const at = (point: Point): number => counts.indexOf(point.extents);
  return [{
    type: "line", name, data: points.map((point) => [at(point), point.summary.median]), symbol: "circle", symbolSize: ours ? 9 : 7,
    lineStyle: { color: colour, width: ours ? 3 : 1.8 }, itemStyle: { color: colour },
    label: { show: true, position: ours ? "bottom" : "top", color: colour, fontSize: 11, fontWeight: ours ? 700 : 400, formatter: ({ value }: { value: number[] }) => compact(value[1]!) },
    endLabel: { show: true, formatter: name, color: colour, fontSize: 11, fontWeight: ours ? 700 : 400, width: 56, overflow: "break", distance: 9 },
    tooltip: { formatter: ({ dataIndex }: { dataIndex: number }) => tip(name, points[dataIndex]!) },
  }, {
    type: "custom", silent: true, tooltip: { show: false }, data: points.map((point) => [at(point), point.summary.min, point.summary.max]), encode: { x: 0, y: [1, 2] },
    renderItem: (_: unknown, api: RenderApi) => {
      const [from, to] = [api.coord([api.value(0), api.value(1)]), api.coord([api.value(0), api.value(2)])];
      return api.value(1) === api.value(2) ? undefined : whisker(from, to, frame.theme);
    },
  }];
}

function tip(name: string, { extents, summary }: Point): string {
  return `<b>${escapeHtml(name)}</b><br>${extents.toLocaleString("en-US")} extents: ${spread(summary)} us a page`;
}
