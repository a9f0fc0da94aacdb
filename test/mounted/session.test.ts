// The five lines of the README on each kind of source, under memory pressure, every page verified.

import { promises as fs } from "node:fs";
import path from "node:path";

import { ended, mountSwapfs, statusOf } from "../support/mounted";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { leftIn, scratchDir, zramDevice } from "../support/mounted-devices";
import { pressure } from "../support/mounted-pressure";
import { must, sh, swapfs } from "../support/mounted-run";
import { rememberRunDir } from "../support/rundirs";
import { takesTurns } from "../support/turns";

const turn = takesTurns("swap");

interface Source {
  readonly path: string;
  readonly args: readonly string[];
}

const sources: readonly (readonly [string, (cleanup: Cleanup, dir: string) => Promise<Source>])[] = [
  ["a directory", async (_cleanup, dir) => {
    const source = path.join(dir, "source");
    await fs.mkdir(source);
    return { path: source, args: [] };
  }],
  ["an image file", async (_cleanup, dir) => ({ path: path.join(dir, "disk.img"), args: ["--size", "400M"] })],
  ["a block device", async (cleanup) => ({ path: await zramDevice(cleanup, 400 << 20), args: ["--format"] })],
];

test.each(sources)("fallocate, mkswap, swapon, pressure, swapoff, umount: %s", async (_name, makeSource) => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const source = await makeSource(cleanup, dir);
    const mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, source.path, mountpoint, { args: source.args });

    await sh(`fallocate -l 192M "$M/a" && chmod 600 "$M/a" && mkswap "$M/a" && swapon -p 10 "$M/a"`, { env: { M: mountpoint } });
    const before = await statusOf(mountpoint);
    expect(before.swap.map((area: { path: string }) => area.path)).toEqual([path.join(mountpoint, "a")]);
    expect(before.files.find((file: { path?: string }) => /(^|\/)a$/.test(file.path ?? ""))).toMatchObject({ pinned: true, size: 192 << 20 });

    const done = await pressure(["--size", "128M", "--resident", "64M", "--seconds", "2"]);
    expect([done.status, done.status === 0 ? "" : done.stderr]).toEqual([0, ""]);
    const result = JSON.parse(done.stdout);
    expect(result.badPages).toBe(0);
    expect(result.pagesOut).toBeGreaterThan((64 << 20) / 4096);

    const after = await statusOf(mountpoint);
    const remembered = rememberRunDir(cleanup, after.runDir);
    for (const opcode of ["FUSE_READ", "FUSE_WRITE", "FUSE_BMAP"]) {
      expect([opcode, requests(after, opcode)]).toEqual([opcode, requests(before, opcode)]);
    }
    await must("swapoff", [path.join(mountpoint, "a")]);
    await turn.over();
    await must("umount", [mountpoint]);
    await ended(mountpoint);
    expect(await leftIn(dir)).toEqual([]);
    expect(remembered.isThere()).toBe(false);
  });
});

test("swapfs create --on and umount --swapoff do the same", async () => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, path.join(dir, "disk.img"), mountpoint, { args: ["--size", "128M"] });
    const file = path.join(mountpoint, "made");
    const created = await swapfs(["create", file, "--size", "64M", "--on", "--priority", "10", "--json"]);
    expect(created).toMatchObject({ status: 0, stderr: "" });
    expect(JSON.parse(created.stdout)).toMatchObject({ bytes: 64 << 20, on: true, priority: 10 });
    expect((await fs.stat(file)).mode & 0o777).toBe(0o600);
    expect(await fs.readFile("/proc/swaps", "utf8")).toContain(file);
    expect(await swapfs(["umount", mountpoint, "--swapoff"])).toMatchObject({ status: 0 });
    expect(await leftIn(dir)).toEqual([]);
  });
});

function requests(status: { requests: Record<string, number> }, opcode: string): number {
  return status.requests[opcode] ?? status.requests[opcode.replace("FUSE_", "")] ?? 0;
}
