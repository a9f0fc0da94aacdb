// Block views: swap on a loop device over a file's own blocks. On and off, what dies at which moment, what a mount finds, and that no
// file ever gets the blocks of a view that lives.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { ended, killAndAwait, mountSwapfs, pidOf, serving, statusOf, tryMount, umount, type Role } from "../support/mounted";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { scratchDir, zramDevice } from "../support/mounted-devices";
import { pressure } from "../support/mounted-pressure";
import { must, projectDir, run, sh, sleep, swapfs, until, type Done } from "../support/mounted-run";
import { rememberRunDir } from "../support/rundirs";
import { takesTurns } from "../support/turns";

const MiB = 1 << 20;

interface Loop {
  readonly device: string;
  readonly offset: number;
  readonly limit: number;
  readonly autoclear: boolean;
}

/** Loop devices over a part of `source`. */
async function viewsOver(source: string): Promise<Loop[]> {
  const listed = await must("losetup", ["--list", "--noheadings", "--raw", "--output", "NAME,OFFSET,SIZELIMIT,AUTOCLEAR,DIO,LOG-SEC,BACK-FILE"]);
  return listed.split("\n").map((line) => line.split(/\s+/)).filter((fields) => fields[6] === source && fields[2] !== "0").map((fields) => {
    expect(fields.slice(4, 6)).toEqual(["1", "4096"]);
    return { device: fields[0]!, offset: Number(fields[1]), limit: Number(fields[2]), autoclear: fields[3] === "1" };
  });
}

async function priorityOf(device: string): Promise<string | undefined> {
  return (await fs.readFile("/proc/swaps", "utf8")).split("\n").find((line) => line.startsWith(`${device} `))?.split(/\s+/)[4];
}

interface Volume {
  readonly cleanup: Cleanup;
  readonly source: string;
  readonly mountpoint: string;
  at(name: string): string;
}

/** A volume on an image or on a device of its own; what is left on over it is swapped off before it goes. */
async function onVolume(kind: "image" | "device", work: (volume: Volume) => Promise<void>, mebibytes = 64): Promise<void> {
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

async function on({ at }: Volume, name: string, ...options: string[]): Promise<string> {
  const done = await swapfs(["swapon", "--block", at(name), "--priority", "10", "--json", ...options]);
  expect([done.status, done.stderr]).toEqual([0, ""]);
  return JSON.parse(done.stdout).device;
}

async function make({ at }: Volume, name: string, size = "16M"): Promise<void> {
  expect(await swapfs(["create", at(name), "--size", size, "--block"])).toMatchObject({ status: 0 });
}

async function pidsOf(mountpoint: string): Promise<number[]> {
  const { processes } = await statusOf(mountpoint);
  return ["keeper", "dataPlane", "controlPlane"].map((name) => processes[name].pid); // the keeper first: it would start the others again
}

async function killAll(mountpoint: string, pids?: readonly number[]): Promise<void> {
  for (const pid of pids ?? await pidsOf(mountpoint)) process.kill(pid, "SIGKILL");
  await until("they are gone", async () => (await serving(mountpoint)).length === 0);
}

/** Writes into every page that is free, and gives the device pages of what it got. */
async function fillUp({ at, mountpoint }: Volume): Promise<[number, number][]> {
  await run("dd", ["if=/dev/urandom", `of=${at("fill")}`, "bs=1M", "oflag=direct"]);
  expect((await statusOf(mountpoint)).volume.freePages).toBeLessThan(256);
  const { extents } = JSON.parse((await swapfs(["map", at("fill"), "--json"])).stdout);
  return extents.map((one: { devicePage: number; count: number }) => [one.devicePage, one.count]);
}

function expectApart(given: readonly [number, number][], { offset, limit }: Loop): void {
  const [page, count] = [offset / 4096, limit / 4096];
  expect(given.length).toBeGreaterThan(0);
  expect(given.filter(([from, pages]) => from < page + count && page < from + pages)).toEqual([]);
}

test.each(["image", "device"] as const)("on and off again, over %s: the device, the lease, the priority, and all in status; a second time does nothing", (kind) =>
  onVolume(kind, async (volume) => {
    const { source, mountpoint, at } = volume;
    await make(volume, "a");
    const device = await on(volume, "a");
    expect(await viewsOver(source)).toEqual([{ device, offset: expect.any(Number), limit: 16 * MiB, autoclear: true }]);
    expect(await priorityOf(device)).toBe("10");
    if (kind === "image") expect(await fs.readFile(`/sys/block/${path.basename(device)}/queue/discard_max_bytes`, "utf8")).toBe("0\n");
    const status = await statusOf(mountpoint);
    expect(status.swap).toEqual([expect.objectContaining({ path: at("a"), through: device, way: "block view", priority: 10 })]);
    expect(status.views).toEqual([{ ino: expect.any(Number), way: "loop", device, path: "/a" }]);
    expect((await swapfs(["status", mountpoint])).stdout).toMatch(new RegExp(`/a by its block view ${device} [^]*/a .*leased to ${device}`));
    expect(JSON.parse((await swapfs(["swapon", "--block", at("a"), "--json"])).stdout)).toMatchObject({ device, already: true });
    expect(await swapfs(["fsck", mountpoint])).toMatchObject({ status: 0, stdout: expect.stringMatching(/note: the blocks of inode \d+ are leased/) });
    const held = await fs.open(device, "r");
    await must("swapoff", [device]); // the device stays as long as somebody has it open: it is swapped on anew as it is
    expect([await on(volume, "a"), await priorityOf(device)]).toEqual([device, "10"]);
    await held.close();
    expect(await swapfs(["swapoff", at("a"), "--json"])).toMatchObject({ status: 0, stdout: expect.stringContaining('"was": "block"') });
    expect([await viewsOver(source), await priorityOf(device), (await statusOf(mountpoint)).views]).toEqual([[], undefined, []]);
    expect((await swapfs(["fsck", mountpoint])).stdout).not.toMatch(/leased/);
    await must("swapoff", [await on(volume, "a")]); // by swapoff(8) as well the file is free at once
    await must("swapon", ["-p", "10", at("a")]);
    await must("swapoff", [at("a")]);
    await must("swapoff", [await on(volume, "a")]);
    await fs.unlink(at("a"));
  }));

test("create --on --block; umount names it and does nothing, umount --swapoff swaps it off", () =>
  onVolume("device", async ({ source, mountpoint, at }) => {
    expect(await swapfs(["create", at("b"), "--size", "16M", "--on", "--block", "--priority", "10"])).toMatchObject({ status: 0 });
    expect((await viewsOver(source)).length).toBe(1);
    const refused = await swapfs(["umount", mountpoint]);
    expect([refused.status, refused.stderr]).toEqual([12, expect.stringContaining(`${at("b")} is swapped on`)]);
    expect((await statusOf(mountpoint)).problem).toBeUndefined();
    expect(await swapfs(["umount", "--swapoff", mountpoint])).toMatchObject({ status: 0, stdout: expect.stringContaining(`${at("b")} is swapped off`) });
    expect(await viewsOver(source)).toEqual([]);
    expect(await swapfs(["fsck", source])).toMatchObject({ status: 0, stdout: expect.not.stringMatching(/leased/) });
  }));

test("mount -o swapon=FILE:PRIORITY; what it cannot swap on is named, and the rest is done", () =>
  onVolume("image", async (volume) => {
    const { cleanup, source, mountpoint, at } = volume;
    await make(volume, "a", "8M");
    await umount(mountpoint);
    const mounted = await tryMount(cleanup, source, mountpoint, { args: ["-o", "noexec,swapon=missing,swapon=a:11"] });
    expect(mounted.status).toBe(0);
    expect(mounted.stderr).toMatch(/cannot swapon .*missing/);
    expect((await statusOf(mountpoint)).swap).toMatchObject([{ path: at("a"), way: "block view", priority: 11 }]);
  }));

/** swapoff --all-views, by a swapoff(8) that has only these devices swapped off: others are somebody else's. */
async function allViews(cleanup: Cleanup, devices: readonly string[]): Promise<Done> {
  const dir = await scratchDir(cleanup);
  const real = (await must("sh", ["-c", "command -v swapoff"])).trim();
  const script = `#!/bin/sh\ncase "$1" in ${devices.join("|")}) exec ${real} "$@";; esac\necho "swapoff: $1: Cannot allocate memory" >&2\nexit 1\n`;
  await fs.writeFile(path.join(dir, "swapoff"), script, { mode: 0o755 });
  return swapfs(["swapoff", "--all-views"], { env: { PATH: `${dir}:${process.env["PATH"]}` } });
}

test("swapoff --all-views goes on after one that cannot be swapped off, and says so at its end", () =>
  onVolume("image", async (volume) => {
    const { cleanup, source } = volume;
    for (const name of ["a", "b"]) await make(volume, name, "8M");
    const [first, second] = [await on(volume, "a"), await on(volume, "b")];
    const done = await allViews(cleanup, [second]);
    expect([done.status, done.stdout, done.stderr]).toEqual([12, expect.stringContaining(second), expect.stringMatching(`cannot swapoff ${first}: .*free memory`)]);
    expect((await viewsOver(source)).map(({ device }) => device)).toEqual([first]);
  }));

test("the source under another name: attached anew, or the file below it; no mount, no format and no resize while a view lives", () =>
  withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const [image, mountpoint] = [path.join(dir, "disk"), path.join(dir, "mnt")];
    await sh(`truncate -s 64M "$F"`, { env: { F: image } });
    const attach = async (): Promise<string> => {
      const made = (await must("losetup", ["--find", "--show", "--sector-size", "4096", image])).trim();
      cleanup.add(made, () => run("losetup", ["--detach", made]));
      return made;
    };
    const source = await attach();
    cleanup.add("block views", async () => {
      for (const { device } of await viewsOver(source)) await run("swapoff", [device], { timeoutMs: 40_000 });
    });
    await mountSwapfs(cleanup, source, mountpoint, { args: ["--format"] });
    const volume = { cleanup, source, mountpoint, at: (name: string) => path.join(mountpoint, name) };
    await make(volume, "a", "8M");
    const device = await on(volume, "a");
    await umount(mountpoint);
    const anew = await attach();
    for (const args of [["mount", anew, mountpoint], ["mount", image, mountpoint], ["mount", anew, mountpoint, "--format", "--force"],
      ["mount", image, mountpoint, "--format", "--force"], ["shrink", anew, "--size", "48M"]]) {
      expect([args, await swapfs(args)]).toEqual([args, expect.objectContaining({ status: 12, stderr: expect.stringMatching(`block view, ${device} .*swapoff --all-views`) })]);
    }
    await mountSwapfs(cleanup, source, mountpoint);
    expect((await statusOf(mountpoint)).views).toMatchObject([{ device, path: "/a" }]);
    await umount(mountpoint);
    expect((await allViews(cleanup, [device])).stdout).toContain(device);
    await mountSwapfs(cleanup, anew, mountpoint);
    await fs.unlink(volume.at("a"));
  }));

test("an image that has lost its name to another file: the view lies over the image, and swapoff, umount and status see it", () =>
  onVolume("image", async (volume) => {
    const { cleanup, source, mountpoint, at } = volume;
    await make(volume, "a", "8M");
    const { ino } = await fs.stat(source);
    await fs.rename(source, `${source}.old`);
    await sh(`truncate -s 64M "$F"`, { env: { F: source } });
    const device = await on(volume, "a");
    cleanup.add(device, () => run("swapoff", [device]));
    expect((await must("losetup", ["--list", "--noheadings", "--output", "BACK-INO", device])).trim()).toBe(String(ino));
    await fs.unlink(`${source}.old`);
    const status = await statusOf(mountpoint);
    expect([status.swap, status.views]).toMatchObject([[{ path: at("a"), through: device }], [{ device, path: "/a" }]]);
    expect(await swapfs(["umount", mountpoint])).toMatchObject({ status: 12, stderr: expect.stringContaining(`${at("a")} is swapped on`) });
    expect(await swapfs(["swapoff", at("a"), "--json"])).toMatchObject({ status: 0, stdout: expect.stringContaining('"was": "block"') });
  }));

test("refused in words, with nothing left: holes, two extents, no header, swapped on itself, activated, --loop as well; and by each with a view", () =>
  onVolume("image", async (volume) => {
    const { source, at } = volume;
    const refuse = async (args: string[], status: number, words: RegExp): Promise<void> => {
      const done = await swapfs(args);
      expect([args, done.status, done.stderr]).toEqual([args, status, expect.stringMatching(words)]);
    };
    await sh(`truncate -s 1M "$F"`, { env: { F: at("holes") } });
    await refuse(["swapon", "--block", at("holes")], 10, /gate refuses it\n {2}- 256 pages of the file not allocated[^]*do: /);
    await sh(`fallocate -l 1M "$F"; fallocate -l 1M "$G"; fallocate -l 2M "$F"; chmod 600 "$F"; mkswap -q "$F"`, { env: { F: at("two"), G: at("between") } });
    await refuse(["swapon", "--block", at("two")], 10, /lies in 2 extents and a loop device takes one, run swapfs prepare --contiguous/);
    await sh(`fallocate -l 2M "$F"; chmod 600 "$F"`, { env: { F: at("blank") } });
    await refuse(["swapon", "--block", at("blank")], 12, /cannot swapon \/dev\/loop\d+ over .*, page 0 carries no swap header|mkswap/);
    await make(volume, "a", "2M");
    await must("swapon", ["-p", "10", at("a")]);
    await refuse(["swapon", "--block", at("a")], 12, /swapped on itself/);
    await must("swapoff", [at("a")]);
    expect(await swapfs(["activate", at("a")])).toMatchObject({ status: 0 });
    await refuse(["swapon", "--block", at("a")], 12, /it is activated/);
    expect(await swapfs(["deactivate", at("a")])).toMatchObject({ status: 0 });
    await refuse(["swapon", "--block", "--loop", at("a")], 2, /two ways/);
    await refuse(["swapoff"], 2, /--all-views/);
    await refuse(["create", path.join(path.dirname(source), "x"), "--size", "1M", "--block"], 2, /not on a swapfs volume/);
    expect(await viewsOver(source)).toEqual([]);
    for (const name of ["holes", "two", "blank", "a"]) await fs.writeFile(at(name), "x", { flag: "r+" });

    await make(volume, "b", "2M");
    await on(volume, "b");
    await refuse(["swapon", "--loop", at("b")], 12, /swapped on/);
    expect((await run("swapon", ["-p", "10", at("b")])).stderr).toMatch(/Invalid argument/);
    expect((await swapfs(["check", at("b")])).stdout).toMatch(/in use as swap already, by its block view/);
    await refuse(["activate", at("b")], 12, /swapped on/);
    await expect(fs.unlink(at("b"))).rejects.toMatchObject({ code: "EPERM" });
    expect(await swapfs(["swapoff", at("b")])).toMatchObject({ status: 0 });
  }));

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
    for (const args of [["mount", source, mountpoint, "--format", "--force"], ["grow", source], ["shrink", source, "--size", "48M"], ["mount", source, mountpoint, "--engine", "fuse-native"]]) {
      expect([args, await swapfs(args)]).toEqual([args, expect.objectContaining({ status: 12, stderr: expect.stringMatching(`block view, ${device} .*swapoff --all-views`) })]);
    }
    await mountSwapfs(cleanup, source, mountpoint);
    expect((await statusOf(mountpoint)).views).toMatchObject([{ device, path: "/a" }]);
    expectApart(await fillUp(volume), view);
    await expect(fs.truncate(at("a"), 0)).rejects.toMatchObject({ code: "ETXTBSY" });
    await must("swapoff", [device]);
    await fs.unlink(at("a"));
    expect((await statusOf(mountpoint)).views).toEqual([]);
    await remembered.remove();
  }));

test("all three killed: swapoff(8) works, and so does swapoff --all-views, of an unmounted volume too; the next mount ends the lease, whichever engine", () =>
  onVolume("device", async (volume) => {
    const { cleanup, source, mountpoint, at } = volume;
    for (const how of ["swapoff", "all-views", "unmounted"] as const) {
      await make(volume, how, "8M");
      const device = await on(volume, how);
      const remembered = rememberRunDir(cleanup, (await statusOf(mountpoint)).runDir);
      if (how !== "unmounted") await killAll(mountpoint);
      else await umount(mountpoint);
      if (how === "swapoff") await must("swapoff", [device]);
      else expect((await allViews(cleanup, [device])).stdout).toContain(device);
      await until("the device is gone", async () => (await viewsOver(source)).length === 0);
      if (how !== "unmounted") expect(await swapfs(["umount", mountpoint])).toMatchObject({ status: 0 });
      await mountSwapfs(cleanup, source, mountpoint, { args: how === "swapoff" ? ["--engine", "fuse-native"] : [] });
      await fs.unlink(at(how));
      await remembered.remove();
      if (how !== "swapoff") continue;
      await umount(mountpoint);
      await mountSwapfs(cleanup, source, mountpoint);
    }
  }));

test("a loop device over the source that no lease knows: no mount, and nothing is written", () =>
  onVolume("device", async ({ cleanup, source, mountpoint }) => {
    await umount(mountpoint);
    const foreign = (await must("losetup", ["--find", "--show", "--offset", String(64 * MiB), "--sizelimit", String(MiB), source])).trim();
    cleanup.add(foreign, () => run("losetup", ["--detach", foreign]));
    const refused = await tryMount(cleanup, source, mountpoint);
    expect([refused.status, refused.stderr]).toEqual([12, expect.stringMatching(`attached to ${foreign} by somebody else, run losetup -d ${foreign}`)]);
    await must("losetup", ["--detach", foreign]);
    await mountSwapfs(cleanup, source, mountpoint);
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
      expect([130, 0, null]).toContain(code);
      expect([code, (await viewsOver(source)).length]).toEqual([code, code === 0 ? 1 : 0]);
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
    await fs.unlink(at("a"));
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

test("a control plane that has no descriptors left for the device: said, and nothing is left leased", () =>
  onVolume("image", async (volume) => {
    const { source, mountpoint, at } = volume;
    await make(volume, "a", "8M");
    const pid = (await pidOf(mountpoint, "control plane"))!;
    const limit = (most: number): Promise<string> => must("prlimit", ["--pid", String(pid), `--nofile=${most}:`]);
    const taken = new Set((await fs.readdir(`/proc/${pid}/fd`)).map(Number));
    const free = Array.from({ length: 1000 }, (_, fd) => fd).filter((fd) => !taken.has(fd));
    const said: string[] = [];
    for (const room of [1, 2, 3, 4]) { // the question itself takes one
      await limit(free[room]!);
      const done = await swapfs(["swapon", "--block", at("a"), "--priority", "10"]);
      await limit(1024);
      said.push(done.stderr);
      const on = done.status === 0 ? 1 : 0;
      expect([room, [0, 12].includes(done.status), (await viewsOver(source)).length]).toEqual([room, true, on]);
      await until("nothing else is leased", async () => (await statusOf(mountpoint)).views.length === on);
      expect(await swapfs(["swapoff", at("a")])).toMatchObject({ status: 0 });
    }
    expect(said.join("")).toMatch(/cannot attach the blocks of ino \d+ to a loop device: EMFILE/);
    await fs.unlink(at("a"));
  }));

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
