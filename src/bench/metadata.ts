// Many files: how fast they are made, found, renamed and removed, what they cost at the next mount and in a checkpoint.
// Memory is looked at here too, since it is largest with many files.

import { closeSync, mkdirSync, openSync, renameSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { contender } from "./contenders";
import { deviceFor, steps, turn, undoing, type BenchContext, type GroupResult, turnsOf } from "./context";
import { atLeast, atMost, type RatioRule, type ValueRule, contendersOf, Samples, type RowHead } from "./samples";
import { fresh, mount, type Filesystem } from "./stages";
import { secondsOf, statusOf, swapfs } from "./tools";

const contenders = ["swapfs", "ext4", "ntfs-3g", "fuse-native"] as const satisfies readonly Filesystem[];
type FilesystemContender = (typeof contenders)[number];

const mib = 2 ** 20;
const deviceBytes = 512 * mib;
/** How many files there are when a checkpoint is looked at. */
const checkpointsAt = [0, 0.1, 1];
/** Small enough that moving nothing is all there is to do, large enough that each shrink changes the length. */
const shrinkStep = 4 * mib;

type Names = Readonly<ReturnType<typeof namesFor>>;

function namesFor(files: number) {
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
  let leaving = 0;
  await undoing(context, async () => {
    const mountpoint = fresh(context, who, device);
    mkdirSync(`${mountpoint}/files`);
    createAll(mountpoint, who, names, take);
    if (who === "swapfs") takeMemory(mountpoint, names, take);
    leaving = performance.now();
  });
  take(names.umount, performance.now() - leaving);
  let mountpoint = "";
  take(names.mount, 1000 * secondsOf(() => (mountpoint = mount(context, who, device))));
  changeAll(mountpoint, names, take);
}

/** In steps, so that a checkpoint can be looked at in between; only the creating is timed. */
function createAll(mountpoint: string, who: FilesystemContender, names: Names, take: Take): void {
  let made = 0;
  let spent = 0;
  for (const [index, { files, row }] of names.checkpoints.entries()) {
    spent += secondsOf(() => {
      for (; made < files; made += 1) closeSync(openSync(pathOf(mountpoint, "file", made), "wx"));
    });
    if (who === "swapfs") take(row, checkpoint(mountpoint, index));
  }
  take(names.create, made / spent);
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
    take(row, files / secondsOf(() => {
      for (let index = 0; index < files; index += 1) work(index);
    }));
  };
  each(stat, (index) => statSync(pathOf(mountpoint, "file", index)));
  each(rename, (index) => renameSync(pathOf(mountpoint, "file", index), pathOf(mountpoint, "renamed", index)));
  each(unlink, (index) => unlinkSync(pathOf(mountpoint, "renamed", index)));
}

function pathOf(mountpoint: string, name: string, index: number): string {
  return `${mountpoint}/files/${name}-${index}`;
}
