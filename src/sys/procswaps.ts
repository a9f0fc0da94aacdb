// Active swap areas, /proc/swaps (swap_show, mm/swapfile.c). Reading it touches no swapfile.

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { mountHolding, readMounts, type MountEntry } from "./mounttable";
import { unescapeOctal } from "./kernelfiles";

export type SwapArea = Readonly<ReturnType<typeof parseSwaps>[number]>;

export function readSwaps(file = "/proc/swaps"): SwapArea[] {
  return parseSwaps(readFileSync(file, "utf8"));
}

const deletedSuffix = " (deleted)";

/** A path as the kernel shows it, and whether its file was unlinked. */
export function withoutDeleted(shown: string): { path: string; deleted: boolean } {
  const deleted = shown.endsWith(deletedSuffix);
  return { path: deleted ? shown.slice(0, -deletedSuffix.length) : shown, deleted };
}

/** Filename Type Size Used Priority, sizes in KiB, one heading line. */
export function parseSwaps(text: string) {
  return text.split("\n").slice(1).flatMap((line) => {
    const [name, type, size, used, priority] = line.split(/\s+/);
    if (name === undefined || priority === undefined || (type !== "file" && type !== "partition")) return [];
    return [{
      ...withoutDeleted(unescapeOctal(name)),
      type: type as "file" | "partition",
      byteLength: Number(size) * 1024,
      usedBytes: Number(used) * 1024,
      priority: Number(priority),
    }];
  });
}

/**
 * The swap area on a block device, by the name of its node alone: the path is that of the mount that it was swapped on through, which
 * may be another one than ours (a chroot's /dev), or gone.
 */
export function areaOnDevice(device: string, areas: readonly SwapArea[] = readSwaps()): SwapArea | undefined {
  return areas.find(({ type, path }) => type === "partition" && basename(path) === basename(device));
}

/**
 * Swapfiles on the filesystem with this device number, through whichever of its mounts. The kernel shows paths as this
 * process's root sees them; those of a mount that was detached (umount -l) begin at the root of that.
 */
export function swapsOn(
  deviceNumber: string, areas: readonly SwapArea[] = readSwaps(), mounts: readonly MountEntry[] = readMounts(),
): SwapArea[] {
  return areas.filter((area) => area.type === "file" && mountHolding(mounts, area.path)?.deviceNumber === deviceNumber);
}
