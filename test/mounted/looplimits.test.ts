// Where no loop device can be had: the command says why and what to do, and leaves nothing behind.
//
// Seen by experiment, and not tested: LOOP_CTL_GET_FREE never runs out of devices. max_loop is no limit, the kernel makes
// another device whenever none is free (loop_control_get_free, drivers/block/loop.c), so ten are attached where max_loop is
// 8; and the minors end with device 1,048,575, each of 48 KiB of memory (LOOP_CTL_ADD of the next number: EINVAL). While
// some program has the free device open with O_EXCL, LOOP_CONFIGURE is EBUSY, for whoever wants one, so a test of it would
// disturb others: "cannot attach …: EBUSY: … ioctl(LOOP_CONFIGURE), another program has the free loop device open …".

import { promises as fs } from "node:fs";
import path from "node:path";

import { mountSwapfs } from "../support/mounted";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { attachLoop, imageFile, leftIn, scratchDir } from "../support/mounted-devices";
import { must, projectDir, run, sh, swapfs, type Done } from "../support/mounted-run";
import { inNamespaceOfItsOwn } from "../support/namespace";

const always = ["null", "zero", "urandom", "random", "fuse"];

interface Surroundings {
  /** nodes of /dev beside those that every program wants */
  readonly nodes: readonly string[];
  /** shell commands run in these surroundings before swapfs */
  readonly before?: string;
}

/** Runs swapfs in a mount namespace with a /dev of its own, as a container may have it. */
function swapfsWithDev(dir: string, { nodes, before = "" }: Surroundings, args: readonly string[]): Promise<Done> {
  const script = `
    mkdir "$D/dev"; mount -t tmpfs none "$D/dev"; for n in ${[...always, ...nodes].join(" ")}; do cp -a "/dev/$n" "$D/dev/"; done
    mount --move "$D/dev" /dev; rmdir "$D/dev"; ${before}
    exec "$NODE" "$MAIN" "$@"`;
  const env = { D: dir, NODE: process.execPath, MAIN: path.join(projectDir, "dist/cli/main.js") };
  return inNamespaceOfItsOwn(dir, script, { env }, ...args);
}

/** A mount of a new image that must fail: the message; and nothing is left. */
function refusedMount(surroundings: (cleanup: Cleanup, dir: string) => Promise<Surroundings> | Surroundings): Promise<string> {
  return withCleanup(async (cleanup) => {
    const elsewhere = await scratchDir(cleanup);
    const dir = await scratchDir(cleanup);
    await fs.mkdir(path.join(dir, "mnt"));
    const done = await swapfsWithDev(dir, await surroundings(cleanup, elsewhere), ["mount", path.join(dir, "disk.img"), path.join(dir, "mnt"), "--size", "32M"]);
    expect([done.status, await leftIn(dir), await fs.readdir(dir)]).toEqual([12, [], ["mnt"]]);
    expect(done.stderr).toMatch(/^swapfs: cannot attach .*disk\.img to a loop device: /);
    return done.stderr;
  });
}

/** Loop devices that are in use, as nodes of /dev. */
async function busyLoops(cleanup: Cleanup, dir: string, count: number): Promise<string[]> {
  const devices: string[] = [];
  for (let each = 0; each < count; each += 1) devices.push(await attachLoop(cleanup, await imageFile(dir, `busy-${each}`, 1 << 20)));
  return devices.map((device) => path.basename(device));
}

const noNode = /ENOENT.*the node of the next free loop device is missing \(losetup -f names it\): detach one that is not used \(losetup -l\), or have a devtmpfs on \/dev/;

test("every loop device that /dev has a node of is in use", async () => {
  expect(await refusedMount(async (cleanup, dir) => ({ nodes: ["loop-control", ...await busyLoops(cleanup, dir, 3)] }))).toMatch(noNode);
});

test("/dev has no node of any loop device", async () => {
  expect(await refusedMount(() => ({ nodes: ["loop-control"] }))).toMatch(noNode);
});

test("no /dev/loop-control, as without the kernel module", async () => {
  expect(await refusedMount(() => ({ nodes: [] }))).toMatch(/ENOENT.*load the kernel module loop \(modprobe loop\)/);
});

test("devices that may not be opened, as in a container", async () => {
  const before = `mkdir /dev/locked; mount -t tmpfs -o nodev none /dev/locked; cp -a /dev/loop-control /dev/locked/
    mount --bind /dev/locked/loop-control /dev/loop-control;`;
  expect(await refusedMount(() => ({ nodes: ["loop-control"], before }))).toMatch(/EACCES.*run as root, outside of a container without devices/);
});

test("too few descriptors, at whichever step they end: EMFILE and what to do, nothing left; then enough", async () => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const [image, mountpoint] = [path.join(dir, "disk.img"), path.join(dir, "mnt")];
    await fs.mkdir(mountpoint);
    const main = path.join(projectDir, "dist/cli/main.js");
    const refused: string[] = [];
    // Node itself needs 19 to start, and a few more to load what tells of the failure.
    for (let limit = 20; ; limit += 1) {
      const done = await run("sh", ["-c", `ulimit -n ${limit}; exec "$@"`, "sh", process.execPath, main, "mount", image, mountpoint, "--size", "32M"]);
      if (done.status === 0) break;
      expect([limit, done.status, done.stderr]).toEqual([limit, 12, expect.stringMatching(/^swapfs: cannot .*EMFILE.*, raise ulimit -n, or fs\.file-max\n$/)]);
      expect([await leftIn(dir), await fs.readdir(dir)]).toEqual([[], ["mnt"]]);
      refused.push(done.stderr);
    }
    expect(await swapfs(["umount", mountpoint])).toMatchObject({ status: 0 });
    for (const step of [/open\(\/dev\/loop-control\)/, /open\(\/dev\/loopN\)/, /spawn .*swapfs-keeper/]) expect(refused.some((text) => step.test(text))).toBe(true);
  });
});

test("swapon --loop: the same words; no swap, and the file is an ordinary one again", async () => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const mountpoint = path.join(dir, "mnt");
    const file = path.join(mountpoint, "a");
    await mountSwapfs(cleanup, path.join(dir, "disk.img"), mountpoint, { args: ["--size", "64M"] });
    await sh(`fallocate -l 16M "$F"; chmod 600 "$F"; mkswap -q "$F"`, { env: { F: file } });
    for (const [nodes, words] of [[["loop-control"], noNode], [[], /modprobe loop/]] as const) {
      const done = await swapfsWithDev(dir, { nodes }, ["swapon", "--loop", file, "--priority", "3"]);
      expect([done.status, done.stderr]).toEqual([12, expect.stringMatching(words)]);
      expect(done.stderr).toMatch(/cannot attach .*mnt\/a to a loop device: /);
    }
    expect(await must("losetup", ["--list", "--noheadings", "--output", "BACK-FILE"])).not.toContain(file);
    await fs.truncate(file, 4096);
    expect(await swapfs(["fsck", mountpoint])).toMatchObject({ status: 0 });
  });
});
