// The memory workload's progress and figures in words.

import type { PressureProgress } from "../../sys/pressure";

const phases = { fill: "filling memory", verify: "reading it back and verifying", touch: "touching pages at random" } as const;

export function progressText({ phase, done, total }: PressureProgress): string {
  if (total <= 0) return phases[phase];
  return `${phases[phase]} ${String(Math.floor((100 * done) / total)).padStart(3)} %`;
}

/** Decimal megabytes, as dd and fio print them. */
export function megabytesPerSecond(bytes: number, seconds: number): string {
  return seconds > 0 ? (bytes / 1e6 / seconds).toFixed(0) : "-";
}
