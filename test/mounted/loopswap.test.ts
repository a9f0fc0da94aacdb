// Swap through the daemon: swapon --loop and its undoing, and ten seconds under memory pressure while planes are killed.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { killAndAwait, mountSwapfs, statusOf, umount, type Role } from "../support/mounted";
import { imageUnderTest } from "../support/mounted-image";
import { pressure } from "../support/mounted-pressure";
import { must, projectDir, run, sh, sleep, swapfs, until } from "../support/mounted-run";
import { takesTurns } from "../support/turns";

const volume = imageUnderTest("512M");
const { cleanup, at } = volume;

// What a failed test leaves on is swapped off while the daemon is there.
afterEach(async () => {
  for (const [device] of await attached()) {
    await run("swapoff", [device!], { timeoutMs: 40_000 });
    await run("losetup", ["--detach", device!]);
  }
});

/** [device, backing file] of the loop devices over files of the mount. */
async function attached(): Promise<string[][]> {
  const listed = await must("losetup", ["--list", "--noheadings", "--raw", "--output", "NAME,BACK-FILE,DIO,AUTOCLEAR,LOG-SEC"]);
  return listed.split("\n").map((line) => line.split(/\s+/)).filter(([, file]) => file?.startsWith(`${volume.mountpoint}/`));
}

const priorityOf = async (device: string): Promise<string | undefined> =>
  (await fs.readFile("/proc/swaps", "utf8")).split("\n").find((line) => line.startsWith(`${device} `))?.split(/\s+/)[4];

async function onLoop(file: string, ...options: string[]): Promise<{ device: string; already: boolean; madeHeader: boolean }> {
  const done = await swapfs(["swapon", "--loop", file, "--json", ...options]);
  expect([done.status, done.stderr.replace(/.*writing zeros.*\n/g, "")]).toEqual([0, ""]);
  return JSON.parse(done.stdout);
}

test("swapon --loop: activated, attached with direct I/O, header made, swapped on with the priority; swapoff undoes it all", async () => {
  await must("fallocate", ["-l", "32M", at("a")]);
  const { device, madeHeader } = await onLoop(at("a"), "--priority", "7");
  expect(madeHeader).toBe(true);
  expect(await attached()).toEqual([[device, at("a"), "1", "1", "4096"]]);
  expect(await priorityOf(device)).toBe("7");
  const status = await statusOf(volume.mountpoint);
  expect(status.swap).toEqual([expect.objectContaining({ path: at("a"), through: device, priority: 7 })]);
  expect(status.files.find((one: { path?: string }) => one.path === "/a")).toMatchObject({ mode: "swap_rw" });
  expect(await onLoop(at("a"))).toMatchObject({ device, already: true, madeHeader: false });
  for (const command of ["deactivate", "unpin"]) expect((await swapfs([command, at("a")])).status).toBe(12);
  expect((await swapfs(["umount", volume.mountpoint])).stderr).toMatch(/a is swapped on, run swapfs swapoff/);
  expect((await run("swapon", ["-p", "10", at("a")])).stderr).toMatch(/Invalid argument/);
  expect(await swapfs(["swapoff", at("a")])).toMatchObject({ status: 0, stdout: `${at("a")} is swapped off\n` });
  expect([await attached(), await priorityOf(device)]).toEqual([[], undefined]);
  expect(await swapfs(["swapoff", at("a")])).toMatchObject({ status: 0, stdout: `${at("a")} was not swapped on\n` });
  await fs.truncate(at("a"), 0); // an ordinary file again
});

test("a header that is there is kept, and a file that was activated before stays so", async () => {
  await sh(`swapfile="$F"; fallocate -l 16M "$swapfile"; chmod 600 "$swapfile"; mkswap -q -L mine "$swapfile"`, { env: { F: at("kept") } });
  expect(await swapfs(["activate", at("kept")])).toMatchObject({ status: 0 });
  const { device, madeHeader } = await onLoop(at("kept"), "--priority", "3");
  expect([madeHeader, await must("blkid", ["-p", "-o", "value", "-s", "LABEL", device])]).toEqual([false, "mine\n"]);
  expect(await swapfs(["swapoff", at("kept")])).toMatchObject({ status: 0 });
  await expect(fs.truncate(at("kept"), 0)).rejects.toMatchObject({ code: "ETXTBSY" });
  expect(await swapfs(["deactivate", at("kept")])).toMatchObject({ status: 0 });
});

test("a file that holds something is not overwritten without --force; nothing is left attached or activated", async () => {
  await fs.writeFile(at("data"), Buffer.alloc(8 << 20).fill("precious", 5 << 20));
  const refused = await swapfs(["swapon", "--loop", at("data")]);
  expect([refused.status, refused.stderr]).toEqual([12, expect.stringMatching(/holds something else, .*--force/)]);
  expect(await attached()).toEqual([]);
  await fs.appendFile(at("data"), Buffer.alloc(4096));
  expect((await onLoop(at("data"), "--force", "--priority", "3")).madeHeader).toBe(true);
  expect(await swapfs(["swapoff", at("data")])).toMatchObject({ status: 0 });
});

test("refused: holes (10, with the reasons), a file that is swapped on itself, one that another loop device has, a bad priority", async () => {
  await must("truncate", ["-s", "1M", at("holes")]);
  const holes = await swapfs(["swapon", "--loop", at("holes")]);
  expect([holes.status, holes.stderr]).toEqual([10, expect.stringMatching(/gate refuses it\n  - 256 pages of the file not allocated[^]*do: /)]);
  await sh(`fallocate -l 4M "$F"; chmod 600 "$F"; mkswap -q "$F"`, { env: { F: at("plain") } });
  expect(await swapfs(["swapon", at("plain"), "--priority", "9"])).toMatchObject({ status: 0, stdout: `${at("plain")} is swapped on\n` });
  expect((await swapfs(["swapon", at("plain")])).stdout).toMatch(/already/);
  expect(await swapfs(["swapon", "--loop", at("plain")])).toMatchObject({ status: 12, stderr: expect.stringMatching(/swapped on itself/) });
  expect(await swapfs(["swapoff", at("plain")])).toMatchObject({ status: 0 });
  const device = (await must("losetup", ["--find", "--show", at("plain")])).trim();
  expect(await swapfs(["swapon", "--loop", at("plain")])).toMatchObject({ status: 12, stderr: expect.stringContaining(device) });
  expect(await swapfs(["umount", volume.mountpoint])).toMatchObject({ status: 12, stderr: expect.stringContaining(`${device} (loop device over`) });
  await must("losetup", ["--detach", device]);
  expect((await swapfs(["swapon", at("holes")])).status).toBe(10);
  expect((await swapfs(["swapon", "--loop", at("plain"), "--priority", "x"])).status).toBe(2);
  expect((await swapfs(["swapon", at("plain"), "--force"])).status).toBe(2);
  expect((await swapfs(["swapon", "--loop", at("none")])).status).toBe(12);
});

test("on in one way and asked for in another: how it is on and what ends that, exit 12; it stays on, and the same way is already", async () => {
  const file = at("ways");
  const ways = { "itself": [], "by its block view": ["--block"], "through a loop device": ["--loop"] } as const;
  expect(await swapfs(["create", file, "--size", "4M", "--block"])).toMatchObject({ status: 0 });
  for (const [how, option] of Object.entries(ways)) {
    expect(await swapfs(["swapon", ...option, file, "--priority", "10"])).toMatchObject({ status: 0 });
    for (const [wanted, other] of Object.entries(ways)) {
      const done = await swapfs(["swapon", ...other, file, "--priority", "10"]);
      if (wanted === how) expect(done).toMatchObject({ status: 0, stdout: expect.stringMatching(/already/) });
      else expect([wanted, done.status, done.stdout, done.stderr]).toEqual([wanted, 12, "", expect.stringMatching(
        new RegExp(`^swapfs: cannot swapon ${file} ${wanted}: it is swapped on ${how}(, /dev/loop\\d+,)? already, run swapfs swapoff ${file} first\n$`))]);
    }
    expect(await swapfs(["swapoff", file])).toMatchObject({ status: 0, stdout: `${file} is swapped off\n` });
  }
});

test("Ctrl-C at any moment: all is undone (130), or all is done (0)", async () => {
  const file = at("interrupted");
  await must("fallocate", ["-l", "160M", file]);
  for (const delay of [250, 400, 600, 900]) {
    const child = spawn(process.execPath, [path.join(projectDir, "dist/cli/main.js"), "swapon", "--loop", file, "--priority", "3"], { stdio: "ignore" });
    const ended = new Promise<number | null>((resolve) => child.on("exit", (code) => resolve(code)));
    await sleep(delay);
    child.kill("SIGINT");
    const code = await ended;
    expect([130, 0, null]).toContain(code);
    const on = (await attached()).length === 1;
    expect([code, on]).toEqual([code, code === 0]);
    expect(await swapfs(["swapoff", file])).toMatchObject({ status: 0 });
  }
  expect(await attached()).toEqual([]);
});

const victims: readonly (readonly Role[])[] = [["data plane"], ["control plane"], ["data plane", "control plane"]];

test("several at once: one loop device, one swap area; swapon and swapoff against each other leave one or none", async () => {
  const file = at("several");
  await must("fallocate", ["-l", "24M", file]);
  const all = await Promise.all([1, 2, 3].map(() => onLoop(file, "--priority", "3")));
  expect(new Set(all.map(({ device }) => device)).size).toBe(1);
  expect(all.filter(({ already }) => !already).length).toBe(1);
  expect((await attached()).length).toBe(1);
  const mixed = await Promise.all(["swapoff", "swapon", "swapoff", "swapon"].map((command) =>
    swapfs(command === "swapon" ? ["swapon", "--loop", file, "--priority", "3"] : ["swapoff", file])));
  expect(mixed.map(({ status }) => status)).toEqual([0, 0, 0, 0]);
  const on = await attached();
  expect(on.length).toBeLessThan(2);
  for (const [device] of on) expect(await priorityOf(device!)).toBe("3");
  expect(await swapfs(["swapoff", file])).toMatchObject({ status: 0 });
  await fs.truncate(file, 0);
});

test("a swapon --loop that is killed leaves no loop device, and swapoff makes its file an ordinary one", async () => {
  const file = at("killed");
  await must("fallocate", ["-l", "64M", file]);
  const child = spawn(process.execPath, [path.join(projectDir, "dist/cli/main.js"), "swapon", "--loop", file, "--priority", "3"], { stdio: "ignore" });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  await until("the file is activated", async () => (await run("getfattr", ["-n", "user.swapfs.mode", file])).status === 0);
  child.kill("SIGKILL");
  await ended;
  // swapon(8), started a moment before, may still be at work.
  await until("swapoff has undone it all", async () => (await swapfs(["swapoff", file])).status === 0 && (await attached()).length === 0
    && fs.truncate(file, 0).then(() => true, () => false));
});

describe("under memory pressure", () => {
  takesTurns("swap");

  test("ten seconds of pressure in 64 MiB, planes killed meanwhile: every page verified, nothing allocated, no deadlock", async () => {
    await must("fallocate", ["-l", "224M", at("swap")]);
    const { device } = await onLoop(at("swap"), "--priority", "32000");
    try {
      const { counters: before, privileges } = await statusOf(volume.mountpoint);
      expect(privileges.memoryLocked).toBe(true);
      let over = false;
      const work = pressure(["--size", "160M", "--resident", "64M", "--seconds", "10", "--threads", "2"]).finally(() => (over = true));
      let kills = 0;
      for (; !over; kills += 1) {
        await sleep(1000);
        if (!over) await Promise.all(victims[kills % victims.length]!.map((role) => killAndAwait(volume.mountpoint, role)));
      }
      const done = await work;
      expect([done.status, done.status === 0 ? JSON.parse(done.stdout).badPages : done.stderr]).toEqual([0, 0]);
      expect(kills).toBeGreaterThanOrEqual(victims.length);
      await until("the control plane answers", async () => (await statusOf(volume.mountpoint)).problem === undefined);
      const { counters } = await statusOf(volume.mountpoint);
      expect(counters.swap_rw_pages_out - before.swap_rw_pages_out).toBeGreaterThan((96 << 20) / 4096);
      expect([counters.errors - before.errors, counters.allocations]).toEqual([0, 0]);
      expect(await priorityOf(device)).toBe("32000");
    } finally {
      await must("swapoff", [device], { timeoutMs: 45_000 });
    }
    await until("the loop device is gone", async () => (await attached()).length === 0);
  }, 240_000);
});

test("umount --swapoff swaps off the loop device as well, and leaves nothing", async () => {
  await must("fallocate", ["-l", "16M", at("last")]);
  await onLoop(at("last"), "--priority", "3");
  const done = await swapfs(["umount", "--swapoff", volume.mountpoint, "--json"]);
  expect([done.status, done.stderr]).toEqual([0, ""]);
  expect(JSON.parse(done.stdout).swappedOff).toEqual([at("last")]);
  expect(await attached()).toEqual([]);
  expect(await swapfs(["fsck", volume.image])).toMatchObject({ status: 0 });
  await mountSwapfs(cleanup, volume.image, volume.mountpoint);
  await umount(volume.mountpoint);
});
