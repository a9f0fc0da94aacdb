// On which bytes of which disks and files a device lies in the end, below partitions, loop devices, device mapper and md: whether two of
// them would write to the same ones. From /sys. imagebelow.ts tells what one file lies below a device; here it may be several disks.

import type { Stats } from "node:fs";
import * as path from "node:path";
import { deviceNumberOf } from "./blockdevice";
import { diskOf, numberIn, sectorBytes } from "./imagebelow";
import { listFolder, readText, realPath, statIfAny } from "./kernelfiles";

export interface Bytes {
  /** the kernel's name of a disk, or st_dev and st_ino of a file */
  readonly on: string;
  readonly from: number;
  readonly to: number;
  /** devices of device mapper or md between, the upper one first: which of the bytes are theirs is not known */
  readonly by: readonly string[];
}

/** Of a file or block device. */
export function bytesOf(stat: Stats, sysfs = "/sys"): Bytes[] {
  return stat.isBlockDevice() ? bytesBelow(deviceNumberOf(stat.rdev), sysfs) : [{ on: fileName(stat), from: 0, to: Infinity, by: [] }];
}

/** Of a loop device, by what LOOP_GET_STATUS64 says. */
export function belowLoopStatus({ dev, ino, rdev, offset, sizeLimit }: { dev: number; ino: number; rdev: number; offset: number; sizeLimit: number }): Bytes[] {
  const below: Bytes[] = rdev === 0 ? [{ on: fileName({ dev, ino }), from: 0, to: Infinity, by: [] }] : bytesBelow(deviceNumberOf(rdev));
  return below.map((bytes) => part(bytes, offset, sizeLimit === 0 ? Infinity : sizeLimit));
}

/** `deviceNumber`: "7:3". */
export function bytesBelow(deviceNumber: string, sysfs = "/sys"): Bytes[] {
  const folder = realPath(path.join(sysfs, "dev/block", deviceNumber));
  if (folder === undefined) return [];
  const disk = diskOf(folder);
  const [from, length] = [disk === folder ? 0 : numberIn(folder, "start") * sectorBytes, numberIn(folder, "size") * sectorBytes];
  return wholeBytes(disk, sysfs).map((bytes) => part(bytes, from, length));
}

function wholeBytes(disk: string, sysfs: string): Bytes[] {
  const name = path.basename(disk);
  const members = listFolder(path.join(disk, "slaves"));
  if (members.length > 0) {
    return members.flatMap((member) => bytesBelow(readText(path.join(disk, "slaves", member, "dev")) ?? "", sysfs)).map((bytes) => ({ ...bytes, by: [name, ...bytes.by] }));
  }
  const file = readText(path.join(disk, "loop/backing_file"));
  if (file === undefined) return [{ on: name, from: 0, to: Infinity, by: [] }];
  const stat = statIfAny(file);
  const below: Bytes[] = stat === undefined ? [{ on: file, from: 0, to: Infinity, by: [] }] : bytesOf(stat, sysfs);
  return below.map((bytes) => part(bytes, numberIn(disk, "loop/offset"), Infinity));
}

/** What a file or block device lies on, by name: disks as the kernel calls them ("loop3"), its own first, and files below loop devices. */
export function stackOf(file: string, sysfs = "/sys"): string[] {
  const stat = statIfAny(file);
  return stat?.isBlockDevice() ? stackBelow(deviceNumberOf(stat.rdev), sysfs) : [realPath(file) ?? file];
}

function stackBelow(deviceNumber: string, sysfs: string): string[] {
  const folder = realPath(path.join(sysfs, "dev/block", deviceNumber));
  if (folder === undefined) return [];
  const disk = diskOf(folder);
  const below = readText(path.join(disk, "loop/backing_file"));
  return [path.basename(disk), ...(below === undefined ? [] : [below, ...(below.startsWith("/dev/") ? stackOf(below, sysfs) : [])]),
    ...listFolder(path.join(disk, "slaves")).flatMap((member) => stackBelow(readText(path.join(disk, "slaves", member, "dev")) ?? "", sysfs))];
}

function part(bytes: Bytes, offset: number, length: number): Bytes {
  return bytes.by.length > 0 ? bytes : { ...bytes, from: bytes.from + offset, to: Math.min(bytes.to, bytes.from + offset + length) };
}

function fileName({ dev, ino }: Pick<Stats, "dev" | "ino">): string {
  return `${dev}:${ino}`;
}

/** Two devices of a mapper over the same disks have different bytes of them, unless one lies on the other. */
export function overlap(some: readonly Bytes[], others: readonly Bytes[]): boolean {
  return some.some((a) => others.some((b) => a.on === b.on && a.from < b.to && b.from < a.to && mayMeet(a.by, b.by)));
}

function mayMeet([a, ...belowA]: readonly string[], [b, ...belowB]: readonly string[]): boolean {
  return a === undefined || b === undefined || a === b || belowA.includes(b) || belowB.includes(a);
}
