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
  const { logarithmic, min, max } = scaleOf(values);
  return logarithmic ? { ...shown, type: "log", name: `${name} (log scale)`, min, max, startValue: min } : { ...shown, type: "value", min: 0 };
}

export function scaleOf(values: readonly number[]): { logarithmic: boolean; min: number; max: number } {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  if (!(least > 0) || most / least < 30) return { logarithmic: false, min: 0, max: most };
  return { logarithmic: true, min: powerBelow(least), max: 10 ** Math.ceil(Math.log10(most)) };
}

/** A bar begins at the axis: the smallest value still has one. */
function powerBelow(value: number): number {
  const power = Math.floor(Math.log10(value));
  return 10 ** (value / 10 ** power < 1.4 ? power - 1 : power);
}

const lineHeight = 15;

/** How far each label at the end of a curve must move, in pixels, so that none lies over another. */
export function apart(ends: readonly number[], { logarithmic, min, max }: ReturnType<typeof scaleOf>, height: number): number[] {
  const place = (value: number): number => (logarithmic
    ? height * (1 - Math.log10(value / min) / Math.log10(max / min))
    : height * (1 - value / (max === 0 ? 1 : max)));
  const order = ends.map((value, index) => ({ index, at: place(value) })).sort((a, b) => a.at - b.at);
  const shifts = ends.map(() => 0);
  let free = 0;
  order.forEach(({ index, at }, rank) => {
    const lowest = height - (order.length - 1 - rank) * lineHeight;
    const found = Math.max(free, Math.min(at, lowest));
    shifts[index] = found - at;
    free = found + lineHeight;
  });
  return shifts;
}

/** From `from` to `to`, with caps: one path, which a test counts by its colour. */
export function whisker(from: readonly [number, number], to: readonly [number, number], theme: Theme, cap = 3): ChartOption {
  const across = from[1] === to[1];
  const capAt = ([x, y]: readonly [number, number]): string => (across ? `M${x} ${y - cap}V${y + cap}` : `M${x - cap} ${y}H${x + cap}`);
  return {
    type: "path", silent: true,
    shape: { pathData: `M${from[0]} ${from[1]}L${to[0]} ${to[1]}${capAt(from)}${capAt(to)}` },
    style: { stroke: theme.whisker, lineWidth: 1.2, fill: "none" },
  };
}

const named: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => named[character]!);
}
