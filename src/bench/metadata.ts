// 10,000 files: how fast they are made, and what they cost at the next mount. Memory is looked at here too, since it is
// largest with many files.

import { closeSync, mkdirSync, openSync } from "node:fs";
import { deviceFor, mountFresh, mountNtfs, unmountOurs, nextStep, type BenchContext } from "./context";
import { pairedRow, soloRow, type Row } from "../report/row";
import { must, statusOf, swapfs, timed, timedSwapfs } from "./tools";

const files = 10_000;
const deviceBytes = 512 * 2 ** 20;

interface Sample {
  readonly createsPerSecond: number;
  readonly mountSeconds: number;
}

export async function benchMetadata(context: BenchContext): Promise<Row[]> {
  const device = await deviceFor(context, deviceBytes);
  const ours: Sample[] = [];
  const peer: Sample[] = [];
  const memory = { locked: [] as number[], control: [] as number[] };
  for (let round = 0; round < Math.min(context.pairs, 3); round += 1) {
    await nextStep(context, `metadata: round ${round + 1}, swapfs`);
    await device.renew();
    ours.push(onSwapfs(context, device.path, memory));
    await nextStep(context, `metadata: round ${round + 1}, ntfs-3g`);
    await device.renew();
    peer.push(onNtfs(context, device.path));
  }
  return [...metadataRows(ours, peer), ...memoryRows(memory)];
}

function onSwapfs(context: BenchContext, device: string, memory: { locked: number[]; control: number[] }): Sample {
  const mountpoint = mountFresh(context, device);
  const createsPerSecond = createFiles(mountpoint);
  const { processes } = statusOf(mountpoint);
  memory.locked.push((processes.keeper.lockedBytes + processes.dataPlane.lockedBytes) / 2 ** 20);
  memory.control.push(processes.controlPlane.residentBytes / 2 ** 20);
  unmountOurs(mountpoint);
  const mountSeconds = timedSwapfs("mount", device, mountpoint);
  swapfs("umount", mountpoint);
  return { createsPerSecond, mountSeconds };
}

function onNtfs(context: BenchContext, device: string): Sample {
  const mountpoint = mountNtfs(context, device);
  const createsPerSecond = createFiles(mountpoint);
  must("umount", [mountpoint]);
  const mountSeconds = timed("mount", ["-t", "ntfs-3g", device, mountpoint]);
  must("umount", [mountpoint]);
  return { createsPerSecond, mountSeconds };
}

function createFiles(mountpoint: string): number {
  const folder = `${mountpoint}/files`;
  mkdirSync(folder);
  const start = process.hrtime.bigint();
  for (let index = 0; index < files; index += 1) closeSync(openSync(`${folder}/file-${index}`, "wx"));
  return files / (Number(process.hrtime.bigint() - start) / 1e9);
}

function metadataRows(ours: readonly Sample[], peer: readonly Sample[]): Row[] {
  return [
    pairedRow(
      { group: "metadata", name: "create 10,000 files", unit: "files/s", better: "more" },
      ours.map((s) => s.createsPerSecond), "ntfs-3g", peer.map((s) => s.createsPerSecond),
      { text: "at least 2000", holds: (row) => row.ours >= 2000 }),
    pairedRow(
      { group: "metadata", name: "mount with 10,000 files", unit: "s", better: "less" },
      ours.map((s) => s.mountSeconds), "ntfs-3g", peer.map((s) => s.mountSeconds),
      { text: "under 1.5", holds: (row) => row.ours < 1.5 }),
  ];
}

function memoryRows({ locked, control }: { locked: readonly number[]; control: readonly number[] }): Row[] {
  return [
    soloRow({ group: "memory", name: "locked: keeper + data plane", unit: "MiB", better: "less" }, locked,
      { text: "at most 32", holds: (row) => row.ours <= 32 }),
    soloRow({ group: "memory", name: "resident: control plane, 10,000 files", unit: "MiB", better: "less" }, control,
      { text: "at most 110", holds: (row) => row.ours <= 110 }),
  ];
}
