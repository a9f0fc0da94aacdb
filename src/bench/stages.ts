// What contenders are set up on: each kind of filesystem on a whole device, loop devices, swap areas. Every step undoes
// itself through the cleanup of the turn, in reverse order.

import { randomFillSync } from "node:crypto";
import { chmodSync, fsyncSync, mkdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { withOpen } from "../sys/kernelfiles";
import type { BenchContext } from "./context";
import { must, swapfs, timed } from "./tools";

/** How those of others are made. No work is left for the time of the measurement: ext4 would write its tables in the background. */
const makers = {
  ext4: ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
  xfs: ["mkfs.xfs", "-q", "-f"],
  btrfs: ["mkfs.btrfs", "-q", "-f", "-d", "single", "-m", "single"],
  // The peer among FUSE filesystems: fuseblk with BMAP, as we are.
  "ntfs-3g": ["mkntfs", "-Q", "-F", "-q"],
} as const;
/** Engines, by the names that ours have as contenders. */
const engines = { swapfs: "native", "fuse-native": "fuse-native" } as const;

export type OurFilesystem = keyof typeof engines;
export type Filesystem = keyof typeof makers | OurFilesystem;

function isOurs(kind: Filesystem): kind is OurFilesystem {
  return kind in engines;
}

/** An empty one on the whole device. */
export function make(kind: keyof typeof makers, device: string): void {
  const [program, ...options] = makers[kind];
  must(program, [...options, device]);
}

/** Mounts it as it was left. */
export function mount(context: BenchContext, kind: Filesystem, device: string, options: readonly string[] = []): string {
  const mountpoint = folderFor(context, kind);
  if (isOurs(kind)) swapfs("mount", device, mountpoint, "--engine", engines[kind], ...options);
  else must("mount", ["-t", kind, device, mountpoint]);
  context.cleanup.add(`umount ${mountpoint}`, () => (isOurs(kind) ? swapfs("umount", "--swapoff", mountpoint) : must("umount", [mountpoint])));
  return mountpoint;
}

/** An empty one, mounted. */
export function fresh(context: BenchContext, kind: Filesystem, device: string): string {
  if (isOurs(kind)) return mount(context, kind, device, ["--format", "--force"]);
  make(kind, device);
  return mount(context, kind, device);
}

/** Blocks of 4096 bytes, as swapfs swapon --loop has them. */
export function attachLoop(context: BenchContext, file: string, direct: boolean, part?: { readonly offset: number; readonly length: number }): string {
  const bytes = part === undefined ? [] : ["--offset", String(part.offset), "--sizelimit", String(part.length)];
  const device = must("losetup", ["--find", "--show", "--sector-size", "4096", `--direct-io=${direct ? "on" : "off"}`, ...bytes, file]).trim();
  context.cleanup.add(`detach ${device}`, () => must("losetup", ["--detach", device]));
  return device;
}

/** Above what the machine has on: the workload's pages go here. */
export const swapPriority = "30000";

/** Seconds that it takes. */
export function swapOn(context: BenchContext, target: string): number {
  const seconds = timed("swapon", ["-p", swapPriority, target]);
  context.cleanup.add(`swapoff ${target}`, () => must("swapoff", [target]));
  return seconds;
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
  withOpen(path, path.startsWith("/dev/") ? "r+" : "w", (fd) => {
    for (let written = 0; written < byteLength; written += chunk.length) writeSync(fd, randomFillSync(chunk));
    fsyncSync(fd);
  });
  return path;
}

function folderFor(context: BenchContext, name: string): string {
  const folder = join(context.folder, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}
