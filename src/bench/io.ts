// Reads and writes with fio: the device itself, files on filesystems, the activated file, the engine in JavaScript; a row for each job.

import { dirname, join } from "node:path";
import { pageSize } from "../base/units";
import { contender, type ContenderId } from "./contenders";
import { deviceFor, steps, turn, type BenchContext, type GroupResult, turnsOf } from "./context";
import type { BenchDevice } from "./device";
import { runFio, type FioJob } from "./fio";
import { atLeast, type RatioRule, contendersOf, Samples, type RowHead } from "./samples";
import { attachLoop, filled, fresh, type Filesystem } from "./stages";
import { swapfs } from "./tools";

const deviceBytes = 512 * 2 ** 20;

/** Gives what fio opens; the file is written there beforehand. The turn's cleanup undoes it. */
type IoStage = (context: BenchContext, device: string, byteLength: number) => string;

const onFilesystem = (kind: Filesystem): IoStage => (context, device, byteLength) => filled(join(fresh(context, kind, device), "a"), byteLength);

const stages = {
  device: (_context, device, byteLength) => filled(device, byteLength),
  // As swapon --block attaches it, which without swap nobody has.
  "swapfs-block": (context, device, byteLength) => {
    const file = join(fresh(context, "swapfs", device), "a");
    swapfs("create", file, "--block", "--size", String(byteLength));
    const { extents: [extent] } = JSON.parse(swapfs("map", file, "--json")) as { extents: { devicePage: number }[] };
    return filled(attachLoop(context, device, true, { offset: extent!.devicePage * pageSize, length: byteLength }), byteLength);
  },
  "swapfs-activated": (context, device, byteLength) => {
    const file = onFilesystem("swapfs")(context, device, byteLength);
    swapfs("activate", file);
    return file;
  },
  "swapfs-ordinary": onFilesystem("swapfs"),
  ext4: onFilesystem("ext4"),
  "loop-direct": (context, device, byteLength) => attachLoop(context, onFilesystem("ext4")(context, device, byteLength), true),
  "ntfs-3g": onFilesystem("ntfs-3g"),
  "fuse-native": onFilesystem("fuse-native"),
} as const satisfies Partial<Record<ContenderId, IoStage>>;

type IoContender = keyof typeof stages;
const contenders = Object.keys(stages) as IoContender[];

export const ioRatios: readonly RatioRule[] = [
  { contender: "swapfs-activated", against: "fuse-native", rows: /^4 KiB random read, depth 1, 1 job$/, bound: atLeast(5) },
  { contender: "swapfs-activated", against: "fuse-native", rows: /^4 KiB random read, depth 32, 1 job$/, bound: atLeast(10) },
  { contender: "swapfs-activated", against: "fuse-native", rows: /^(?!4 KiB random read, depth \d+, 1 job)(?!.*buffered)/ },
  { contender: "swapfs-activated", against: "device", rows: /^1 MiB/, bound: atLeast(0.9) },
  { contender: "swapfs-activated", against: "device", rows: /^(4|128) KiB (random|sequential)/ },
  { contender: "swapfs-activated", against: "loop-direct", rows: /^(4|128) KiB (random|sequential)/ },
  { contender: "swapfs-block", against: "device", rows: /^(4|128) KiB (random|sequential)|^1 MiB/ },
  { contender: "swapfs-ordinary", against: "ntfs-3g", rows: /./, bound: atLeast(1) },
];

export async function benchIo(context: BenchContext): Promise<GroupResult> {
  const device = await deviceFor(context, deviceBytes);
  const samples = new Samples();
  const next = steps(context, "io", context.rounds * contenders.length);
  for (let round = 0; round < context.rounds; round += 1) {
    for (const who of turnsOf(contenders, round)) {
      await next(`round ${round + 1}, ${contender(who).name}`);
      const rows = jobsOf(context, who, "").map(({ row }) => row);
      await turn(context, samples, who, rows, () => measure(context, device, who, round, samples));
    }
  }
  const heads = ioJobs(context.quick, "").map(({ head }) => head);
  return { contenders: contendersOf(heads), rows: samples.rows(heads, ioRatios) };
}

async function measure(context: BenchContext, device: BenchDevice, who: IoContender, round: number, samples: Samples): Promise<void> {
  await device.renew();
  const byteLength = context.quick ? jobBytes.quick : jobBytes.whole;
  const target = stages[who](context, device.path, byteLength);
  const jobs = jobsOf(context, who, join(dirname(target), "new"));
  const results = await runFio(context, target, byteLength, jobs);
  for (const { row, head } of jobs) {
    const result = results.get(row);
    if (!result || result.error !== 0) samples.refuse(row, who, result ? `fio: errno ${result.error}` : "fio did not run it");
    else samples.add(row, who, round, head.unit === "IOPS" ? result.iops : result.bytesPerSecond / 1e6, result.latency);
  }
}

function jobsOf({ quick }: BenchContext, who: IoContender, newFile: string): IoJob[] {
  return ioJobs(quick, newFile).filter(({ head }) => head.contenders.includes(who));
}

export interface IoJob extends FioJob {
  readonly head: RowHead;
}

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
    head: { group: "io", name: row, unit: small ? "IOPS" : "MB/s", better: "more", contenders },
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
