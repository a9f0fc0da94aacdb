// A row of the benchmark: ours beside a peer of the same run, and the bound that it must keep.

import { pairedRatio, summarize, type Summary } from "./stats";

export interface Row {
  readonly group: "swap" | "activate" | "io" | "memory" | "metadata";
  readonly name: string;
  readonly unit: string;
  readonly better: "less" | "more";
  readonly ours: Summary;
  readonly peer?: Summary;
  readonly peerName?: string;
  /** ours / peer, the median of the pairs */
  readonly ratio?: Summary;
  /** in words, as it is printed */
  readonly bound?: string;
  readonly met?: boolean;
}

export interface Bound {
  readonly text: string;
  readonly holds: (row: { ours: number; peer: number; ratio: number }) => boolean;
}

type Head = Pick<Row, "group" | "name" | "unit" | "better">;

export function pairedRow(head: Head, ours: readonly number[], peerName: string, peer: readonly number[], bound?: Bound): Row {
  const row = { ...head, ours: summarize(ours), peerName, peer: summarize(peer), ratio: pairedRatio(ours, peer) };
  return bound ? { ...row, bound: bound.text, met: bound.holds({ ours: row.ours.median, peer: row.peer.median, ratio: row.ratio.median }) } : row;
}

export function soloRow(head: Head, ours: readonly number[], bound?: Bound): Row {
  const row = { ...head, ours: summarize(ours) };
  return bound ? { ...row, bound: bound.text, met: bound.holds({ ours: row.ours.median, peer: NaN, ratio: NaN }) } : row;
}

/** What was measured, on what. */
export interface Identity {
  readonly date: string;
  readonly commit: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryBytes: number;
}

export interface BenchReport {
  readonly identity: Identity;
  /** "zram", or the device that was given */
  readonly device: string;
  readonly pairs: number;
  readonly rows: readonly Row[];
}
