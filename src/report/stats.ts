// Medians and spreads: what a benchmark says instead of one number.

import { assert } from "../base/assert";
import type { Summary } from "./model";

export function summarize(samples: readonly number[]): Summary {
  assert(samples.length > 0, "a summary has samples");
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]!, samples };
}

/** The median of the ratios of each pair: what drifts over the run (heat, neighbours) cancels out. */
export function pairedRatio(ours: readonly number[], peer: readonly number[]): Summary {
  assert(ours.length === peer.length, "pairs have two halves");
  return summarize(ours.map((value, index) => value / peer[index]!));
}
