// What all pictures share: the shape of an option, text styles, axes, whiskers.

import { compact } from "../numbers";
import type { Contender } from "../model";
import type { Theme } from "./palette";

/** An option of echarts; its own types cannot say what a custom series is given. */
export type ChartOption = Readonly<Record<string, unknown>>;

/** How a picture is to be drawn. */
export interface Frame {
  readonly theme: Theme;
  readonly contenders: readonly Contender[];
  readonly colours: ReadonlyMap<string, string>;
  /** ids that are not shown */
  readonly hidden: ReadonlySet<string>;
  readonly width: number;
}

/** The part of echarts' api for custom series that is used here. */
export interface RenderApi {
  value(dimension: number): number;
  coord(point: readonly number[]): [number, number];
}

export const font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

export function isShown({ hidden }: Frame, id: string): boolean {
  return !hidden.has(id);
}

export function isOurs({ contenders }: Frame, id: string): boolean {
  return contenders.some((contender) => contender.id === id && contender.ours);
}

export function base({ theme }: Frame): ChartOption {
  return {
    animation: false, backgroundColor: "transparent",
    textStyle: { fontFamily: font, color: theme.text },
    tooltip: {
      trigger: "item", confine: true, backgroundColor: theme.panel, borderColor: theme.line,
      textStyle: { color: theme.text, fontSize: 12, fontFamily: font },
    },
  };
}

/** A value axis; logarithmic where the values span more than a decade and a half. */
export function valueAxis(values: readonly number[], { theme, width }: Pick<Frame, "theme" | "width">, name: string): ChartOption {
  const shown = {
    name, nameLocation: "middle", nameGap: 26, nameTextStyle: { color: theme.soft, fontSize: 11 },
    axisLabel: { color: theme.soft, fontSize: 10, hideOverlap: true, formatter: (value: number): string => compact(value) },
    splitLine: { lineStyle: { color: theme.line } }, axisLine: { show: false }, axisTick: { show: false },
    splitNumber: width < 420 ? 3 : 5,
  };
  const [least, most] = [Math.min(...values), Math.max(...values)];
  if (!(least > 0) || most / least < 30) return { ...shown, type: "value", min: 0 };
  const min = powerBelow(least);
  return { ...shown, type: "log", name: `${name} (log scale)`, min, max: 10 ** Math.ceil(Math.log10(most)), startValue: min };
}

/** A bar begins at the axis: the smallest value still has one. */
function powerBelow(value: number): number {
  const power = Math.floor(Math.log10(value));
  return 10 ** (value / 10 ** power < 1.4 ? power - 1 : power);
}

const cap = 3;

/** Across, with caps: one path, which a test counts by its colour. */
export function whisker(from: number, to: number, y: number, theme: Theme): ChartOption {
  const capAt = (x: number): string => `M${x} ${y - cap}V${y + cap}`;
  return {
    type: "path", silent: true,
    shape: { pathData: `M${from} ${y}H${to}${capAt(from)}${capAt(to)}` },
    style: { stroke: theme.whisker, lineWidth: 1.2, fill: "none" },
  };
}

const named: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => named[character]!);
}
