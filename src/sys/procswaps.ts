// Active swap areas, /proc/swaps (swap_show, mm/swapfile.c). Reading it touches no swapfile.

import { readFileSync } from "node:fs";

import { isAtOrBelow } from "./mounttable";
import { unescapeOctal } from "./unescape";

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

/** Swapfiles at or below a mountpoint. The kernel shows paths as this process's root sees them. */
export function swapsBelow(mountpoint: string, areas: readonly SwapArea[] = readSwaps()): SwapArea[] {
  return areas.filter((area) => area.type === "file" && isAtOrBelow(area.path, mountpoint));
}
