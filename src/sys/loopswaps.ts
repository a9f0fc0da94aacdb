// Loop devices over files of a mount, and the swap areas on them. From /sys and /proc/swaps: no mount is touched.

import { readdirSync } from "node:fs";
import { deviceNumberOf } from "./blockdevice";
import { isSameFile } from "./imagebelow";
import { readText, statIfAny } from "./kernelfiles";
import { backingFile } from "./loop";
import { mountHolding, readMounts, type MountEntry } from "./mounttable";
import { readSwaps, type SwapArea } from "./procswaps";

export interface LoopOverFile {
  /** /dev/loop3 */
  readonly device: string;
  /** as the kernel names it, without " (deleted)" */
  readonly file: string;
  /** it goes with its last user, as ours do */
  readonly autoclear: boolean;
  /** the swap area on it, when there is one */
  readonly area: SwapArea | undefined;
}

const deletedSuffix = " (deleted)";

/** Loop devices over files of the filesystem with this device number, through whichever of its mounts. */
export function loopsOverFilesOf(
  deviceNumber: string, areas: readonly SwapArea[] = readSwaps(), mounts: readonly MountEntry[] = readMounts(), sysfs = "/sys",
): LoopOverFile[] {
  return readdirSync(`${sysfs}/block`).filter((name) => /^loop\d+$/.test(name)).flatMap((name) => {
    const shown = backingFile(`/dev/${name}`, sysfs);
    if (shown === undefined) return [];
    const file = shown.endsWith(deletedSuffix) ? shown.slice(0, -deletedSuffix.length) : shown;
    if (mountHolding(mounts, file)?.deviceNumber !== deviceNumber) return [];
    const autoclear = readText(`${sysfs}/block/${name}/loop/autoclear`) === "1";
    return [{ device: `/dev/${name}`, file, autoclear, area: areas.find((area) => area.path === `/dev/${name}`) }];
  });
}

/** Of this file, under any of its names; of its name alone once it is unlinked. */
export function loopsOverFile(path: string): LoopOverFile[] {
  const stat = statIfAny(path);
  const number = stat === undefined ? mountHolding(readMounts(), path)?.deviceNumber : deviceNumberOf(stat.dev);
  return number === undefined ? [] : loopsOverFilesOf(number).filter(({ file }) => isSameFile(file, path));
}
