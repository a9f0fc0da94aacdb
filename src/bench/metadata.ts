// Many files: how fast they are made, found, renamed and removed, what they cost at the next mount and in a checkpoint.
// Memory is looked at here too, since it is largest with many files.

import { closeSync, mkdirSync, openSync, renameSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { contender, type ContenderId } from "./contenders";
import { deviceFor, steps, turn, undoing, type BenchContext, type GroupResult, turnsOf } from "./context";
import { atLeast, atMost, type RatioRule, type ValueRule, contendersOf, Samples, type RowHead } from "./samples";
import { makeKernel, makeNtfs, mountKernel, mountNtfs, mountOurs, mountOursFresh } from "./stages";
import { statusOf, swapfs } from "./tools";

export interface FilesystemStage {
  /** Makes it and mounts it. */
  readonly fresh: (context: BenchContext, device: string) => string;
  /** Mounts it as it was left. */
  readonly again: (context: BenchContext, device: string) => string;
}

export const filesystemStages = {
  swapfs: { fresh: (context, device) => mountOursFresh(context, device), again: (context, device) => mountOurs(context, device) },
  ext4: {
    fresh: (context, device) => (makeKernel("ext4", device), mountKernel(context, "ext4", device)),
    again: (context, device) => mountKernel(context, "ext4", device),
  },
  "ntfs-3g": { fresh: (context, device) => (makeNtfs(device), mountNtfs(context, device)), again: mountNtfs },
  "fuse-native": {
    fresh: (context, device) => mountOursFresh(context, device, "fuse-native"),
    again: (context, device) => mountOurs(context, device, "fuse-native"),
  },
} as const satisfies Partial<Record<ContenderId, FilesystemStage>>;

export type FilesystemContender = keyof typeof filesystemStages;

const mib = 2 ** 20;
const deviceBytes = 512 * mib;
/** How many files there are when a checkpoint is looked at. */
const checkpointsAt = [0, 0.1, 1];
/** Small enough that moving nothing is all there is to do, large enough that each shrink changes the length. */
const shrinkStep = 4 * mib;

const contenders = Object.keys(filesystemStages) as FilesystemContender[];

interface Names {
  readonly files: number;
  readonly create: string;
  readonly stat: string;
  readonly rename: string;
  readonly unlink: string;
  readonly mount: string;
  readonly umount: string;
  readonly locked: string;
  readonly resident: string;
  readonly checkpoints: readonly { readonly files: number; readonly row: string }[];
}

function namesFor(files: number): Names {
  const text = (count: number): string => `${count.toLocaleString("en-US")} files`;
  return {
    files, create: `create ${text(files)}`, stat: `stat ${text(files)}, nothing cached`, rename: `rename ${text(files)}`,
    unlink: `unlink ${text(files)}`, mount: `mount with ${text(files)}`, umount: `umount with ${text(files)}`,
    locked: "locked: keeper + data plane", resident: `resident: control plane, ${text(files)}`,
    checkpoints: checkpointsAt.map((share) => ({ files: files * share, row: `checkpoint with ${text(files * share)}` })),
  };
}

function headsFor(names: Names): RowHead[] {
  const rate = { group: "metadata", unit: "files/s", better: "more", contenders } as const;
  const time = { group: "metadata", unit: "ms", better: "less" } as const;
  const memory = { group: "memory", unit: "MiB", better: "less", contenders: ["swapfs"] } as const;
  return [
    ...[names.create, names.stat, names.rename, names.unlink].map((name): RowHead => ({ ...rate, name })),
    ...[names.mount, names.umount].map((name): RowHead => ({ ...time, name, contenders })),
    ...names.checkpoints.map(({ row }): RowHead => ({ ...time, name: row, contenders: ["swapfs"] })),
    { ...memory, name: names.locked },
    { ...memory, name: names.resident },
  ];
}

export const metadataRatios: readonly RatioRule[] = [
  { contender: "swapfs", against: "ntfs-3g", rows: /files/ },
  { contender: "swapfs", against: "ext4", rows: /^(create|stat|rename|unlink)/ },
  { contender: "swapfs", against: "fuse-native", rows: /^(create|stat|rename|unlink)/ },
];
const metadataBounds: readonly ValueRule[] = [
  { contender: "swapfs", rows: /^create/, bound: atLeast(2000) },
  { contender: "swapfs", rows: /^mount/, bound: atMost(1500) },
  { rows: /^locked/, bound: atMost(32) },
  { rows: /^resident/, bound: atMost(110) },
];

export async function benchMetadata(context: BenchContext): Promise<GroupResult> {
  const device = await deviceFor(context, deviceBytes);
  const names = namesFor(context.quick ? 1000 : 10_000);
  const heads = headsFor(names);
  const samples = new Samples();
  const next = steps(context, "metadata", context.rounds * contenders.length);
  for (let round = 0; round < context.rounds; round += 1) {
    for (const who of turnsOf(contenders, round)) {
      await next(`round ${round + 1}, ${contender(who).name}`);
      const rows = heads.filter((head) => head.contenders.includes(who)).map(({ name }) => name);
      await turn(context, samples, who, rows, async () => {
        await device.renew();
        await measure(context, device.path, who, names, (row, value) => samples.add(row, who, round, value));
      });
    }
  }
  return { contenders: contendersOf(heads), rows: samples.rows(heads, metadataRatios, metadataBounds) };
}

type Take = (row: string, value: number) => void;

async function measure(context: BenchContext, device: string, who: FilesystemContender, names: Names, take: Take): Promise<void> {
  const stage: FilesystemStage = filesystemStages[who];
  let leaving = 0;
  await undoing(context, async () => {
    const mountpoint = stage.fresh(context, device);
    mkdirSync(`${mountpoint}/files`);
    createAll(mountpoint, who, names, take);
    if (who === "swapfs") takeMemory(mountpoint, names, take);
    leaving = performance.now();
  });
  take(names.umount, performance.now() - leaving);
  let mountpoint = "";
  take(names.mount, milliseconds(() => (mountpoint = stage.again(context, device))));
  changeAll(mountpoint, names, take);
}

/** In steps, so that a checkpoint can be looked at in between; only the creating is timed. */
function createAll(mountpoint: string, who: FilesystemContender, names: Names, take: Take): void {
  let made = 0;
  let spent = 0;
  for (const [index, { files, row }] of names.checkpoints.entries()) {
    spent += milliseconds(() => {
      for (; made < files; made += 1) closeSync(openSync(pathOf(mountpoint, "file", made), "wx"));
    });
    if (who === "swapfs") take(row, checkpoint(mountpoint, index));
  }
  take(names.create, made / (spent / 1000));
}

/** A volume that gets shorter writes both checkpoints first. What the last one took is in its status. */
function checkpoint(mountpoint: string, index: number): number {
  swapfs("shrink", mountpoint, "--size", String(deviceBytes - (index + 1) * shrinkStep));
  return statusOf(mountpoint).volume.checkpointMs;
}

function takeMemory(mountpoint: string, names: Names, take: Take): void {
  const { processes } = statusOf(mountpoint);
  take(names.locked, (processes.keeper.lockedBytes + processes.dataPlane.lockedBytes) / mib);
  take(names.resident, processes.controlPlane.residentBytes / mib);
}

function changeAll(mountpoint: string, { files, stat, rename, unlink }: Names, take: Take): void {
  writeFileSync("/proc/sys/vm/drop_caches", "2");
  const each = (row: string, work: (index: number) => void): void => {
    const spent = milliseconds(() => {
      for (let index = 0; index < files; index += 1) work(index);
    });
    take(row, files / (spent / 1000));
  };
  each(stat, (index) => statSync(pathOf(mountpoint, "file", index)));
  each(rename, (index) => renameSync(pathOf(mountpoint, "file", index), pathOf(mountpoint, "renamed", index)));
  each(unlink, (index) => unlinkSync(pathOf(mountpoint, "renamed", index)));
}

function pathOf(mountpoint: string, name: string, index: number): string {
  return `${mountpoint}/files/${name}-${index}`;
}

function milliseconds(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}
