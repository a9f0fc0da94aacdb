// Loop devices over files of a mount, and the swap areas on them. From /sys and /proc/swaps: no mount is touched.

import { readdirSync } from "node:fs";
import { readText } from "./kernelfiles";
import { backingFile } from "./loop";
import { isAtOrBelow } from "./mounttable";
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

/** Loop devices whose backing file lies at or below `path`. */
export function loopsBelow(path: string, areas: readonly SwapArea[] = readSwaps(), sysfs = "/sys"): LoopOverFile[] {
  return readdirSync(`${sysfs}/block`).filter((name) => /^loop\d+$/.test(name)).flatMap((name) => {
    const shown = backingFile(`/dev/${name}`, sysfs);
    if (shown === undefined) return [];
    const file = shown.endsWith(deletedSuffix) ? shown.slice(0, -deletedSuffix.length) : shown;
    if (!isAtOrBelow(file, path)) return [];
    const autoclear = readText(`${sysfs}/block/${name}/loop/autoclear`) === "1";
    return [{ device: `/dev/${name}`, file, autoclear, area: areas.find((area) => area.path === `/dev/${name}`) }];
  });
}
