// Block views: swap on a loop device over a file's own blocks. On and off, what is refused, and what a mount finds over its source.

import { promises as fs } from "node:fs";
import path from "node:path";

import { loadMapper } from "#src/sys/mapper";
import { mountSwapfs, pidOf, statusOf, tryMount, umount } from "../support/mounted";
import { withCleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { must, run, sh, swapfs, until } from "../support/mounted-run";
import { MiB, allViews, expectRefused, make, on, onVolume, priorityOf, unlinkSoon, viewsOver } from "../support/mounted-views";

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
    await until("it is swapped on itself", async () => (await run("swapon", ["-p", "10", at("a")])).status === 0, 2000);
    await must("swapoff", [at("a")]);
    await must("swapoff", [await on(volume, "a")]);
    await unlinkSoon(at("a"));
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

test("a device that somebody holds open: swapoff and umount --swapoff say so, the blocks stay leased, also by the next mount, until it is closed", () =>
  onVolume("device", async (volume) => {
    const { cleanup, source, mountpoint, at } = volume;
    await make(volume, "a", "8M");
    const device = await on(volume, "a");
    const held = await fs.open(device, "r");
    const told = { status: 0, stderr: expect.stringMatching(`${device} is off, but somebody has it open \\(fuser -v ${device}\\)`) };
    try {
      expect(await swapfs(["swapoff", at("a"), "--json"])).toMatchObject({ ...told, stdout: expect.stringContaining(`"stays": "${device}"`) });
      expect([await priorityOf(device), (await statusOf(mountpoint)).views]).toMatchObject([undefined, [{ device }]]);
      await expect(fs.unlink(at("a"))).rejects.toMatchObject({ code: "EPERM" });
      expect(await on(volume, "a")).toBe(device);
      expect(await swapfs(["umount", "--swapoff", mountpoint])).toMatchObject(told);
      await mountSwapfs(cleanup, source, mountpoint);
      expect([await priorityOf(device), (await statusOf(mountpoint)).views]).toMatchObject([undefined, [{ device }]]);
    } finally {
      await held.close();
    }
    await unlinkSoon(at("a"));
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
    await expectRefused(device, [["mount", anew, mountpoint], ["mount", image, mountpoint], ["mount", anew, mountpoint, "--format", "--force"],
      ["mount", image, mountpoint, "--format", "--force"], ["shrink", anew, "--size", "48M"]]);
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
    const takes = async (name: string, how = "--block"): Promise<void> => {
      expect(await swapfs(["swapon", how, at(name), "--priority", "10"])).toMatchObject({ status: 0 });
      expect(await swapfs(["swapoff", at(name)])).toMatchObject({ status: 0 });
    };
    await sh(`truncate -s 1M "$F"`, { env: { F: at("holes") } });
    await refuse(["swapon", "--block", at("holes")], 10, /gate refuses it\n {2}- 256 pages of the file not allocated[^]*do: /);
    await sh(`fallocate -l 1M "$F"; fallocate -l 1M "$G"; fallocate -l 2M "$F"; chmod 600 "$F"; mkswap -q "$F"`, { env: { F: at("two"), G: at("between") } });
    if (loadMapper()) await takes("two");
    else await refuse(["swapon", "--block", at("two")], 10, /lies in 2 extents and this kernel has no device mapper to join them, run swapfs prepare --contiguous/);
    await sh(`fallocate -l 2M "$F"; chmod 600 "$F"`, { env: { F: at("blank") } });
    await refuse(["swapon", "--block", at("blank")], 12, /cannot swapon \/dev\/loop\d+ over .*, page 0 carries no swap header|mkswap/);
    await make(volume, "a", "2M");
    await must("swapon", ["-p", "10", at("a")]);
    await refuse(["swapon", "--block", at("a")], 12, /swapped on itself/);
    await must("swapoff", [at("a")]);
    expect(await swapfs(["activate", at("a")])).toMatchObject({ status: 0 });
    await refuse(["swapon", "--block", at("a")], 12, /it is activated/);
    expect(await swapfs(["deactivate", at("a")])).toMatchObject({ status: 0 });
    if (loadMapper()) await takes("a", "--encrypt");
    else await refuse(["swapon", "--encrypt", at("a")], 12, /this kernel has no device mapper, load dm_mod and dm_crypt/);
    await refuse(["swapon", "--encrypt", "--loop", at("a")], 2, /leave one out/);
    await refuse(["create", at("x"), "--size", "1M", "--encrypt"], 2, /add --on/);
    await refuse(["swapon", "--block", "--loop", at("a")], 2, /two ways/);
    await refuse(["swapoff"], 2, /--all-views/);
    await refuse(["create", path.join(path.dirname(source), "x"), "--size", "1M", "--block"], 2, /not on a swapfs volume/);
    expect(await viewsOver(source)).toEqual([]);
    for (const name of ["holes", "two", "blank", "a"]) await fs.writeFile(at(name), "x", { flag: "r+" });

    await make(volume, "b", "2M");
    await on(volume, "b");
    await refuse(["swapon", "--loop", at("b")], 12, /swapped on/);
    await refuse(["swapon", "--encrypt", at("b")], 12, /it is swapped on by its block view \/dev\/loop\d+ as it is, run swapfs swapoff/);
    expect((await run("swapon", ["-p", "10", at("b")])).stderr).toMatch(/Invalid argument/);
    expect((await swapfs(["check", at("b")])).stdout).toMatch(/in use as swap already, by its block view/);
    await refuse(["activate", at("b")], 12, /swapped on/);
    await expect(fs.unlink(at("b"))).rejects.toMatchObject({ code: "EPERM" });
    expect(await swapfs(["swapoff", at("b")])).toMatchObject({ status: 0 });
  }));

test("a loop device over the source that no lease knows: no mount, and nothing is written", () =>
  onVolume("device", async ({ cleanup, source, mountpoint }) => {
    await umount(mountpoint);
    const foreign = (await must("losetup", ["--find", "--show", "--offset", String(32 * MiB), "--sizelimit", String(MiB), source])).trim();
    cleanup.add(foreign, () => run("losetup", ["--detach", foreign]));
    const refused = await tryMount(cleanup, source, mountpoint);
    expect([refused.status, refused.stderr]).toEqual([12, expect.stringMatching(`attached to ${foreign} by somebody else, run losetup -d ${foreign}`)]);
    await must("losetup", ["--detach", foreign]);
    await mountSwapfs(cleanup, source, mountpoint);
  }));

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
