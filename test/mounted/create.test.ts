// swapfs create on a device and on images on three hosts: what it makes passes the gate in both layers, and what it cannot
// make, or is told not to, leaves nothing.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { DeviceFaults } from "../support/faults";
import { hostFilesystem, hostTypes } from "../support/hosts";
import { mountSwapfs, swappedOn } from "../support/mounted";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { scratchDir, zramDevice } from "../support/mounted-devices";
import { must, projectDir, sh, swapfs, until } from "../support/mounted-run";

const MiB = 1 << 20;

async function mounted(cleanup: Cleanup, kind: (typeof hostTypes)[number] | "device", hostMiB = 700): Promise<string> {
  const dir = await scratchDir(cleanup);
  const mnt = path.join(dir, "mnt");
  if (kind === "device") await mountSwapfs(cleanup, await zramDevice(cleanup, 512 * MiB), mnt, { args: ["--format"] });
  else {
    const host = await hostFilesystem(cleanup, dir, kind, { bytes: hostMiB * MiB });
    await mountSwapfs(cleanup, path.join(host, "volume.img"), mnt, { args: ["--size", "1G"] });
  }
  return mnt;
}

test.each(["device", ...hostTypes] as const)("one extent, accepted in both layers, swapped on: %s", (kind) =>
  withCleanup(async (cleanup) => {
    const mnt = await mounted(cleanup, kind);
    const file = path.join(mnt, "a");
    expect(await swapfs(["create", file, "--size", "64M", "--on", "--priority", "10"])).toMatchObject({ status: 0 });
    try {
      expect(await swappedOn(mnt)).toEqual([file]);
      expect((await fs.stat(file)).mode & 0o7777).toBe(0o600);
    } finally {
      await must("swapoff", [file]);
    }
    expect(JSON.parse((await swapfs(["check", file, "--json"])).stdout)).toMatchObject({ accepted: true, extents: 1, pages: 16384 });
    const log = (await must("dmesg", [])).split("\n").filter((line) => line.includes(`swap on ${file}.`));
    expect(log.at(-1)).toMatch(/extents:1 /);
  }));

test.each(hostTypes)("a host that runs full: says so, and the host has its room back: %s", (kind) =>
  withCleanup(async (cleanup) => {
    const mnt = await mounted(cleanup, kind, 400);
    const image = path.join(path.dirname(mnt), (await fs.readdir(path.dirname(mnt))).find((name) => /^host-.*-\d+$/.test(name))!);
    const free = async (): Promise<number> => (await fs.statfs(image)).bavail * (await fs.statfs(image)).bsize;
    const before = await free();
    const done = await swapfs(["create", path.join(mnt, "a"), "--size", "800M"]);
    expect([done.status, done.stderr]).toEqual([12, expect.stringMatching(/cannot create .*\/a: .*(no room|no space|ENOSPC|free)/i)]);
    expect(await fs.readdir(mnt)).toEqual([]);
    const end = Date.now() + 15_000;
    while (before - (await free()) > 8 * MiB && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 200));
    expect(before - (await free())).toBeLessThan(8 * MiB);
    expect(await swapfs(["create", path.join(mnt, "b"), "--size", "32M"])).toMatchObject({ status: 0 });
  }));

test("Ctrl-C while zeros are written: no half file, and its room is free again", () =>
  withCleanup(async (cleanup) => {
    const mnt = await mounted(cleanup, "ext4");
    const free = (await fs.statfs(mnt)).bfree;
    const file = path.join(mnt, "a");
    const child = spawn(process.execPath, [path.join(projectDir, "dist/cli/main.js"), "create", file, "--size", "600M"], { stdio: "ignore" });
    await until("it has begun", async () => (await fs.readdir(mnt)).length > 0);
    child.kill("SIGINT");
    expect(await new Promise((resolve) => child.once("exit", resolve))).toBe(130);
    expect(await fs.readdir(mnt)).toEqual([]);
    await sh(`sync -f ${mnt}`);
    expect((await fs.statfs(mnt)).bfree).toBe(free);
  }));

test("killed while zeros are written: nothing has its name, and the next one has the room again", () =>
  withCleanup(async (cleanup) => {
    const mnt = await mounted(cleanup, "ext4");
    const file = path.join(mnt, "a");
    const free = (await fs.statfs(mnt)).bfree;
    const child = spawn(process.execPath, [path.join(projectDir, "dist/cli/main.js"), "create", file, "--size", "600M"], { stdio: "ignore" });
    const exit = new Promise((resolve) => child.once("exit", resolve));
    await until("it has begun to allocate", async () => (await fs.statfs(mnt)).bfree < free);
    child.kill("SIGSTOP"); // on a fast disk it would be done before the next one asks
    expect(await swapfs(["create", file, "--size", "8M"])).toMatchObject({ status: 12, stderr: expect.stringContaining("it is being created already") });
    child.kill("SIGKILL");
    await exit;
    await expect(fs.access(file)).rejects.toMatchObject({ code: "ENOENT" });
    expect(await swapfs(["create", file, "--size", "600M"])).toMatchObject({ status: 0 });
    expect(await fs.readdir(mnt)).toEqual(["a"]);
    expect(await swapfs(["create", file, "--size", "8M"])).toMatchObject({ status: 12, stderr: expect.stringContaining("it exists already") });
  }));

test("the device fails while the header is written: no half file", () =>
  withCleanup(async (cleanup) => {
    const faults = await DeviceFaults.make(path.join(await scratchDir(cleanup), "faults"));
    process.env["SWAPFS_TEST_FAULTS"] = faults.file;
    const mnt = await mounted(cleanup, "device").finally(() => delete process.env["SWAPFS_TEST_FAULTS"]);
    await faults.set({ kind: "fail", transfers: "write", count: 1e9 });
    const done = await swapfs(["create", path.join(mnt, "a"), "--size", "16M"]);
    expect([done.status, done.stderr]).toEqual([12, expect.stringMatching(/cannot write the swap header of /)]);
    await faults.clear();
    expect(await fs.readdir(mnt)).toEqual([]);
  }));
