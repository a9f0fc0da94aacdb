// How far a value or a ratio may go.

import type { Bound } from "./model";

/** "at most 1.03" */
export function boundText({ side, value, remark }: Bound): string {
  return `${side} ${value}${remark === undefined ? "" : ` (${remark})`}`;
}

export function isWithin({ side, value }: Bound, found: number): boolean {
  return side === "at most" ? found <= value : found >= value;
}

/** Whether `one` is nearer to the bound than `other`, or further beyond it. */
export function isWorse({ side }: Bound, one: number, other: number): boolean {
  return side === "at most" ? one > other : one < other;
}

/** What reports up to format 2 have: the text alone. Undefined: it is none. */
export function parseBound(text: string): Bound | undefined {
  const match = /^(at most|at least) ([\d.e+-]+)(?: \((.*)\))?$/.exec(text);
  if (!match) return undefined;
  const [, side, value, remark] = match;
  return { side: side as Bound["side"], value: Number(value), ...(remark !== undefined && { remark }) };
}
