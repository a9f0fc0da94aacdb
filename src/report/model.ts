// What a run of the benchmark leaves behind: the shape of its JSON, which every table and picture is made from.

import type { Bound } from "./bound";
import type { Summary } from "./stats";

export const groupNames = ["swap", "io", "activate", "extents", "metadata", "memory", "ablation"] as const;
export type GroupName = (typeof groupNames)[number];

/** What was measured, on what. */
export interface Identity {
  /** UTC, "2026-01-31 10:00" */
  readonly date: string;
  /** "1a2b3c4", with "+" when the tree had changes of its own */
  readonly commit: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryBytes: number;
}

/** One who is measured: the same id, name and colour in every row. */
export interface Contender {
  readonly id: string;
  /** "swapfs --loop", "loop over ext4, direct" */
  readonly name: string;
  /** one of ours */
  readonly ours: boolean;
}

/** Completion latency of one contender in one row, from fio's histogram. */
export interface Latency {
  /** [percentile from 0 to 100, microseconds], ascending */
  readonly points: readonly (readonly [number, number])[];
}

export interface Cell {
  readonly contender: string;
  /** in the row's unit; missing when it could not be measured: `refused` says why */
  readonly summary?: Summary;
  readonly refused?: string;
  readonly latency?: Latency;
  /** of the value itself */
  readonly bound?: Bound;
  readonly met?: boolean;
}

/** One contender over another, the median of the ratios of each round, and the bound that was asked for. */
export interface Ratio {
  readonly contender: string;
  readonly against: string;
  readonly summary: Summary;
  readonly bound?: Bound;
  readonly met?: boolean;
}

export interface Row {
  readonly group: GroupName;
  /** unique in its group: "random touch, 1 thread, huge pages off" */
  readonly name: string;
  readonly unit: string;
  readonly better: "less" | "more";
  /** in the order in which they are shown */
  readonly cells: readonly Cell[];
  readonly ratios: readonly Ratio[];
}

/** One step of an ordinary write, switched on alone on the swap_rw path. */
export interface AblationStep {
  readonly id: string;
  /** "exclusive inode lock" */
  readonly name: string;
  /** how it was really switched on: "open without FOPEN_PARALLEL_DIRECT_WRITES" */
  readonly switch: string;
  /** what the kernel's own filesystems do there: "inode_lock(inode) in generic_file_write_iter" */
  readonly kernelStep: string;
  /** microseconds a page, the whole write with this step */
  readonly withStep: Summary;
  /** microseconds a page that the step adds to the same write without it: median of the rounds' differences */
  readonly added: Summary;
}

export interface Ablation {
  /** microseconds a page: swap_rw with nothing switched on */
  readonly base: Summary;
  readonly steps: readonly AblationStep[];
  /** microseconds a page: all that can be on at once in one write (a hole of an ordinary file, through the page cache, …) */
  readonly whole?: Summary;
}

export interface BenchReport {
  /** of this shape; a reader refuses what it does not know */
  readonly format: 3;
  readonly identity: Identity;
  /** "zram", "image", "/dev/sdb1 (given)" */
  readonly device: string;
  readonly rounds: number;
  readonly contenders: readonly Contender[];
  readonly rows: readonly Row[];
  readonly ablation?: Ablation;
}
