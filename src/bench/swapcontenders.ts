// Swap areas of every kind on the same device: how each contender gets its area on.

import type { BenchContext } from "./context";
import type { ContenderId } from "./contenders";
import { allocated, attachLoop, makeNtfs, freshKernel, mountNtfs, mountOursFresh, swapOn, swapPriority, written } from "./stages";
import { must, requestsOf, swapfs } from "./tools";

export const areaBytes = 256 * 2 ** 20;
/** btrfs and xfs want room beside the file. */
export const swapDeviceBytes = 768 * 2 ** 20;

/** Requests that the daemon has seen so far; undefined for those without one that tells. */
export type RequestCount = (() => number) | undefined;

/** Swaps on; the turn's cleanup undoes it. */
export type SwapStage = (context: BenchContext, device: string) => RequestCount;

/** In the order in which they are shown; pairs with a bound stand side by side. */
export const swapStages = {
  device: (context, device) => {
    must("mkswap", ["-f", device, String(areaBytes / 1024)]);
    swapOn(context, device);
    return undefined;
  },
  swapfs: (context, device) => {
    const mountpoint = mountOursFresh(context, device);
    swapfs("create", `${mountpoint}/a`, "--size", String(areaBytes), "--on", "--priority", swapPriority);
    return () => requestsOf(mountpoint);
  },
  ext4: (context, device) => onFile(context, allocated(`${freshKernel(context, "ext4", device)}/a`, areaBytes)),
  xfs: (context, device) => onFile(context, allocated(`${freshKernel(context, "xfs", device)}/a`, areaBytes)),
  btrfs: (context, device) => {
    const file = `${freshKernel(context, "btrfs", device)}/a`;
    must("touch", [file]);
    must("chattr", ["+C", file]);
    return onFile(context, allocated(file, areaBytes));
  },
  "ntfs-3g": (context, device) => {
    makeNtfs(device);
    return onFile(context, written(`${mountNtfs(context, device)}/a`, areaBytes));
  },
  "loop-buffered": (context, device) => onLoop(context, device, false),
  "loop-direct": (context, device) => onLoop(context, device, true),
  "swapfs-loop": (context, device) => {
    const mountpoint = mountOursFresh(context, device);
    swapfs("create", `${mountpoint}/a`, "--size", String(areaBytes));
    swapfs("swapon", "--loop", `${mountpoint}/a`, "--priority", swapPriority);
    return () => requestsOf(mountpoint);
  },
} as const satisfies Partial<Record<ContenderId, SwapStage>>;

export type SwapContender = keyof typeof swapStages;

function onFile(context: BenchContext, file: string): RequestCount {
  must("mkswap", ["-q", file]);
  swapOn(context, file);
  return undefined;
}

function onLoop(context: BenchContext, device: string, direct: boolean): RequestCount {
  const file = written(`${freshKernel(context, "ext4", device)}/a`, areaBytes);
  return onFile(context, attachLoop(context, file, direct));
}
