// Reads and writes with fio: the device itself, files on filesystems, the activated file, the engine in JavaScript.

import { dirname, join } from "node:path";
import { contender, type ContenderId } from "./contenders";
import { deviceFor, steps, turn, type BenchContext, type GroupResult, turnsOf } from "./context";
import type { BenchDevice } from "./device";
import { runFio } from "./fio";
import { ioJobs, jobBytes, type IoJob } from "./iojobs";
import { atLeast, type RatioRule, contendersOf, Samples } from "./samples";
import { attachLoop, filled, freshKernel, makeNtfs, mountNtfs, mountOursFresh } from "./stages";
import { swapfs } from "./tools";

const deviceBytes = 512 * 2 ** 20;

/** Gives what fio opens; the file is written there beforehand. The turn's cleanup undoes it. */
type IoStage = (context: BenchContext, device: string, byteLength: number) => string;

const stages = {
  device: (_context, device, byteLength) => filled(device, byteLength),
  "swapfs-activated": (context, device, byteLength) => {
    const file = filled(join(mountOursFresh(context, device), "a"), byteLength);
    swapfs("activate", file);
    return file;
  },
  "swapfs-ordinary": (context, device, byteLength) => filled(join(mountOursFresh(context, device), "a"), byteLength),
  ext4: (context, device, byteLength) => filled(join(freshKernel(context, "ext4", device), "a"), byteLength),
  "loop-direct": (context, device, byteLength) => attachLoop(context, filled(join(freshKernel(context, "ext4", device), "a"), byteLength), true),
  "ntfs-3g": (context, device, byteLength) => {
    makeNtfs(device);
    return filled(join(mountNtfs(context, device), "a"), byteLength);
  },
  "fuse-native": (context, device, byteLength) => filled(join(mountOursFresh(context, device, "fuse-native"), "a"), byteLength),
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
  const stage: IoStage = stages[who];
  const target = stage(context, device.path, byteLength);
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
