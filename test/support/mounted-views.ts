// What tests of block views have in common: a volume on which they make some, and what the kernel shows of them.

import { promises as fs } from "node:fs";
import path from "node:path";

import { mountSwapfs, serving, statusOf } from "./mounted";
import { withCleanup, type Cleanup } from "./mounted-cleanup";
import { scratchDir, zramDevice } from "./mounted-devices";
import { must, run, swapfs, until, type Done } from "./mounted-run";

export const MiB = 1 << 20;

export interface Loop {
  readonly device: string;
  readonly offset: number;
  readonly limit: number;
  readonly autoclear: boolean;
}

/** Loop devices over a part of `source`. */
export async function viewsOver(source: string): Promise<Loop[]> {
  const listed = await must("losetup", ["--list", "--noheadings", "--raw", "--output", "NAME,OFFSET,SIZELIMIT,AUTOCLEAR,DIO,LOG-SEC,BACK-FILE"]);
  return listed.split("\n").map((line) => line.split(/\s+/)).filter((fields) => fields[6] === source && fields[2] !== "0").map((fields) => {
    expect(fields.slice(4, 6)).toEqual(["1", "4096"]);
    return { device: fields[0]!, offset: Number(fields[1]), limit: Number(fields[2]), autoclear: fields[3] === "1" };
  });
}

export async function priorityOf(device: string): Promise<string | undefined> {
  return (await fs.readFile("/proc/swaps", "utf8")).split("\n").find((line) => line.startsWith(`${device} `))?.split(/\s+/)[4];
}

export interface Volume {
  readonly cleanup: Cleanup;
  readonly source: string;
  readonly mountpoint: string;
  at(name: string): string;
}

/** A volume on an image or on a device of its own; what is left on over it is swapped off before it goes. */
export async function onVolume(kind: "image" | "device", work: (volume: Volume) => Promise<void>, mebibytes = 64): Promise<void> {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const mountpoint = path.join(dir, "mnt");
    const source = kind === "image" ? path.join(dir, "disk.img") : await zramDevice(cleanup, mebibytes * MiB);
    cleanup.add("block views", async () => {
      for (const { device } of await viewsOver(source)) await run("swapoff", [device], { timeoutMs: 40_000 });
    });
    await mountSwapfs(cleanup, source, mountpoint, { args: kind === "image" ? ["--size", `${mebibytes}M`] : ["--format"] });
    cleanup.add("block views", async () => {
      for (const { device } of await viewsOver(source)) await run("swapoff", [device], { timeoutMs: 40_000 });
    });
    await work({ cleanup, source, mountpoint, at: (name) => path.join(mountpoint, name) });
  });
}

export async function on({ at }: Volume, name: string, ...options: string[]): Promise<string> {
  const done = await swapfs(["swapon", "--block", at(name), "--priority", "10", "--json", ...options]);
  expect([done.status, done.stderr]).toEqual([0, ""]);
  return JSON.parse(done.stdout).device;
}

export async function make({ at }: Volume, name: string, size = "16M"): Promise<void> {
  expect(await swapfs(["create", at(name), "--size", size, "--block"])).toMatchObject({ status: 0 });
}

export async function pidsOf(mountpoint: string): Promise<number[]> {
  const { processes } = await statusOf(mountpoint);
  return ["keeper", "dataPlane", "controlPlane"].map((name) => processes[name].pid); // the keeper first: it would start the others again
}

export async function killAll(mountpoint: string, pids?: readonly number[]): Promise<void> {
  for (const pid of pids ?? await pidsOf(mountpoint)) process.kill(pid, "SIGKILL");
  await until("they are gone", async () => (await serving(mountpoint)).length === 0);
}

/** Writes into every page that is free, and gives the device pages of what it got. */
export async function fillUp({ at, mountpoint }: Volume): Promise<[number, number][]> {
  await run("dd", ["if=/dev/urandom", `of=${at("fill")}`, "bs=1M", "oflag=direct"]);
  expect((await statusOf(mountpoint)).volume.freePages).toBeLessThan(256);
  const { extents } = JSON.parse((await swapfs(["map", at("fill"), "--json"])).stdout);
  return extents.map((one: { devicePage: number; count: number }) => [one.devicePage, one.count]);
}

/** At once: each waits for the end of what may be about to end. */
export async function expectRefused(device: string, commands: readonly string[][]): Promise<void> {
  const refused = { status: 12, stderr: expect.stringMatching(`block view, ${device} .*swapoff --all-views`) };
  expect(await Promise.all(commands.map((args) => swapfs(args)))).toEqual(commands.map(() => expect.objectContaining(refused)));
}

/** Sooner than by the flush every five seconds; somebody's command may look at the device as it goes. */
export async function unlinkSoon(file: string): Promise<void> {
  await until(`${file} is free`, () => fs.unlink(file).then(() => true, () => false), 2000);
}

export function expectApart(given: readonly [number, number][], { offset, limit }: Loop): void {
  const [page, count] = [offset / 4096, limit / 4096];
  expect(given.length).toBeGreaterThan(0);
  expect(given.filter(([from, pages]) => from < page + count && page < from + pages)).toEqual([]);
}

/** swapoff --all-views, by a swapoff(8) that has only these devices swapped off: others are somebody else's. */
export async function allViews(cleanup: Cleanup, devices: readonly string[]): Promise<Done> {
  const dir = await scratchDir(cleanup);
  const real = (await must("sh", ["-c", "command -v swapoff"])).trim();
  const script = `#!/bin/sh\ncase "$1" in ${devices.join("|")}) exec ${real} "$@";; esac\necho "swapoff: $1: Cannot allocate memory" >&2\nexit 1\n`;
  await fs.writeFile(path.join(dir, "swapoff"), script, { mode: 0o755 });
  return swapfs(["swapoff", "--all-views"], { env: { PATH: `${dir}:${process.env["PATH"]}` } });
}
