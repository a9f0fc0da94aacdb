// The demo's work: the same memory workload on a swapfile of a swapfs volume, then on the raw loop device below.

import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Cleanup } from "../../bench/cleanup";
import { addon } from "../../sys/addon";
import { attachImage } from "../../sys/loop";
import { runPressure, type PressureProgress, type PressureResult } from "../../sys/pressure";
import { readSwaps } from "../../sys/procswaps";
import { mustRun, runTool } from "../common/children";
import { createSwapfile } from "../swap/create";
import { closeQuietly } from "../mount/keeper";
import { requireVolumeAt, volumeAt } from "../common/mounted";
import { mountSource } from "../mount/mounting";
import { defaultMountFlags } from "../mount/mountoptions";
import { failed } from "../common/outcome";
import { requestsSeen } from "../status/session";
import { unmount } from "../mount/unmounting";

export interface DemoOptions {
  readonly byteLength: number;
  readonly residentBytes: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
  readonly onStep: (text: string) => void;
  readonly onProgress: (progress: PressureProgress) => void;
}

export interface DemoRun extends PressureResult {
  readonly on: "swapfs" | "loop";
  /** FUSE requests that the daemon read while the workload ran */
  readonly fuseRequests: number;
}

/** Room for everything that is filled, should nothing at all stay resident. */
const swapShare = 1.25;

export async function runOnSwapfs(folder: string, options: DemoOptions, cleanup: Cleanup): Promise<DemoRun> {
  const source = join(folder, "volume");
  const mountpoint = join(folder, "mnt");
  mkdirSync(source);
  mkdirSync(mountpoint);
  options.onStep(`swapfs mount ${source} ${mountpoint}`);
  cleanup.add(`umount ${mountpoint}`, async () => {
    const volume = volumeAt(mountpoint);
    if (volume) await unmount(volume, { swapoff: true });
  });
  await mountSource({
    source, mountpoint, size: volumeLength(options), format: false, force: false, foreground: false, engine: "native",
    flags: defaultMountFlags,
    // Whatever /tmp lies on: here only the demo's own memory is swapped, in a cgroup or by asking for it.
    allow: { cow: true, unmapped: true },
  });
  options.signal.throwIfAborted();
  const file = join(mountpoint, "swapfile");
  options.onStep(`swapfs create ${file} --size ${Math.round(swapLength(options) / 2 ** 20)}M --on`);
  createSwapfile(file, swapLength(options));
  swapOn(file);
  const volume = requireVolumeAt(mountpoint, "show");
  const before = requestsSeen(volume);
  const result = await workload(options);
  return { ...result, on: "swapfs", fuseRequests: requestsSeen(volume) - before };
}

export async function runOnLoop(folder: string, options: DemoOptions, cleanup: Cleanup): Promise<DemoRun> {
  const image = join(folder, "raw.img");
  options.onStep("the same on a raw loop device over a file beside it");
  cleanup.add(`remove ${image}`, () => rmSync(image, { force: true }));
  allocateFile(image, swapLength(options));
  const loop = attachImage(image);
  cleanup.add(`detach ${loop.device}`, () => closeQuietly(loop.fd));
  chmodSync(loop.device, 0o600);
  mustRun("mkswap", [loop.device], `write a swap header on ${loop.device}`);
  cleanup.add(`swapoff ${loop.device}`, () => {
    if (readSwaps().some((area) => area.path === loop.device)) runTool("swapoff", [loop.device]);
  });
  swapOn(loop.device);
  return { ...(await workload(options)), on: "loop", fuseRequests: 0 };
}

function workload(options: DemoOptions): Promise<PressureResult> {
  const { byteLength, residentBytes, seconds, signal, onProgress } = options;
  return runPressure({ byteLength, residentBytes, seconds, signal, onProgress });
}

/** Above every other area, so that the workload's pages go here. */
function swapOn(path: string): void {
  const highest = Math.max(9, ...readSwaps().map((area) => area.priority));
  mustRun("swapon", ["-p", String(Math.min(highest + 1, 32767)), path], `swapon ${path}`, ", look at dmesg");
}

function allocateFile(path: string, byteLength: number): void {
  const fd = openSync(path, "wx+", 0o600);
  try {
    addon().fallocate(fd, 0, 0, byteLength);
    fsyncSync(fd);
  } catch (error) {
    throw failed(`cannot allocate ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}, set TMPDIR to a folder with more room`);
  } finally {
    closeSync(fd);
  }
}

function swapLength({ byteLength }: DemoOptions): number {
  return Math.ceil((byteLength * swapShare) / 2 ** 20) * 2 ** 20;
}

function volumeLength(options: DemoOptions): number {
  return swapLength(options) + 64 * 2 ** 20;
}
