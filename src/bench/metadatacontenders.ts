// Filesystems with many files: how each is made on a device, and mounted again.

import type { BenchContext } from "./context";
import type { ContenderId } from "./contenders";
import { makeKernel, makeNtfs, mountKernel, mountNtfs, mountOurs, mountOursFresh } from "./stages";

export interface FilesystemStage {
  /** Makes it and mounts it. */
  readonly fresh: (context: BenchContext, device: string) => string;
  /** Mounts it as it was left. */
  readonly again: (context: BenchContext, device: string) => string;
}

export const filesystemStages = {
  swapfs: { fresh: (context, device) => mountOursFresh(context, device), again: (context, device) => mountOurs(context, device) },
  ext4: {
    fresh: (context, device) => (makeKernel("ext4", device), mountKernel(context, "ext4", device)),
    again: (context, device) => mountKernel(context, "ext4", device),
  },
  "ntfs-3g": { fresh: (context, device) => (makeNtfs(device), mountNtfs(context, device)), again: mountNtfs },
  "fuse-native": {
    fresh: (context, device) => mountOursFresh(context, device, "fuse-native"),
    again: (context, device) => mountOurs(context, device, "fuse-native"),
  },
} as const satisfies Partial<Record<ContenderId, FilesystemStage>>;

export type FilesystemContender = keyof typeof filesystemStages;
