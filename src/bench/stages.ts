// What contenders are set up on: each kind of filesystem on a whole device, loop devices, swap areas. Every step undoes
// itself through the cleanup of the turn, in reverse order.

import { randomFillSync } from "node:crypto";
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { BenchContext } from "./context";
import { must, swapfs } from "./tools";

export type KernelFilesystem = "ext4" | "xfs" | "btrfs";

/** No work is left for the time of the measurement: ext4 would write its tables in the background. */
const makers: Readonly<Record<KernelFilesystem, readonly string[]>> = {
  ext4: ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
  xfs: ["-q", "-f"],
  btrfs: ["-q", "-f", "-d", "single", "-m", "single"],
};

export function makeKernel(kind: KernelFilesystem, device: string): void {
  must(`mkfs.${kind}`, [...makers[kind], device]);
}

export function mountKernel(context: BenchContext, kind: KernelFilesystem, device: string): string {
  const mountpoint = folderFor(context, kind);
  must("mount", ["-t", kind, device, mountpoint]);
  context.cleanup.add(`umount ${mountpoint}`, () => must("umount", [mountpoint]));
  return mountpoint;
}

/** ntfs-3g: the peer among FUSE filesystems, fuseblk with BMAP as we are. */
export function makeNtfs(device: string): void {
  must("mkntfs", ["-Q", "-F", "-q", device]);
}

export function mountNtfs(context: BenchContext, device: string): string {
  const mountpoint = folderFor(context, "ntfs");
  must("mount", ["-t", "ntfs-3g", device, mountpoint]);
  context.cleanup.add(`umount ${mountpoint}`, () => must("umount", [mountpoint]));
  return mountpoint;
}

/** An empty volume on the whole device, and from then on it mounts with mountOurs. */
export function mountOursFresh(context: BenchContext, device: string, engine: Engine = "native"): string {
  return mountOurs(context, device, engine, ["--format", "--force"]);
}

export type Engine = "native" | "fuse-native";

export function mountOurs(context: BenchContext, device: string, engine: Engine = "native", options: readonly string[] = []): string {
  const mountpoint = folderFor(context, engine);
  swapfs("mount", device, mountpoint, "--engine", engine, ...options);
  context.cleanup.add(`umount ${mountpoint}`, () => swapfs("umount", "--swapoff", mountpoint));
  return mountpoint;
}

/** Blocks of 4096 bytes, as swapfs swapon --loop has them. */
export function attachLoop(context: BenchContext, file: string, direct: boolean): string {
  const device = must("losetup", ["--find", "--show", "--sector-size", "4096", `--direct-io=${direct ? "on" : "off"}`, file]).trim();
  context.cleanup.add(`detach ${device}`, () => must("losetup", ["--detach", device]));
  return device;
}

/** Above what the machine has on: the workload's pages go here. */
export const swapPriority = "30000";

export function swapOn(context: BenchContext, target: string): void {
  must("swapon", ["-p", swapPriority, target]);
  context.cleanup.add(`swapoff ${target}`, () => must("swapoff", [target]));
}

/** An empty filesystem of a kind, mounted. */
export function freshKernel(context: BenchContext, kind: KernelFilesystem, device: string): string {
  makeKernel(kind, device);
  return mountKernel(context, kind, device);
}

/** Blocks allocated, nothing written. Not on btrfs with copy-on-write, where each write would take new ones. */
export function allocated(file: string, byteLength: number): string {
  must("touch", [file]);
  chmodSync(file, 0o600);
  must("fallocate", ["-l", String(byteLength), file]);
  return file;
}

/** Written with zeros, which zram keeps without memory: what ntfs-3g, without fallocate, has; and for loop devices, whose
 * host would otherwise convert unwritten extents in the middle of swap-out. */
export function written(file: string, byteLength: number): string {
  must("dd", ["if=/dev/zero", `of=${file}`, "bs=1M", `count=${byteLength / 2 ** 20}`, "conv=fsync", "status=none"]);
  chmodSync(file, 0o600);
  return file;
}

/** Contents that do not compress: zeros cost a zram device nothing and would flatter nobody. */
export function filled(path: string, byteLength: number): string {
  const chunk = Buffer.allocUnsafe(2 ** 20);
  const fd = openSync(path, path.startsWith("/dev/") ? "r+" : "w", 0o600);
  for (let written = 0; written < byteLength; written += chunk.length) writeSync(fd, randomFillSync(chunk));
  fsyncSync(fd);
  closeSync(fd);
  return path;
}

function folderFor(context: BenchContext, name: string): string {
  const folder = join(context.folder, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}
