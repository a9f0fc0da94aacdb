// What a run of the benchmark leaves behind: the shape of its JSON, which every table and picture is made from. Declared as the
// checks of one that was written before, since tables and pictures take every field for granted.

import { fields, flag, list, maybe, number, oneOf, text, type Check, type Checked } from "./checks";

export const groupNames = ["swap", "io", "activate", "extents", "metadata", "memory", "ablation"] as const;
export type GroupName = (typeof groupNames)[number];

const summary = fields({ median: number, min: number, max: number, samples: list(number, 1) });
export type Summary = Checked<typeof summary>;

/** How far a value or a ratio may go. `remark` is printed behind it: "1 + log10 of the extents". */
const bound = fields({ side: oneOf("at most", "at least"), value: number, remark: maybe(text) });
export type Bound = Checked<typeof bound>;

/** What was measured, on what. */
const identity = fields({
  /** UTC, "2026-01-31 10:00" */
  date: text,
  /** "1a2b3c4", with "+" when the tree had changes of its own */
  commit: text,
  kernel: text, cpu: text, cpus: number, memoryBytes: number,
});
export type Identity = Checked<typeof identity>;

/** One who is measured: the same id, name ("swapfs --loop", "loop over ext4, direct") and colour in every row. `ours`: one of ours. */
const contender = fields({ id: text, name: text, ours: flag });
export type Contender = Checked<typeof contender>;

/** Completion latency of one contender in one row, from fio's histogram: [percentile from 0 to 100, microseconds], ascending. */
const latency = fields({ points: list(list(number, 2) as Check<readonly [number, number]>) });
export type Latency = Checked<typeof latency>;

const verdict = { bound: maybe(bound), met: maybe(flag) };

const cell = fields({
  contender: text,
  /** in the row's unit; missing when it could not be measured: `refused` says why */
  summary: maybe(summary), refused: maybe(text),
  latency: maybe(latency),
  /** of the value itself */
  ...verdict,
});
export type Cell = Checked<typeof cell>;

/** One contender over another, the median of the ratios of each round, and the bound that was asked for. */
const ratio = fields({ contender: text, against: text, summary, ...verdict });
export type Ratio = Checked<typeof ratio>;

const row = fields({
  group: oneOf(...groupNames),
  /** unique in its group: "random touch, 1 thread, huge pages off" */
  name: text,
  unit: text, better: oneOf("less", "more"),
  /** in the order in which they are shown */
  cells: list(cell),
  ratios: list(ratio),
});
export type Row = Checked<typeof row>;

/** One step of an ordinary write, switched on alone on the swap_rw path. */
const step = fields({
  id: text,
  /** "exclusive inode lock" */
  name: text,
  /** how it was really switched on: "open without FOPEN_PARALLEL_DIRECT_WRITES" */
  switch: text,
  /** what the kernel's own filesystems do there: "inode_lock(inode) in generic_file_write_iter" */
  kernelStep: text,
  /** microseconds a page, the whole write with this step */
  withStep: summary,
  /** microseconds a page that the step adds to the same write without it: median of the rounds' differences */
  added: summary,
});
export type AblationStep = Checked<typeof step>;

const ablation = fields({
  /** microseconds a page: swap_rw with nothing switched on */
  base: summary,
  steps: list(step, 1),
  /** microseconds a page: all that can be on at once in one write (a hole of an ordinary file, through the page cache, …) */
  whole: maybe(summary),
});
export type Ablation = Checked<typeof ablation>;

export const wholeReport = fields({
  identity,
  /** "zram", "image", "/dev/sdb1 (given)" */
  device: text,
  rounds: number, contenders: list(contender), rows: list(row), ablation: maybe(ablation),
});
/** `format`: of this shape; a reader refuses what it does not know. */
export type BenchReport = Checked<typeof wholeReport> & { readonly format: 3 };
