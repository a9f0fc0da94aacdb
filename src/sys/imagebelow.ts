// Where a block device lies: itself a disk, or a part of a file below a loop device, below partitions and loop devices over
// those. Device mapper and md move blocks about as they like, so that below them only the file is known. From /sys.

import * as fs from "node:fs";
import * as path from "node:path";
import { deviceNumberOf } from "./blockdevice";
import { listFolder, readText, realPath, statIfAny } from "./kernelfiles";

export interface DevicePlace {
  /** The kernel's name of the disk on which all lies: "sda", "loop3". */
  readonly disk: string;
  /** On that disk, or in the file below it, in bytes. */
  readonly offset: number;
  readonly length: number;
  /** The file below a loop device, as the kernel names it: with " (deleted)" where it is unlinked. */
  readonly file: string | undefined;
  /** "dm-0", when that lies between: `offset` and `length` are then those of the whole file. */
  readonly mapper: string | undefined;
}

/** What sysfs counts in, whatever the device's own blocks are. */
export const sectorBytes = 512;

/** `deviceNumber`: "7:3". undefined when there is no such device. */
export function placeOf(deviceNumber: string, sysfs = "/sys"): DevicePlace | undefined {
  const folder = realPath(path.join(sysfs, "dev/block", deviceNumber));
  if (folder === undefined) return undefined;
  const disk = diskOf(folder);
  const own = {
    disk: path.basename(disk), offset: disk === folder ? 0 : numberIn(folder, "start") * sectorBytes,
    length: numberIn(folder, "size") * sectorBytes, file: undefined, mapper: undefined,
  };
  return belowMapper(disk, sysfs) ?? belowLoop(disk, own, sysfs) ?? own;
}

export function wholeFile(file: string): DevicePlace {
  return { disk: "", offset: 0, length: Infinity, file, mapper: undefined };
}

/**
 * The same bytes under two names: what is written to one shows in the other, and no lock on either says so. Two devices of a
 * mapper have different ones.
 */
export function shareBytes(a: DevicePlace | undefined, b: DevicePlace | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  if (a.mapper !== undefined && b.mapper !== undefined) return a.mapper === b.mapper;
  if (a.file === undefined || b.file === undefined) return a.file === b.file && a.disk === b.disk && a.offset === b.offset;
  return a.offset < b.offset + b.length && b.offset < a.offset + a.length && isSameFile(a.file, b.file);
}

/** By name alone where one of them cannot be reached any more. */
export function isSameFile(one: string, other: string): boolean {
  const [a, b] = [statIfAny(one), statIfAny(other)];
  return a && b ? a.dev === b.dev && a.ino === b.ino : one === other;
}

/**
 * How much the device discards at once; 0: it cannot, or must not: a loop device that was attached by hand would punch
 * holes into its file, which the gate then refuses to swap on.
 */
export function discardBytesMax(deviceNumber: string, sysfs = "/sys"): number {
  const folder = realPath(path.join(sysfs, "dev/block", deviceNumber));
  if (folder === undefined || placeOf(deviceNumber, sysfs)?.file !== undefined) return 0;
  return numberIn(diskOf(folder), "queue/discard_max_bytes");
}

export function diskOf(folder: string): string {
  return fs.existsSync(path.join(folder, "partition")) ? path.dirname(folder) : folder;
}

function belowMapper(disk: string, sysfs: string): DevicePlace | undefined {
  for (const slave of listFolder(path.join(disk, "slaves"))) {
    const below = placeOf(readText(path.join(disk, "slaves", slave, "dev")) ?? "", sysfs);
    if (below?.file !== undefined) return { ...below, offset: 0, length: Infinity, mapper: path.basename(disk) };
  }
  return undefined;
}

function belowLoop(disk: string, own: DevicePlace, sysfs: string): DevicePlace | undefined {
  const file = readText(path.join(disk, "loop/backing_file"));
  if (file === undefined) return undefined;
  const offset = own.offset + numberIn(disk, "loop/offset");
  const stat = statIfAny(file);
  const below = stat?.isBlockDevice() ? placeOf(deviceNumberOf(stat.rdev), sysfs) : undefined;
  if (below === undefined) return { ...own, offset, file };
  return below.mapper === undefined ? { ...below, offset: below.offset + offset, length: own.length } : below;
}

export function numberIn(folder: string, name: string): number {
  return Number(readText(path.join(folder, name)) ?? 0);
}
