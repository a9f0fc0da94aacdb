// Pages swapped since boot, /proc/vmstat. Counted by mm for all swap areas together.

import { readFileSync } from "node:fs";

export interface SwapCounts {
  readonly pagesOut: number;
  readonly pagesIn: number;
}

export function swapCounts(): SwapCounts {
  return parseVmstat(readFileSync("/proc/vmstat", "utf8"));
}

export function parseVmstat(text: string): SwapCounts {
  const value = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
  return { pagesOut: value("pswpout"), pagesIn: value("pswpin") };
}

export function swapCountsSince(before: SwapCounts, now: SwapCounts = swapCounts()): SwapCounts {
  return { pagesOut: now.pagesOut - before.pagesOut, pagesIn: now.pagesIn - before.pagesIn };
}
