// A benchmark's report as text: a table for the terminal, a line for docs/performance.md.

import type { BenchReport, Row } from "./row";
import type { Summary } from "./stats";

export function reportLines({ identity, device, pairs, rows }: BenchReport): string[] {
  const cells = rows.map((row) => [
    row.name, row.unit, spread(row.ours), row.peer ? spread(row.peer) : "", row.peerName ?? "",
    row.ratio ? row.ratio.median.toFixed(2) : "", row.bound ?? "", row.met === undefined ? "" : row.met ? "met" : "MISSED",
  ]);
  return [
    `swapfs ${identity.commit}, Linux ${identity.kernel}, ${identity.cpus} x ${identity.cpu}, on ${device}; median (min to max) of ${pairs} pairs`,
    "",
    ...columns([["", "unit", "swapfs", "peer", "", "ratio", "bound", ""], ...cells]),
  ];
}

/** "| 2026-01-31 10:00 | 1a2b3c4 | … |", the columns of docs/performance.md. */
export function logLine({ identity, device, rows }: BenchReport): string {
  const value = (group: Row["group"], start: string): string => {
    const row = rows.find((candidate) => candidate.group === group && candidate.name.startsWith(start));
    if (!row) return "-";
    return row.peer ? `${short(row.ours.median)} / ${short(row.peer.median)}` : short(row.ours.median);
  };
  return `| ${[
    identity.date, identity.commit, identity.kernel, `${identity.cpus} x ${identity.cpu}`, device,
    value("swap", "random"), value("swap", "fill"), value("swap", "read"), value("swap", "FUSE"),
    value("activate", "swapon"), value("io", "dd bs=1M, write a new"), value("io", "dd bs=1M, write over"), value("io", "dd bs=1M, read"),
    value("memory", "locked"), value("memory", "resident"), value("metadata", "create"), value("metadata", "mount"),
  ].join(" | ")} |`;
}

function spread({ median, min, max }: Summary): string {
  return min === max ? short(median) : `${short(median)} (${short(min)} to ${short(max)})`;
}

/** Three digits that matter. */
export function short(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return value.toFixed(0);
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd());
}
