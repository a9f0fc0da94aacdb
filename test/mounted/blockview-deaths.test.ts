// Block views and deaths: of each process, of all three, of the command, at each step of swapon --block; no file ever gets the blocks of a
// view that lives.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { ended, killAndAwait, mountSwapfs, pidOf, statusOf, type Role } from "../support/mounted";
import { pressure } from "../support/mounted-pressure";
import { must, projectDir, run, sleep, swapfs, until, type Done } from "../support/mounted-run";
import { allViews, expectApart, expectRefused, fillUp, killAll, make, on, onVolume, pidsOf, priorityOf, unlinkSoon, viewsOver, type Loop } from "../support/mounted-views";
import { rememberRunDir } from "../support/rundirs";
import { takesTurns } from "../support/turns";

test("SIGKILL of each process: swap goes on, the file stays leased, swapoff works", () =>
  onVolume("image", async (volume) => {
    const { source, mountpoint, at } = volume;
    await make(volume, "a", "8M");
    const device = await on(volume, "a");
    for (const role of ["data plane", "control plane", "keeper"] as const satisfies Role[]) {
      if (role === "keeper") process.kill((await pidOf(mountpoint, role))!, "SIGKILL");
      else await killAndAwait(mountpoint, role);
      await until("the control plane answers", async () => (await statusOf(mountpoint)).problem === undefined);
      expect((await statusOf(mountpoint)).views).toMatchObject([{ device, path: "/a" }]);
      await expect(fs.unlink(at("a"))).rejects.toMatchObject({ code: "EPERM" });
    }
    expect(await swapfs(["swapoff", at("a")])).toMatchObject({ status: 0 });
    expect(await viewsOver(source)).toEqual([]);
    await fs.unlink(at("a"));
  }));

test("all three killed: the next mount adopts the view, and no file gets its blocks; swapoff(8) alone ends it", () =>
  onVolume("image", async (volume) => {
    const { cleanup, source, mountpoint, at } = volume;
    await make(volume, "a");
    const device = await on(volume, "a");
    const [view] = await viewsOver(source) as [Loop];
    const remembered = rememberRunDir(cleanup, (await statusOf(mountpoint)).runDir);
    await killAll(mountpoint);
    expect(await priorityOf(device)).toBe("10");
    expect(await swapfs(["umount", mountpoint])).toMatchObject({ status: 0 });
    expect(await swapfs(["fsck", source])).toMatchObject({ status: 0, stdout: expect.stringMatching(/note: .* leased/) });
    await expectRefused(device, [["mount", source, mountpoint, "--format", "--force"], ["grow", source], ["shrink", source, "--size", "48M"],
      ["mount", source, mountpoint, "--engine", "fuse-native"]]);
    await mountSwapfs(cleanup, source, mountpoint);
    expect((await statusOf(mountpoint)).views).toMatchObject([{ device, path: "/a" }]);
    expectApart(await fillUp(volume), view);
    await expect(fs.truncate(at("a"), 0)).rejects.toMatchObject({ code: "ETXTBSY" });
    await must("swapoff", [device]);
    await unlinkSoon(at("a"));
    expect((await statusOf(mountpoint)).views).toEqual([]);
    await remembered.remove();
  }));

test("all three killed: swapoff(8) works, and so does swapoff --all-views; the next mount ends the lease, whichever engine", () =>
  onVolume("device", async (volume) => {
    const { cleanup, source, mountpoint, at } = volume;
    for (const how of ["swapoff", "all-views"] as const) {
      await make(volume, how, "8M");
      const device = await on(volume, how);
      const remembered = rememberRunDir(cleanup, (await statusOf(mountpoint)).runDir);
      await killAll(mountpoint);
      if (how === "swapoff") await must("swapoff", [device]);
      else expect((await allViews(cleanup, [device])).stdout).toContain(device);
      await until("the device is gone", async () => (await viewsOver(source)).length === 0);
      expect(await swapfs(["umount", mountpoint])).toMatchObject({ status: 0 });
      await mountSwapfs(cleanup, source, mountpoint, how === "all-views" ? { engine: "fuse-native" } : {});
      await fs.unlink(at(how));
      await remembered.remove();
    }
  }));

async function attempt(file: string, signal: NodeJS.Signals, delayMs: number): Promise<number | null> {
  const child = spawn(process.execPath, [path.join(projectDir, "dist/cli/main.js"), "swapon", "--block", file, "--priority", "10"], { stdio: "ignore" });
  const over = new Promise<number | null>((resolve) => child.on("exit", (code) => resolve(code)));
  await sleep(delayMs);
  child.kill(signal);
  return over;
}

/** Around the moment at which a command's own start is over, as long as that takes now: each step of swapon --block is met. */
async function delaysFor(file: string): Promise<number[]> {
  const begun = Date.now();
  expect(await swapfs(["check", file])).toMatchObject({ status: 0 });
  return [0.85, 1.1, 1.4].map((part) => part * (Date.now() - begun));
}

test("Ctrl-C at any moment: all is undone (130), or all is done (0)", () =>
  onVolume("image", async (volume) => {
    const { source, at } = volume;
    await make(volume, "a", "8M");
    for (const delay of await delaysFor(at("a"))) {
      const code = await attempt(at("a"), "SIGINT", delay);
      const [view] = await viewsOver(source);
      const done = view !== undefined && await priorityOf(view.device) === "10";
      // By the signal itself (null) it ends before it has begun, or when all has been done.
      expect([130, 0, null]).toContain(code);
      expect([code, view !== undefined, done]).toEqual([code, done, code === null ? done : code === 0]);
      expect(await swapfs(["swapoff", at("a")])).toMatchObject({ status: 0 });
    }
    await fs.unlink(at("a"));
  }));

test("a swapon --block that is killed leaves the view whole, or nothing, and swapoff ends it", () =>
  onVolume("image", async (volume) => {
    const { source, mountpoint, at } = volume;
    await make(volume, "a", "8M");
    for (const delay of await delaysFor(at("a"))) {
      await attempt(at("a"), "SIGKILL", delay);
      // swapon(8), started a moment before, may still be at work.
      await until("a view and its swap area, or neither", async () => {
        const views = await viewsOver(source);
        return views.length === (await statusOf(mountpoint)).views.length && (views[0] === undefined || await priorityOf(views[0].device) !== undefined);
      });
      await until("it is off", async () => (await swapfs(["swapoff", at("a")])).status === 0 && (await viewsOver(source)).length === 0);
    }
    await unlinkSoon(at("a"));
  }));

test("all three killed while views are made: after the next mount there is a view with its lease, or neither, and no other file in its blocks", () =>
  onVolume("device", async (volume) => {
    const { cleanup, source, mountpoint, at } = volume;
    await make(volume, "a", "8M");
    for (const delay of await delaysFor(at("a"))) {
      const remembered = rememberRunDir(cleanup, (await statusOf(mountpoint)).runDir);
      const pids = await pidsOf(mountpoint);
      const command: Promise<Done> = swapfs(["swapon", "--block", at("a"), "--priority", "10"]);
      await sleep(delay);
      await killAll(mountpoint, pids);
      await run("umount", ["--lazy", mountpoint]);
      await command;
      await ended(mountpoint);
      await remembered.remove();
      await mountSwapfs(cleanup, source, mountpoint);
      await until("those whose device is gone have ended", async () => (await viewsOver(source)).length === (await statusOf(mountpoint)).views.length);
      for (const view of await viewsOver(source)) {
        expectApart(await fillUp(volume), view);
        await fs.unlink(at("fill"));
      }
      expect(await swapfs(["swapoff", at("a")])).toMatchObject({ status: 0 });
      await fs.writeFile(at("a"), "", { flag: "r+" });
    }
    expect(await swapfs(["fsck", mountpoint])).toMatchObject({ status: 0 });
  }), 240_000);

describe("under memory pressure", () => {
  takesTurns("swap");

  test("ten seconds of pressure in 64 MiB on a view, all three processes killed meanwhile: every page verified", () =>
    onVolume("device", async (volume) => {
      const { cleanup, source, mountpoint } = volume;
      expect(await swapfs(["create", volume.at("a"), "--size", "224M", "--on", "--block", "--priority", "32000"])).toMatchObject({ status: 0 });
      const [view] = await viewsOver(source) as [Loop];
      const remembered = rememberRunDir(cleanup, (await statusOf(mountpoint)).runDir);
      const work = pressure(["--size", "160M", "--resident", "64M", "--seconds", "10", "--threads", "2"]);
      await sleep(4000);
      await killAll(mountpoint);
      const done = await work;
      expect([done.status, done.status === 0 ? JSON.parse(done.stdout).badPages : done.stderr]).toEqual([0, 0]);
      expect(await swapfs(["umount", mountpoint])).toMatchObject({ status: 0 });
      await mountSwapfs(cleanup, source, mountpoint);
      await must("swapoff", [view.device], { timeoutMs: 45_000 });
      await remembered.remove();
    }, 256), 240_000);
});
