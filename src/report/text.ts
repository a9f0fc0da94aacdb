// A benchmark's report as text: a table for the terminal, a line for docs/performance.md.

import type { BenchReport, Cell, Ratio, Row } from "./model";
import { short, spread } from "./numbers";

export function reportLines({ identity, device, rounds, contenders, rows }: BenchReport): string[] {
  const nameOf = (id: string): string => contenders.find((contender) => contender.id === id)?.name ?? id;
  const lines = [`swapfs ${identity.commit}, Linux ${identity.kernel}, ${identity.cpus} x ${identity.cpu}, on ${device}; median (min to max) of ${rounds} rounds`];
  for (const row of rows) {
    const cells = row.cells.map((cell) => [nameOf(cell.contender), valueText(cell), boundText(cell)]);
    const ratios = row.ratios.map((ratio) => [`${nameOf(ratio.contender)} / ${nameOf(ratio.against)}`, short(ratio.summary.median), boundText(ratio)]);
    lines.push("", `${row.group}: ${row.name}${row.unit === "" ? "" : `, ${row.unit}`}`, ...columns([...cells, ...ratios]).map((line) => `  ${line}`));
  }
  return lines;
}

/** "| 2026-01-31 10:00 | 1a2b3c4 | … |", the columns of docs/performance.md. */
export function logLine({ identity, device, rows }: BenchReport): string {
  const value = (group: Row["group"], start: string, ours: string, peer?: string): string => {
    const row = rows.find((candidate) => candidate.group === group && candidate.name.startsWith(start));
    const median = (id: string | undefined): string => short(row?.cells.find((cell) => cell.contender === id)?.summary?.median);
    return peer === undefined ? median(ours) : row ? `${median(ours)} / ${median(peer)}` : "-";
  };
  return `| ${[
    identity.date, identity.commit, identity.kernel, `${identity.cpus} x ${identity.cpu}`, device,
    value("swap", "random touch, 1 thread, huge pages off", "swapfs", "device"),
    value("swap", "random touch, 1 thread, huge pages off", "swapfs-loop", "loop-direct"),
    value("swap", "sequential out, 1 thread, huge pages off", "swapfs", "device"),
    value("swap", "sequential in, 1 thread, huge pages off", "swapfs", "device"),
    value("activate", "swapon of 1 GiB, 1 extent", "swapfs", "ntfs-3g"),
    value("io", "4 KiB random read, depth 1, 1 job", "swapfs-activated", "fuse-native"),
    value("io", "4 KiB random read, depth 32, 1 job", "swapfs-activated", "fuse-native"),
    value("io", "1 MiB sequential read, depth 4", "swapfs-activated", "device"),
    value("io", "4 KiB buffered write over", "swapfs-ordinary", "ntfs-3g"),
    value("metadata", "create", "swapfs", "ntfs-3g"), value("metadata", "mount", "swapfs", "ntfs-3g"),
    value("memory", "locked", "swapfs"), value("memory", "resident", "swapfs"),
  ].join(" | ")} |`;
}

function valueText({ summary, refused }: Cell): string {
  return summary ? spread(summary) : `refused: ${refused ?? ""}`;
}

function boundText({ bound, met }: Pick<Cell | Ratio, "bound" | "met">): string {
  return bound === undefined ? "" : `${bound}: ${met ? "met" : "MISSED"}`;
}

function columns(rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd());
}
