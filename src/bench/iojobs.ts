// What fio does in the group "io", as data: a row for each job.

import type { ContenderId } from "./contenders";
import type { FioJob } from "./fio";
import type { RowHead } from "./samples";

export interface IoJob extends FioJob {
  readonly head: RowHead;
}

const everyone: readonly ContenderId[] = ["device", "swapfs-activated", "swapfs-ordinary", "ext4", "loop-direct", "ntfs-3g", "fuse-native"];
/** Those with a page cache of their own. */
const buffering: readonly ContenderId[] = ["swapfs-ordinary", "ext4", "ntfs-3g", "fuse-native"];

interface Shape {
  readonly block: "4 KiB" | "128 KiB" | "1 MiB";
  readonly order: "random" | "sequential";
  readonly direction: "read" | "write";
  readonly depth: number;
  readonly jobs: number;
}

/** fio takes a third of a second between two jobs. */
function isTypical({ block, order, depth, jobs }: Shape): boolean {
  return jobs === 1 && (block === "4 KiB" ? order === "random" : depth !== 1 && order === "sequential");
}

const blocks = { "4 KiB": "4k", "128 KiB": "128k", "1 MiB": "1m" } as const;

function shapes(): Shape[] {
  const found: Shape[] = [];
  for (const block of ["4 KiB", "128 KiB"] as const) {
    for (const order of ["random", "sequential"] as const) {
      for (const direction of ["read", "write"] as const) {
        for (const depth of [1, 32]) for (const jobs of [1, 2]) found.push({ block, order, direction, depth, jobs });
      }
    }
  }
  for (const direction of ["read", "write"] as const) {
    for (const depth of [1, 4]) found.push({ block: "1 MiB", order: "sequential", direction, depth, jobs: 1 });
  }
  return found;
}

/** What is only in memory has not been written: ntfs-3g puts direct writes into the page cache of its device. */
const toTheEnd = (direction: "read" | "write"): string[] => (direction === "write" ? ["end_fsync=1"] : []);

/** Buffers are random from the start, so zram cannot make less of them. */
function directJob(shape: Shape, milliseconds: number): IoJob {
  const { block, order, direction, depth, jobs } = shape;
  const row = `${block} ${order} ${direction}, depth ${depth}, ${jobs} job${jobs === 1 ? "" : "s"}`;
  const small = block === "4 KiB";
  return {
    row, direction,
    lines: [
      `rw=${order === "random" ? "rand" : ""}${direction}`, `bs=${blocks[block]}`, "direct=1", `numjobs=${jobs}`, `iodepth=${depth}`,
      `ioengine=${depth === 1 ? "psync" : "libaio"}`, "time_based=1", `runtime=${milliseconds}ms`, ...toTheEnd(direction),
    ],
    head: { group: "io", name: row, unit: small ? "IOPS" : "MB/s", better: "more", contenders: everyone },
  };
}

function bufferedJob(row: string, direction: "read" | "write", megabytes: number, lines: readonly string[]): IoJob {
  return {
    row, direction,
    lines: ["bs=4k", "direct=0", "ioengine=psync", `size=${megabytes}m`, ...toTheEnd(direction), ...lines],
    head: { group: "io", name: row, unit: "MB/s", better: "more", contenders: buffering },
  };
}

export const jobBytes = { whole: 64 * 2 ** 20, quick: 8 * 2 ** 20 };

/** `newFile` is made by its job and removed again. */
export function ioJobs(quick: boolean, newFile: string): IoJob[] {
  const megabytes = (quick ? jobBytes.quick : jobBytes.whole) / 2 ** 20;
  return [
    ...shapes().filter((shape) => !quick || isTypical(shape)).map((shape) => directJob(shape, quick ? 30 : 350)),
    bufferedJob("4 KiB buffered read", "read", megabytes, []),
    bufferedJob("4 KiB buffered write over a file", "write", megabytes / 2, []),
    bufferedJob("4 KiB buffered write of a new file", "write", megabytes / 2, [`filename=${newFile}`, "unlink=1"]),
  ];
}
