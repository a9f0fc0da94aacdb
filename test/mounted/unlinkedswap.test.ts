// A swapfile that is unlinked as early as the kernel lets it, swapped off, and then every process of the mount is killed in
// turn: its blocks are free after the next mount, once, and nothing else is lost.

import { promises as fs } from "node:fs";

import { isMounted, isRunning, killAndAwait, mountSwapfs, pidOf, statusOf, ended, umount, type Role } from "../support/mounted";
import { imageUnderTest } from "../support/mounted-image";
import { pressure } from "../support/mounted-pressure";
import { must, run, sh, swapfs, until } from "../support/mounted-run";
import { rememberRunDir } from "../support/rundirs";
import { takesTurns } from "../support/turns";

const turn = takesTurns("swap");
const volume = imageUnderTest("96M");
const { cleanup, at } = volume;
const swapMiB = 48;
const swapPages = (swapMiB << 20) / 4096;

/** Writes to swap, so that the blocks hold what other programs had in memory. */
async function used(): Promise<void> {
  const done = await pressure(["--size", "40M", "--resident", "20M", "--seconds", "1"]);
  expect([done.status, done.status === 0 ? JSON.parse(done.stdout).badPages : done.stderr]).toEqual([0, 0]);
}

/** What was swapped on and is swapped off and without a name; still open, where there is a handle. */
type Unlinked = fs.FileHandle | undefined;

const ways: readonly (readonly [string, (file: string) => Promise<Unlinked>])[] = [
  ["swapped on itself: unlink is EPERM for each of its names until swapoff, then it is open without a name", async (file) => {
    await sh(`mkswap -q "$F"; ln "$F" "$F.link"; swapon -p 10 "$F"`, { env: { F: file } });
    const handle = await fs.open(file, "r");
    try {
      await used();
      // may_delete (fs/namei.c): IS_SWAPFILE of the inode, whichever name.
      for (const name of [file, `${file}.link`]) await expect(fs.unlink(name)).rejects.toMatchObject({ code: "EPERM" });
    } finally {
      await must("swapoff", [file]);
    }
    for (const name of [file, `${file}.link`]) await fs.unlink(name);
    return handle;
  }],
  ["pinned, unlinked: swapon by its handle is ENOENT, the pin stays", async (file) => {
    await sh(`mkswap -q "$F"; swapon -p 10 "$F"`, { env: { F: file } });
    const handle = await fs.open(file, "r");
    try {
      await used();
      expect(await swapfs(["pin", file])).toMatchObject({ status: 0 });
    } finally {
      await must("swapoff", [file]);
    }
    await fs.unlink(file);
    // d_unlinked in swapon (mm/swapfile.c): what has no name cannot be swapped on again.
    expect((await run("swapon", ["-p", "10", `/proc/${process.pid}/fd/${handle.fd}`])).status).not.toBe(0);
    return handle;
  }],
  ["swapped on through a loop device, and unlinked while it is on", async (file) => {
    const done = await swapfs(["swapon", "--loop", file, "--priority", "10", "--json"]);
    expect(done).toMatchObject({ status: 0 });
    const { device } = JSON.parse(done.stdout);
    try {
      await fs.unlink(file);
      await used();
      expect((await statusOf(volume.mountpoint)).orphans).toBe(1);
    } finally {
      await must("swapoff", [device], { timeoutMs: 30_000 });
    }
    await until("the loop device is gone", async () => !(await must("losetup", ["--list"])).includes(file));
    return undefined;
  }],
];

/** SIGKILL for one after the other. While the keeper lives it starts another one, which is waited for. */
async function killInTurn(order: readonly Role[]): Promise<void> {
  let last: ReadonlyMap<Role, number> | undefined; // without the keeper nobody tells any more which process is whose
  for (const role of order) {
    if (last === undefined && role !== "keeper") await killAndAwait(volume.mountpoint, role);
    else {
      last ??= new Map(await Promise.all(order.map(async (each) => [each, (await pidOf(volume.mountpoint, each))!] as const)));
      const pid = last.get(role)!;
      if (isRunning(pid)) process.kill(pid, "SIGKILL");
      await until(`the ${role} is gone`, () => !isRunning(pid));
    }
  }
}

async function freePages(): Promise<number> {
  return (await statusOf(volume.mountpoint)).volume.freePages;
}

async function diskFree(): Promise<string> {
  return must("df", ["--output=size,used,avail,itotal,iused", volume.mountpoint]);
}

const orders: readonly (readonly Role[])[] = [["data plane", "control plane", "keeper"], ["keeper", "data plane", "control plane"]];

beforeAll(async () => {
  await sh(`cd "$M"; mkdir keep; dd if=/dev/urandom of=keep/a bs=1M count=4 status=none; cp keep/a keep/clone; fallocate -l 2M keep/b; sync -f .`, { env: { M: volume.mountpoint } });
});

// What is killed last matters for what serves on meanwhile, not for how the file lost its name: the second order once.
const both = ways.map((way, at) => [...way, at === 0 ? orders : orders.slice(0, 1)] as const);

describe.each(both)("%s", (_name, unlinked, inOrder) => {
  test.each(inOrder)("then SIGKILL: %s, %s, %s, and a remount", async (...order) => {
    const sums = (): Promise<string> => sh(`cd "$M"; find . -type f | sort | xargs sha256sum`, { env: { M: volume.mountpoint } });
    const before = { free: await freePages(), df: await diskFree(), sums: await sums() };
    const file = at("swap");
    await sh(`fallocate -l ${swapMiB}M "$F"; chmod 600 "$F"`, { env: { F: file } });
    expect(await freePages()).toBe(before.free - swapPages);

    const runDir = rememberRunDir(cleanup, (await statusOf(volume.mountpoint)).runDir);
    const handle = await unlinked(file);
    await turn.over();
    try {
      await must("sync", ["-f", volume.mountpoint]);
      await killInTurn(order);
    } finally {
      await handle?.close();
    }
    // In the one order two processes serve on. In the other the connection was aborted: nobody had /dev/fuse open any more.
    if (order[0] === "keeper") await must("umount", ["--lazy", volume.mountpoint]);
    else await umount(volume.mountpoint);
    await ended(volume.mountpoint);
    expect(await isMounted(volume.mountpoint)).toBe(false);
    await runDir.remove();
    await until("the image's loop device is gone", async () => !(await must("losetup", ["--list"])).includes(volume.image));
    expect(await swapfs(["fsck", volume.image])).toMatchObject({ status: 0, stderr: "" });

    await mountSwapfs(cleanup, volume.image, volume.mountpoint);
    await until("all blocks of the swapfile are free", async () => (await freePages()) === before.free);
    expect((await statusOf(volume.mountpoint)).orphans).toBe(0);
    expect([await diskFree(), await sums()]).toEqual([before.df, before.sums]);
    await givenOutOnce();
    expect([await freePages(), await diskFree(), await sums()]).toEqual([before.free, before.df, before.sums]);
    expect(await swapfs(["fsck", volume.mountpoint])).toMatchObject({ status: 0 });
  });
});

/** Blocks that were freed twice would belong to two files, blocks that were not freed to none: two files take all there is. */
async function givenOutOnce(): Promise<void> {
  const half = `${Math.floor((await freePages()) / 2) * 4096}`;
  const [one, other] = [at("one"), at("other")];
  try {
    for (const [file, letter] of [[one, "1"], [other, "2"]] as const) {
      await sh(`head -c ${half} /dev/zero | tr '\\0' ${letter} | dd of="$F" bs=1M iflag=fullblock conv=fsync status=none`, { env: { F: file } });
    }
    expect(await freePages()).toBeLessThan(2);
    await fs.writeFile("/proc/sys/vm/drop_caches", "1");
    for (const [file, letter] of [[one, "1"], [other, "2"]] as const) {
      expect(await sh(`tr -d ${letter} <"$F" | wc -c`, { env: { F: file } })).toBe("0\n");
    }
    expect(await swapfs(["fsck", volume.mountpoint])).toMatchObject({ status: 0 });
  } finally {
    for (const file of [one, other]) await fs.rm(file, { force: true });
  }
  await until("they are freed", async () => (await statusOf(volume.mountpoint)).orphans === 0);
}
