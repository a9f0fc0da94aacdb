// What a block device is and who uses it, before anything is written to it.

import * as fs from "node:fs";
import * as path from "node:path";
import { UserError, exitCode, messageOf } from "../base/errors";
import { addon } from "./addon";
import { listFolder, realPath, withOpen } from "./kernelfiles";
import { readMounts, type MountEntry } from "./mounttable";
import { readSwaps, type SwapArea } from "./procswaps";

/** Opens the device for reading for a moment (never O_EXCL) and asks the kernel. */
export function blockDeviceFacts(device: string): { deviceNumber: string; byteLength: number; readOnly: boolean } {
  try {
    return withOpen(device, "r", (fd) => ({
      deviceNumber: deviceNumberOf(fs.fstatSync(fd).rdev),
      byteLength: addon().blockDeviceByteLength(fd),
      readOnly: addon().blockDeviceReadOnly(fd),
    }));
  } catch (error) {
    throw new UserError(exitCode.mountFailed, `cannot examine ${device}: ${messageOf(error)}, is it a block device that root may open?`);
  }
}

/** st_rdev or st_dev as "major:minor" (makedev of glibc, as Linux packs it for stat(2)). */
export function deviceNumberOf(rdev: number): string {
  const value = BigInt(rdev);
  const major = ((value >> 8n) & 0xfffn) | ((value >> 32n) & 0xfffff000n);
  const minor = (value & 0xffn) | ((value >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

export interface DeviceUse {
  readonly kind: "mounted" | "swapped on" | "held";
  /** The device itself, or a partition on it. */
  readonly deviceNumber: string;
  /** Mountpoint, or the device that holds it (dm-0, md1). */
  readonly by: string;
}

/** Everything that uses the device or a partition on it, in this mount namespace. */
export function deviceUses(
  deviceNumber: string, sysfs = "/sys", mounts: readonly MountEntry[] = readMounts(), areas: readonly SwapArea[] = readSwaps(),
): DeviceUse[] {
  const swaps = areas.filter((area) => area.type === "partition");
  return withPartitions(deviceNumber, sysfs).flatMap((number): DeviceUse[] => [
    ...mounts.filter((mount) => mount.deviceNumber === number)
      .map((mount): DeviceUse => ({ kind: "mounted", deviceNumber: number, by: mount.mountpoint })),
    ...swaps.filter((area) => path.basename(area.path) === nameOf(number, sysfs))
      .map((area): DeviceUse => ({ kind: "swapped on", deviceNumber: number, by: area.path })),
    ...listFolder(path.join(sysfs, "dev/block", number, "holders"))
      .map((by): DeviceUse => ({ kind: "held", deviceNumber: number, by })),
  ]);
}

function withPartitions(deviceNumber: string, sysfs: string): string[] {
  const folder = path.join(sysfs, "dev/block", deviceNumber);
  const partitions = listFolder(folder)
    .filter((name) => fs.existsSync(path.join(folder, name, "partition")))
    .map((name) => fs.readFileSync(path.join(folder, name, "dev"), "utf8").trim());
  return [deviceNumber, ...partitions];
}

/** The kernel's name, "sdb1": what /dev and /proc/swaps call it. */
function nameOf(deviceNumber: string, sysfs: string): string | undefined {
  const folder = realPath(path.join(sysfs, "dev/block", deviceNumber));
  return folder && path.basename(folder);
}
