// Loop devices over files of a mount, and the swap areas on them. From /sys and /proc/swaps: no mount is touched.

import { readdirSync } from "node:fs";
import { deviceNumberOf } from "./blockdevice";
import { isSameFile } from "./imagebelow";
import { readText, statIfAny } from "./kernelfiles";
import { backingFile } from "./loop";
import { mountHolding, readMounts, type MountEntry } from "./mounttable";
import { areaOnDevice, readSwaps, withoutDeleted, type SwapArea } from "./procswaps";

export type LoopOverFile = Readonly<ReturnType<typeof loopsOverFilesOf>[number]>;

/** Loop devices over files of the filesystem with this device number, through whichever of its mounts. */
export function loopsOverFilesOf(
  deviceNumber: string, areas: readonly SwapArea[] = readSwaps(), mounts: readonly MountEntry[] = readMounts(), sysfs = "/sys",
) {
  return readdirSync(`${sysfs}/block`).filter((name) => /^loop\d+$/.test(name)).flatMap((name) => {
    const shown = backingFile(`/dev/${name}`, sysfs);
    if (shown === undefined) return [];
    const { path: file } = withoutDeleted(shown);
    if (mountHolding(mounts, file)?.deviceNumber !== deviceNumber) return [];
    return [{
      device: `/dev/${name}`,
      file,
      /** it goes with its last user, as ours do */
      autoclear: readText(`${sysfs}/block/${name}/loop/autoclear`) === "1",
      area: areaOnDevice(`/dev/${name}`, areas),
    }];
  });
}

/** Of this file, under any of its names; of its name alone once it is unlinked. */
export function loopsOverFile(path: string): LoopOverFile[] {
  const stat = statIfAny(path);
  const number = stat === undefined ? mountHolding(readMounts(), path)?.deviceNumber : deviceNumberOf(stat.dev);
  return number === undefined ? [] : loopsOverFilesOf(number).filter(({ file }) => isSameFile(file, path));
}
