// Active swap areas, /proc/swaps (swap_show, mm/swapfile.c). Reading it touches no swapfile.

import { readFileSync } from "node:fs";

import { mountHolding, readMounts, type MountEntry } from "./mounttable";
import { unescapeOctal } from "./kernelfiles";

export interface SwapArea {
  /** Of the file or device, without the kernel's " (deleted)". */
  readonly path: string;
  /** The file was unlinked while it is swapped on. */
  readonly deleted: boolean;
  readonly type: "file" | "partition";
  readonly byteLength: number;
  readonly usedBytes: number;
  readonly priority: number;
}

export function readSwaps(file = "/proc/swaps"): SwapArea[] {
  return parseSwaps(readFileSync(file, "utf8"));
}

const deletedSuffix = " (deleted)";

/** Filename Type Size Used Priority, sizes in KiB, one heading line. */
export function parseSwaps(text: string): SwapArea[] {
  return text.split("\n").slice(1).flatMap((line) => {
    const [name, type, size, used, priority] = line.split(/\s+/);
    if (name === undefined || priority === undefined || (type !== "file" && type !== "partition")) return [];
    const shown = unescapeOctal(name);
    const deleted = shown.endsWith(deletedSuffix);
    return [{
      path: deleted ? shown.slice(0, -deletedSuffix.length) : shown,
      deleted,
      type,
      byteLength: Number(size) * 1024,
      usedBytes: Number(used) * 1024,
      priority: Number(priority),
    }];
  });
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
