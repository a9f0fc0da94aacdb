// A run as a line of docs/performance.md.

import type { BenchReport, Row } from "./model";
import { short } from "./numbers";

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
