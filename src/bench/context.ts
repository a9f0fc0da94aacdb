// What every row of the benchmark is given.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { addZram, givenDevice, type BenchDevice } from "./device";
import type { Cleanup } from "./cleanup";
import { must, swapfs } from "./tools";

export interface BenchContext {
  /** scratch folder, removed at the end */
  readonly folder: string;
  readonly cleanup: Cleanup;
  readonly signal: AbortSignal;
  readonly pairs: number;
  readonly givenDevice: string | undefined;
  readonly say: (text: string) => void;
}

/** Says what comes next, and is where Ctrl-C takes effect: everything between two steps is synchronous. */
export async function nextStep(context: BenchContext, text: string): Promise<void> {
  await setImmediate();
  context.signal.throwIfAborted();
  context.say(text);
}

export async function deviceFor(context: BenchContext, byteLength: number): Promise<BenchDevice> {
  return context.givenDevice === undefined ? addZram(byteLength, context.cleanup) : givenDevice(context.givenDevice, byteLength);
}

/** Our volume on the whole device, empty. */
export function mountFresh(context: BenchContext, device: string): string {
  const mountpoint = folderFor(context, "swapfs");
  context.cleanup.add(`umount ${mountpoint}`, () => tryQuietly(() => swapfs("umount", "--swapoff", mountpoint)));
  swapfs("mount", device, mountpoint, "--format", "--force");
  return mountpoint;
}

export function unmountOurs(mountpoint: string): void {
  swapfs("umount", "--swapoff", mountpoint);
}

/** ntfs-3g on the whole device, empty: the peer among FUSE filesystems, fuseblk with BMAP as we are. */
export function mountNtfs(context: BenchContext, device: string): string {
  const mountpoint = folderFor(context, "ntfs");
  context.cleanup.add(`umount ${mountpoint}`, () => tryQuietly(() => must("umount", [mountpoint])));
  must("mkntfs", ["-Q", "-F", "-q", device]);
  must("mount", ["-t", "ntfs-3g", device, mountpoint]);
  return mountpoint;
}

function folderFor(context: BenchContext, name: string): string {
  const folder = join(context.folder, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

function tryQuietly(work: () => unknown): void {
  try {
    work();
  } catch {
    // Done already by the row itself.
  }
}

/** Which of the two goes first changes from pair to pair. */
export function pairOrder(pair: number): readonly ["ours", "peer"] | readonly ["peer", "ours"] {
  return pair % 2 === 0 ? ["ours", "peer"] : ["peer", "ours"];
}
