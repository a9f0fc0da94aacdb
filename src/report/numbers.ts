// Numbers as a person reads them: three digits that matter, the same in every table and picture.

import type { Summary } from "./model";

/** Three digits that matter; "-" for what was not measured. */
export function short(value: number | undefined): string {
  if (value === undefined) return "-";
  if (Number.isInteger(value) || Math.abs(value) >= 100) return value.toFixed(0);
  if (Math.abs(value) < 0.1) return Number(value.toPrecision(2)).toString();
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

/** As `short`, with k and M where there is little room: "112k". */
export function compact(value: number): string {
  if (Math.abs(value) >= 1e6) return `${short(value / 1e6)}M`;
  if (Math.abs(value) >= 1e4) return `${short(value / 1e3)}k`;
  return short(value);
}

export function spread({ median, min, max }: Summary): string {
  return min === max ? short(median) : `${short(median)} (${short(min)} to ${short(max)})`;
}

export function medians(rounds: number): string {
  return rounds === 1 ? "one round" : `medians of ${rounds} rounds`;
}

/** "5.3 times faster", or the ratio alone where the two are near each other. */
export function factorText(ratio: number, better: "less" | "more"): string {
  const factor = better === "less" ? 1 / ratio : ratio;
  return Number.isFinite(factor) && factor >= 1.5 ? `${short(factor)}× faster` : `${ratio.toFixed(2)}×`;
}
