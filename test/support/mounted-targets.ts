// The three filesystems that the suite of file operations runs on.

import path from "node:path";

import { mountSwapfs, umount } from "./mounted";
import type { Cleanup } from "./mounted-cleanup";
import { attachLoop, imageFile, scratchDir } from "./mounted-devices";
import { must } from "./mounted-run";

export type TargetName = "ext4" | "native" | "fuse-native";

export interface Mounted {
  readonly dir: string;
  remount(): Promise<void>;
}

export interface Target {
  readonly name: TargetName;
  mount(cleanup: Cleanup, bytes: number): Promise<Mounted>;
}

/** SWAPFS_TEST_TARGETS=ext4,native runs some of them only, for work on one. */
export function selectedTargets(): Target[] {
  const only = process.env["SWAPFS_TEST_TARGETS"]?.split(",");
  return targets.filter((target) => !only || only.includes(target.name));
}

const targets: readonly Target[] = [
  { name: "ext4", mount: mountExt4 },
  { name: "native", mount: (cleanup, bytes) => mountOurs(cleanup, bytes, "native") },
  { name: "fuse-native", mount: (cleanup, bytes) => mountOurs(cleanup, bytes, "fuse-native") },
];

async function mountExt4(cleanup: Cleanup, bytes: number): Promise<Mounted> {
  const dir = await scratchDir(cleanup);
  const image = await imageFile(dir, "ext4.img", bytes);
  await must("mkfs.ext4", ["-q", "-b", "4096", "-m", "0", "-O", "^resize_inode", image]);
  const device = await attachLoop(cleanup, image);
  const mountpoint = path.join(dir, "mnt");
  await must("mkdir", [mountpoint]);
  cleanup.add(mountpoint, () => must("umount", [mountpoint]));
  const mount = (): Promise<string> => must("mount", ["-t", "ext4", "-o", "nosuid,nodev", device, mountpoint]);
  await mount();
  return {
    dir: mountpoint,
    remount: async () => {
      await must("umount", [mountpoint]);
      await mount();
    },
  };
}

async function mountOurs(cleanup: Cleanup, bytes: number, engine: "native" | "fuse-native"): Promise<Mounted> {
  const dir = await scratchDir(cleanup);
  const image = path.join(dir, "volume.img");
  const mountpoint = path.join(dir, "mnt");
  await mountSwapfs(cleanup, image, mountpoint, { engine, args: ["--size", String(bytes)] });
  return {
    dir: mountpoint,
    remount: async () => {
      await umount(mountpoint);
      await mountSwapfs(cleanup, image, mountpoint, { engine });
    },
  };
}
