// A volume with more mounts than one, with another than its first, or with none here: swap on it is found all the same, and
// there is a way back.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { swapfile } from "../support/gate";
import { isMounted, killAndAwait, pidOf, serving, statusOf } from "../support/mounted";
import { imageUnderTest } from "../support/mounted-image";
import { must, run, swapfs, until } from "../support/mounted-run";
import { namespaceCommand } from "../support/namespace";

const volume = imageUnderTest("96M");
const swaps = async (mountpoint: string): Promise<string[]> => (await statusOf(mountpoint)).swap.map(({ path: name }: { path: string }) => name);
const activeAreas = async (): Promise<string> => fs.readFile("/proc/swaps", "utf8");

/** Swap on through `name`; off again by whatever name works at the end. */
async function whileOn(file: string, names: readonly string[], body: () => Promise<void>): Promise<void> {
  await must("swapon", ["-p", "10", file]);
  try {
    await body();
  } finally {
    for (const name of [file, ...names]) await run("swapoff", [name]);
  }
}

test("a bind mount: swap on through it shows at both, holds its own umount and not the other's, and swapoff knows the file by both names", async () => {
  const other = path.join(volume.dir, "bind");
  await fs.mkdir(path.join(volume.mountpoint, "folder"));
  const file = await swapfile(path.join(volume.mountpoint, "folder"), "a");
  await fs.mkdir(other);
  await must("mount", ["--bind", path.join(volume.mountpoint, "folder"), other]);
  try {
    const bound = path.join(other, "a");
    await whileOn(bound, [file], async () => {
      expect([await swaps(volume.mountpoint), await swaps(other)]).toEqual([[bound], [bound]]);
      expect(await swapfs(["swapon", file])).toMatchObject({ status: 0, stdout: `${file} is swapped on already\n` });
      expect(await swapfs(["swapon", "--loop", file])).toMatchObject({ status: 12 });
      const held = await swapfs(["umount", other]);
      expect([held.status, held.stderr]).toEqual([12, expect.stringContaining(`${bound} is swapped on`)]);
      expect(await swapfs(["swapoff", file])).toMatchObject({ status: 0, stdout: `${file} is swapped off\n` });
      expect(await activeAreas()).not.toContain(bound);
    });
    expect(await swapfs(["umount", other])).toMatchObject({ status: 0, stdout: `${other} is unmounted; the volume is still mounted at ${volume.mountpoint}\n` });
    expect(await swapfs(["check", file])).toMatchObject({ status: 0 });
  } finally {
    await run("umount", [other]);
  }
});

test("a moved mount: status, check and swapoff go on, also after the death of a process", async () => {
  const file = await swapfile(volume.mountpoint, "b");
  const moved = path.join(volume.dir, "moved");
  const away = path.join(moved, "b");
  await fs.mkdir(moved);
  await whileOn(file, [away], async () => {
    // A mount below a shared one cannot be moved.
    const parent = volume.mountpoint;
    if ((await run("mount", ["--move", parent, moved])).status !== 0) {
      await must("mount", ["--bind", parent, moved]);
      await must("umount", ["-l", parent]);
    }
    try {
      for (const role of ["control plane", "data plane"] as const) await killAndAwait(volume.mountpoint, role);
      await until("the control plane answers", async () => (await statusOf(moved)).files !== undefined);
      expect(await swaps(moved)).toEqual([away]);
      expect((await statusOf(moved)).processes.controlPlane).toMatchObject({ running: true });
      expect(await swapfs(["check", away])).toMatchObject({ status: 0 });
      const held = await swapfs(["umount", moved]);
      expect([held.status, held.stderr]).toEqual([12, expect.stringContaining(`${away} is swapped on`)]);
      expect(await swapfs(["swapoff", away])).toMatchObject({ status: 0, stdout: `${away} is swapped off\n` });
    } finally {
      await must("mount", ["--bind", moved, volume.mountpoint]);
      await must("umount", [moved]);
    }
  });
});

test("umount -l with swap on: mount attaches the live volume again, and swapoff and umount work there", async () => {
  const file = await swapfile(volume.mountpoint, "c");
  const keeper = (await pidOf(volume.mountpoint, "keeper"))!;
  const { device } = await statusOf(volume.mountpoint);
  await must("swapon", ["-p", "10", file]);
  await must("umount", ["-l", volume.mountpoint]);
  try {
    expect((await swapfs(["status"])).stdout).toContain(`${volume.image} lives but is not mounted here`);
    const nowhere = await swapfs(["umount", volume.mountpoint]);
    expect([nowhere.status, nowhere.stderr]).toEqual([12, expect.stringContaining(`${volume.image} was, mount it there again`)]);
    expect(await swapfs(["mount", volume.image, volume.mountpoint])).toMatchObject({ status: 0, stdout: expect.stringContaining("again: its mount had been detached") });
    expect(await pidOf(volume.mountpoint, "keeper")).toBe(keeper);
    expect(await swaps(volume.mountpoint)).toEqual([file]);
    const held = await swapfs(["umount", volume.mountpoint]);
    expect([held.status, held.stderr]).toEqual([12, expect.stringContaining(`${file} is swapped on`)]);
    expect(await swapfs(["umount", "--swapoff", volume.mountpoint])).toMatchObject({ status: 0 });
    expect(await isMounted(volume.mountpoint)).toBe(false);
    expect(await serving(volume.mountpoint)).toEqual([]);
  } finally {
    // Without this way to it the area would stay on until a reboot.
    if ((await activeAreas()).includes("/c ")) await run("sh", ["-c", `mountpoint -q "$1" || mount -i -t fuseblk "$0" "$1"; swapoff "$1/c"`, device, volume.mountpoint]);
  }
  expect(await swapfs(["mount", volume.image, volume.mountpoint])).toMatchObject({ status: 0 });
});

test("the only mount is in another namespace: mount says where, and how to get there", async () => {
  const dir = path.join(volume.dir, "ns");
  await fs.mkdir(dir);
  const image = path.join(volume.dir, "other.img");
  const script = `"$NODE" "$CLI" mount "$I" "$M" --size 64M >/dev/null && echo $$ && read -r line; umount "$M"`;
  const cli = path.resolve(__dirname, "../../dist/cli/main.js");
  const [program, ...args] = namespaceCommand(volume.dir, script);
  const shell = spawn(program, args, {
    stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, NODE: process.execPath, CLI: cli, I: image, M: dir },
  });
  const ended = new Promise((resolve) => shell.once("exit", resolve));
  try {
    await new Promise((resolve) => shell.stdout.once("data", resolve));
    const there = await swapfs(["mount", image, volume.dir]);
    expect(there.status).toBe(12);
    expect(there.stderr).toMatch(new RegExp(`it is mounted at ${dir} in the mount namespace of process \\d+ .*nsenter --mount --target \\d+ swapfs status ${dir}`));
  } finally {
    shell.stdin.end("\n");
    await ended;
  }
});
