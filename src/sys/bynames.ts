// Names of a block device that survive a reboot: the links that udev makes below /dev/disk.

import { readdirSync, readlinkSync } from "node:fs";
import * as path from "node:path";
import { ifAny } from "./kernelfiles";

const folders: readonly (readonly [folder: string, prefix: string | undefined])[] = [
  ["by-partuuid", "PARTUUID="], ["by-uuid", "UUID="], ["by-id", undefined], ["by-path", undefined],
];

/** As root= and resume= of the kernel's command line take it: PARTUUID=…, UUID=…, else a path; `device` when there is none. */
export function lastingName(device: string, disk = "/dev/disk"): string {
  for (const [folder, prefix] of folders) {
    const [link] = linksTo(path.basename(device), path.join(disk, folder));
    if (link !== undefined) return prefix === undefined ? path.join(disk, folder, link) : `${prefix}${link}`;
  }
  return device;
}

function linksTo(name: string, folder: string): string[] {
  return ifAny(() => readdirSync(folder).filter((link) => path.basename(readlinkSync(path.join(folder, link))) === name).sort()) ?? [];
}
