// Scratch directories, image files, loop and zram devices. Everything goes on the cleanup stack at once.

import { constants, promises as fs } from "node:fs";
import os from "node:os";
import path from "node:path";

import type { Cleanup } from "./mounted-cleanup";
import { must, run, until } from "./mounted-run";
import { claimZram } from "./runs";

/** An empty directory; at the end nothing may be mounted in it, swapped on in it, or served from it. */
export async function scratchDir(cleanup: Cleanup): Promise<string> {
  const dir = await fs.mkdtemp(path.join(os.tmpdir(), "swapfs-test-"));
  await fs.chmod(dir, 0o755);
  cleanup.add(dir, async () => {
    let left: string[] = [];
    // A mount namespace made meanwhile, by whatever else runs here, holds copies of this test's mounts, and their devices, until it ends.
    await until("nothing is left", async () => (left = await leftIn(dir)).length === 0, 60_000).catch(() => { throw new Error(left.join("; ")); });
    await fs.rm(dir, { recursive: true, force: true });
  });
  return dir;
}

/** Mounts, active swap, loop devices and processes that have to do with `dir`. */
export async function leftIn(dir: string): Promise<string[]> {
  const named = (text: string, what: string): string[] =>
    text.split("\n").filter((line) => line.includes(`${dir}/`)).map((line) => `${what}: ${line}`);
  return [
    ...named(await fs.readFile("/proc/self/mountinfo", "utf8"), "still mounted"),
    ...named(await fs.readFile("/proc/swaps", "utf8"), "still swapped on"),
    ...named(await must("losetup", ["--list", "--noheadings", "--output", "NAME,BACK-FILE"]), "still attached"),
    ...(await processesNaming(`${dir}/`)).map((line) => `still running: ${line}`),
  ];
}

/** "PID command line" of every other process whose command line contains `text`. */
export async function processesNaming(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await fs.readdir("/proc")) {
    if (!/^\d+$/.test(pid) || pid === String(process.pid)) continue;
    const line = await fs.readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (line.includes(text)) found.push(`${pid} ${line.replaceAll("\0", " ").trim()}`);
  }
  return found;
}

/** A sparse file of `bytes` bytes. */
export async function imageFile(dir: string, name: string, bytes: number): Promise<string> {
  const file = path.join(dir, name);
  const handle = await fs.open(file, "w");
  await handle.truncate(bytes);
  await handle.close();
  return file;
}

export async function attachLoop(cleanup: Cleanup, file: string, ...options: string[]): Promise<string> {
  const device = (await must("losetup", ["--find", "--show", "--direct-io=on", ...options, file])).trim();
  cleanup.add(device, async () => {
    const listed = await must("losetup", ["--list", "--noheadings", "--output", "BACK-FILE", device]).catch(() => "");
    if (listed.trim() === file) await must("losetup", ["--detach", device]);
  });
  return device;
}

/** After a umount: until no copy of the mount in another mount namespace holds the device any more. */
export function unused(device: string): Promise<void> {
  return until(`${device} can be claimed`, () =>
    fs.open(device, constants.O_RDONLY | constants.O_EXCL).then((handle) => handle.close().then(() => true), () => false), 60_000);
}

/** A zram device of its own number, so that nobody else's is touched. */
export async function zramDevice(cleanup: Cleanup, bytes: number): Promise<string> {
  await must("sh", ["-c", "test -e /sys/class/zram-control || modprobe zram"]);
  const id = (await fs.readFile("/sys/class/zram-control/hot_add", "utf8")).trim();
  const device = `/dev/zram${id}`;
  const claim = claimZram(id);
  cleanup.add(device, async () => {
    // udev may hold the device open for a moment after its last user.
    await until(`${device} is free`, async () =>
      (await run("sh", ["-c", `echo 1 >/sys/block/zram${id}/reset`])).status === 0);
    await fs.writeFile("/sys/class/zram-control/hot_remove", id);
    claim.release();
  });
  await fs.writeFile(`/sys/block/zram${id}/disksize`, String(bytes));
  await until(`${device} exists`, () => fs.access(device).then(() => true, () => false));
  return device;
}

/** Flushes that a block device has carried out (Documentation/block/stat.rst, "flush I/Os"). */
export async function flushesOf(device: string): Promise<number> {
  const stat = await fs.readFile(`/sys/class/block/${path.basename(device)}/stat`, "utf8");
  return Number(stat.trim().split(/\s+/)[15]);
}
