// swapfs grow and shrink on mounted volumes with swap on, and what is refused.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { promises as fs } from "node:fs";
import path from "node:path";

import { killAndAwait, mountSwapfs, umount } from "../support/mounted";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { attachLoop, scratchDir, zramDevice } from "../support/mounted-devices";
import { bytesOnHost, hostFilesystem, hostTypes } from "../support/hosts";
import { pressure } from "../support/mounted-pressure";
import { must, projectDir, run, sh, swapfs, until } from "../support/mounted-run";
import { takesTurns } from "../support/turns";

const MiB = 2 ** 20;

async function volumeBytes(mountpoint: string): Promise<number> {
  const done = await swapfs(["grow", mountpoint, "--json"]);
  expect(done).toMatchObject({ status: 0 });
  return JSON.parse(done.stdout).bytes;
}

async function withSwap(file: string, work: () => Promise<void>): Promise<void> {
  await sh(`fallocate -l 96M "$F"; chmod 600 "$F"; mkswap "$F"; swapon -p 10 "$F"`, { env: { F: file } });
  try {
    await work();
  } finally {
    await must("swapoff", [file]);
  }
}

async function verifiedPressure(): Promise<void> {
  const done = await pressure(["--size", "80M", "--resident", "64M", "--seconds", "1"]);
  expect([done.status, done.status === 0 ? "" : done.stderr]).toEqual([0, ""]);
  expect(JSON.parse(done.stdout).badPages).toBe(0);
}

async function digest(file: string): Promise<string> {
  return createHash("sha256").update(await fs.readFile(file)).digest("hex");
}

/** A file of random bytes that lies behind another one, which is gone again. */
async function fileFarBehind(mountpoint: string, name: string, behindMiB: number, sizeMiB: number): Promise<string> {
  const file = path.join(mountpoint, name);
  await sh(`fallocate -l ${behindMiB}M "$M/gone"; dd if=/dev/urandom of="$F" bs=1M count=${sizeMiB} conv=fsync status=none; rm "$M/gone"`, { env: { M: mountpoint, F: file } });
  return file;
}

async function imageVolume(cleanup: Cleanup, size: string, source?: string): Promise<{ image: string; mountpoint: string }> {
  const dir = await scratchDir(cleanup);
  const image = path.join(source ?? dir, "volume.img");
  const mountpoint = path.join(dir, "mnt");
  await mountSwapfs(cleanup, image, mountpoint, { args: ["--size", size] });
  return { image, mountpoint };
}

describe("below active swap", () => {
  const turn = takesTurns("swap");

  test.each(hostTypes)("an image on %s grows and shrinks; its host has the room back", async (type) => {
    await withCleanup(async (cleanup) => {
      const host = await hostFilesystem(cleanup, await scratchDir(cleanup), type);
      const { image, mountpoint } = await imageVolume(cleanup, "160M", host);
      await withSwap(path.join(mountpoint, "swap"), async () => {
        const grown = await swapfs(["grow", mountpoint, "--size", "400M"]);
        expect(grown).toMatchObject({ status: 0, stderr: "" });
        expect(grown.stdout).toMatch(/grew from 160 MiB to 400 MiB: room for .* of data and \d+ files/);
        expect((await fs.stat(image)).size).toBe(400 * MiB);
        const file = await fileFarBehind(mountpoint, "kept", 200, 24);
        const before = await digest(file);
        await verifiedPressure();

        const shrunk = await swapfs(["shrink", mountpoint, "--size", "200M"]);
        expect(shrunk).toMatchObject({ status: 0 });
        expect(shrunk.stdout).toMatch(/shrank from 400 MiB to 200 MiB/);
        expect((await fs.stat(image)).size).toBe(200 * MiB);
        expect(await bytesOnHost(image)).toBeLessThan(160 * MiB);
        await fs.writeFile("/proc/sys/vm/drop_caches", "1");
        expect(await digest(file)).toBe(before);
        await verifiedPressure();
      });
      await turn.over();
      await umount(mountpoint);
      expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
    });
  });

  test("shrink: the active swapfile behind the new end is named; too little room, too short, not shorter: refused, nothing changed", async () => {
    await withCleanup(async (cleanup) => {
      const { image, mountpoint } = await imageVolume(cleanup, "256M");
      await withSwap(path.join(mountpoint, "swap"), async () => {
        const pinned = await swapfs(["shrink", mountpoint, "--size", "64M"]);
        expect([pinned.status, pinned.stderr]).toEqual([12, expect.stringContaining(`${mountpoint}/swap is in use as swap`)]);
        await verifiedPressure();
      });
      await turn.over();
      const full = await swapfs(["shrink", mountpoint, "--size", "64M"]);
      expect([full.status, full.stderr]).toEqual([12, expect.stringMatching(/lie behind the new end and only .* are free before it/)]);
      const short = await swapfs(["shrink", mountpoint, "--size", "1M"]);
      expect([short.status, short.stderr]).toEqual([2, expect.stringContaining("its metadata and 1 MiB of data need")]);
      expect(await swapfs(["shrink", mountpoint, "--size", "1G"])).toMatchObject({ status: 2, stderr: expect.stringContaining("swapfs grow") });
      expect(await swapfs(["grow", mountpoint, "--size", "64M"])).toMatchObject({ status: 2, stderr: expect.stringContaining("swapfs shrink") });
      expect(await volumeBytes(mountpoint)).toBe(256 * MiB);
      await umount(mountpoint);
      expect(await swapfs(["shrink", image, "--size", "200M"])).toMatchObject({ status: 0 });
      expect(await swapfs(["grow", image, "--size", "300M"])).toMatchObject({ status: 0 });
      expect((await fs.stat(image)).size).toBe(300 * MiB);
      expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
    });
  });

  test("a device that became longer: grow takes its length, and a volume shorter than its device stays so", async () => {
    await withCleanup(async (cleanup) => {
      const dir = await scratchDir(cleanup);
      const mountpoint = path.join(dir, "mnt");
      const file = path.join(dir, "disk");
      // Written by its host: the gate looks below a loop device of ours and of others alike.
      const extend = (): Promise<string> => sh(`dd if=/dev/zero bs=1M count=128 conv=fsync status=none >>"$F"`, { env: { F: file } });
      await extend();
      const device = await attachLoop(cleanup, file);
      await mountSwapfs(cleanup, device, mountpoint, { args: ["--format"] });
      await withSwap(path.join(mountpoint, "swap"), async () => {
        await extend();
        await must("losetup", ["--set-capacity", device]);
        const done = await swapfs(["grow", device, "--size", "300M"]);
        expect([done.status, done.stderr]).toEqual([2, expect.stringContaining("the device has only 256 MiB, enlarge it first")]);
        expect(await swapfs(["grow", mountpoint, "--size", "200M"])).toMatchObject({ status: 0 });
        expect(await swapfs(["grow", mountpoint])).toMatchObject({ status: 0, stdout: expect.stringContaining("to 256 MiB") });
        expect(await swapfs(["shrink", mountpoint, "--size", "160M"])).toMatchObject({ status: 0 });
        await verifiedPressure();
      });
      await turn.over();
      await umount(mountpoint);
      await mountSwapfs(cleanup, device, mountpoint);
      expect((await fs.statfs(mountpoint)).blocks * 4096).toBeLessThan(160 * MiB);
    });
  });
});

test("Ctrl-C and a killed control plane in the middle of a shrink: the size of before, every file whole; the next one finishes", async () => {
  await withCleanup(async (cleanup) => {
    const { image, mountpoint } = await imageVolume(cleanup, "400M");
    const file = await fileFarBehind(mountpoint, "kept", 190, 180);
    const before = await digest(file);
    const interrupted = spawn(process.execPath, [path.join(projectDir, "dist/cli/main.js"), "shrink", mountpoint, "--size", "215M"]);
    const ended = new Promise<number | null>((resolve) => interrupted.on("exit", resolve));
    await new Promise((resolve) => interrupted.stderr.once("data", resolve));
    interrupted.kill("SIGINT");
    expect([0, 130]).toContain(await ended);
    if (interrupted.exitCode === 130) expect(await volumeBytes(mountpoint)).toBe(400 * MiB);

    const killed = swapfs(["shrink", mountpoint, "--size", "214M"]);
    await killAndAwait(mountpoint, "control plane");
    await killed;
    await until("the control plane answers", async () => (await swapfs(["grow", mountpoint])).status === 0);
    expect(await swapfs(["shrink", mountpoint, "--size", "213M"])).toMatchObject({ status: 0 });
    await fs.writeFile("/proc/sys/vm/drop_caches", "1");
    expect(await digest(file)).toBe(before);
    await umount(mountpoint);
    expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
  });
});

test("zram: what is deleted is given back, also what was deleted just before a crash", async () => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const mountpoint = path.join(dir, "mnt");
    const device = await zramDevice(cleanup, 256 * MiB);
    await mountSwapfs(cleanup, device, mountpoint, { args: ["--format"] });
    const held = async (): Promise<number> => Number((await fs.readFile(`/sys/block/${path.basename(device)}/mm_stat`, "utf8")).trim().split(/\s+/)[0]);
    const write = (): Promise<string> => sh(`dd if=/dev/urandom of="$M/f" bs=1M count=64 conv=fsync status=none`, { env: { M: mountpoint } });
    const empty = await held(); // the journal will take some of it
    await write();
    expect(await held()).toBeGreaterThan(empty + 60 * MiB);
    await must("rm", [path.join(mountpoint, "f")]);
    await until("zram has given the memory back", async () => (await held()) < empty + 16 * MiB);
    await write();
    await must("rm", [path.join(mountpoint, "f")]);
    await killAndAwait(mountpoint, "control plane");
    await until("zram has given the memory back after the crash", async () => (await held()) < empty + 16 * MiB);
    expect(await run("ls", [mountpoint])).toMatchObject({ status: 0 });

    await write();
    await umount(mountpoint);
    await mountSwapfs(cleanup, device, mountpoint, { args: ["--format", "--force"] });
    expect(await held()).toBeLessThan(empty + 16 * MiB);
  });
});
