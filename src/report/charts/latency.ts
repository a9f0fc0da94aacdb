// Latency curves: every nine is as wide as the one before, so that the tail is seen.

import type { Row } from "../model";
import { short } from "../numbers";
import { nameOf } from "../verdict";
import { base, escapeHtml, isOurs, isShown, valueAxis, type ChartOption, type Frame } from "./drawing";

type Point = readonly [nines: number, us: number, percentile: number];

export function hasLatency(row: Row): boolean {
  return row.cells.some(({ latency }) => latency !== undefined && latency.points.length > 0);
}

/** 90 is one nine, 99 two; 100 has no end and is put where `most` nines are. */
export function ninesOf(percentile: number, most: number): number {
  return percentile >= 100 ? most : Math.min(most, Math.max(0, -Math.log10(1 - percentile / 100)));
}

export function latencyHeight({ width }: Frame): number {
  return width < 560 ? 320 : 420;
}

export function latencyOption(row: Row, frame: Frame): ChartOption {
  const most = 0.5 + Math.max(1, ...row.cells.flatMap(({ latency }) => latency?.points ?? [])
    .map(([percentile]) => (percentile < 100 ? ninesOf(percentile, 9) : 0)));
  const curves = row.cells.filter(({ contender, latency }) => latency && isShown(frame, contender)).map(({ contender, latency }) => ({
    contender, points: latency!.points.map(([percentile, us]): Point => [ninesOf(percentile, most), us, percentile]),
  }));
  const { theme } = frame;
  const values = curves.flatMap(({ points }) => points.map(([, us]) => us));
  return {
    ...base(frame),
    grid: { left: 52, right: frame.width < 560 ? 16 : 158, top: 14, bottom: 48 },
    xAxis: {
      type: "value", min: 0, max: most, interval: 1, name: "percentile of requests", nameLocation: "middle", nameGap: 28,
      nameTextStyle: { color: theme.soft, fontSize: 11 },
      axisLabel: { color: theme.soft, fontSize: 10, formatter: percentileText, showMaxLabel: false }, splitLine: { lineStyle: { color: theme.line } },
      axisLine: { show: false }, axisTick: { show: false },
    },
    yAxis: { ...valueAxis(values, frame, "us, less is better"), nameGap: 38 },
    series: curves.map(({ contender, points }) => curve(contender, points, frame)),
  };
}

function percentileText(nines: number): string {
  return nines === 0 ? "0 %" : nines === 1 ? "90 %" : `99${nines > 2 ? `.${"9".repeat(nines - 2)}` : ""} %`;
}

function curve(contender: string, points: readonly Point[], frame: Frame): ChartOption {
  const colour = frame.colours.get(contender);
  const ours = isOurs(frame, contender);
  const name = nameOf(frame, contender);
  return {
    type: "line", name, data: points, encode: { x: 0, y: 1 }, symbol: "circle", symbolSize: 5, showSymbol: true,
    lineStyle: { color: colour, width: ours ? 3 : 1.6 }, itemStyle: { color: colour },
    endLabel: { show: frame.width >= 560, formatter: name, color: colour, fontSize: 11, fontWeight: ours ? 700 : 400, lineHeight: 15, distance: 6 },
    labelLayout: { moveOverlap: "shiftY" },
    tooltip: { formatter: ({ value }: { value: Point }) => `<b>${escapeHtml(name)}</b><br>${value[2]} %: ${short(value[1])} us` },
  };
}
