// The ablation as a heat map of numbers: each step alone on top of the bare path.

import type { Ablation, AblationStep } from "../model";
import { short, spread } from "../numbers";
import { base, escapeHtml, type ChartOption, type Frame } from "./drawing";

const heatColumns = ["us a page added", "share of the whole", "times the bare path"] as const;

/** What a step adds, of the write with everything on (of its own, where that is longer or was not measured): 0 to 1. */
export function shareOf({ added, withStep }: AblationStep, { whole }: Pick<Ablation, "whole">): number {
  return Math.max(0, added.median / Math.max(withStep.median, whole?.median ?? 0));
}

function numbersOf(ablation: Ablation, step: AblationStep): readonly [number, number, number] {
  return [step.added.median, shareOf(step, ablation), step.withStep.median / ablation.base.median];
}

export function heatHeight({ steps }: Ablation): number {
  return steps.length * 34 + 54;
}

export function heatOption(ablation: Ablation, frame: Frame): ChartOption {
  const { theme, width } = frame;
  const rows = ablation.steps.map((step) => numbersOf(ablation, step));
  // Steps differ by powers of ten: colours go by the logarithm, from the column's least to its most. A share is one already.
  const [added, share, times] = [0, 1, 2].map((column) => rows.map((row) => row[column]!)) as [number[], number[], number[]];
  const ranks = [ranked(added), share, ranked(times)];
  const texts = rows.map((row) => [signed(row[0]), `${(row[1] * 100).toFixed(row[1] < 0.1 ? 1 : 0)} %`, `${short(row[2])}×`]);
  const left = width < 480 ? 150 : 210;
  return {
    ...base(frame),
    grid: { left, right: 8, top: 46, bottom: 8 },
    xAxis: {
      type: "category", position: "top", data: heatColumns, axisLine: { show: false }, axisTick: { show: false },
      axisLabel: { color: theme.soft, fontSize: width < 480 ? 10 : 11, interval: 0, width: (width - left - 8) / 3 - 8, overflow: "break", lineHeight: 12 },
    },
    yAxis: {
      type: "category", inverse: true, data: ablation.steps.map(({ name }) => name), axisLine: { show: false }, axisTick: { show: false },
      axisLabel: { color: theme.text, fontSize: 12, width: left - 10, overflow: "break", lineHeight: 13, interval: 0 },
    },
    visualMap: { show: false, min: 0, max: 1, dimension: 2, inRange: { color: theme.heat } },
    series: [{
      type: "heatmap", itemStyle: { borderColor: theme.panel, borderWidth: 3, borderRadius: 7 },
      data: rows.flatMap((_, step) => heatColumns.map((__, column) => ({
        value: [column, step, ranks[column]![step]!],
        label: { show: true, formatter: texts[step]![column]!, fontSize: 13, fontWeight: 600, color: ranks[column]![step]! > 0.8 ? "#ffffff" : theme.text },
      }))),
      tooltip: { formatter: ({ value }: { value: number[] }) => tip(ablation.steps[value[1]!]!) },
    }],
  };
}

function ranked(values: readonly number[]): number[] {
  const logs = values.map((value) => Math.log10(Math.max(value, 0.001)));
  const [least, most] = [Math.min(...logs), Math.max(...logs)];
  return logs.map((value) => (most === least ? 0.5 : (value - least) / (most - least)));
}

function signed(value: number): string {
  return value > 0 ? `+${short(value)}` : short(value);
}

function tip(step: AblationStep): string {
  return `<b>${escapeHtml(step.name)}</b><br>with it: ${spread(step.withStep)} us a page<br>adds: ${spread(step.added)} us a page<br>` +
    `switch: ${escapeHtml(step.switch)}<br>in the kernel: ${escapeHtml(step.kernelStep)}`;
}
