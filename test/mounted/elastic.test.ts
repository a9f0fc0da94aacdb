// An image on real host filesystems: backed exactly where files own blocks, written there, given back after a deletion;
// a host that runs full tells whoever creates, and nobody else.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { addon } from "#src/sys/addon";
import { fileExtents } from "../support/hostdevices";
import { killAndAwait, mountSwapfs, statusOf, umount } from "../support/mounted";
import { withCleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { bytesOnHost, hostFilesystem, hostTypes, type HostType } from "../support/hosts";
import { pressure } from "../support/mounted-pressure";
import { must, run, sh, swapfs, until } from "../support/mounted-run";
import { fallocate } from "../support/mounted-syscall";
import { takesTurns } from "../support/turns";

const MiB = 2 ** 20;
/** What a host adds of its own: indirect blocks, trees. */
const overhead = MiB / 2;
const nocow = 0x00800000;

interface Place {
  readonly type: HostType;
  readonly host: string;
  readonly image: string;
  readonly mountpoint: string;
  at(name: string): string;
}

async function onHost(
  type: HostType, work: (place: Place) => Promise<void>, args: readonly string[] = ["--size", "400M"], bytes = 512 * MiB,
): Promise<void> {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const host = await hostFilesystem(cleanup, dir, type, { bytes });
    const source = path.join(host, "source");
    const mountpoint = path.join(dir, "mnt");
    await fs.mkdir(source);
    await mountSwapfs(cleanup, source, mountpoint, { args });
    const image = path.join(source, "swapfs.img");
    await work({ type, host, image, mountpoint, at: (name) => path.join(mountpoint, name) });
    await must("sync", ["-f", host]);
  });
}

/** Bytes of the image that its host has written: neither holes nor promises. */
async function writtenBytes(image: string): Promise<number> {
  const handle = await fs.open(image, "r");
  try {
    const { size } = await handle.stat();
    return fileExtents(handle.fd, 0, size).filter(({ flags }) => !flags.includes("unwritten"))
      .reduce((sum, { length }) => sum + length, 0);
  } finally {
    await handle.close();
  }
}

async function duFollows(image: string, bytes: number): Promise<void> {
  await until(`du says ${bytes} again`, async () => Math.abs((await bytesOnHost(image)) - bytes) <= overhead);
}

describe.each(hostTypes)("on %s", (type) => {
  const turn = takesTurns("swap");

  test("the whole life: created, written, swapped on under pressure, deleted; du follows each step", async () => {
    await onHost(type, async ({ host, image, mountpoint, at }) => {
      const handle = await fs.open(image, "r");
      const flags = type === "xfs" ? 0 : addon().fileFlags(handle.fd);
      await handle.close();
      expect((flags & nocow) !== 0).toBe(type === "btrfs");

      const empty = await bytesOnHost(image);
      const written = await writtenBytes(image);
      await must("fallocate", ["-l", "128M", at("a")]);
      expect(Math.abs((await bytesOnHost(image)) - empty - 128 * MiB)).toBeLessThanOrEqual(overhead);
      expect(Math.abs((await writtenBytes(image)) - written - 128 * MiB)).toBeLessThanOrEqual(overhead);

      await sh(`chmod 600 "$F"; mkswap "$F"; swapon -p 10 "$F"`, { env: { F: at("a") } });
      try {
        const done = await pressure(["--size", "96M", "--resident", "64M", "--seconds", "1"]);
        expect([done.status, done.status === 0 ? "" : done.stderr]).toEqual([0, ""]);
        expect(JSON.parse(done.stdout).badPages).toBe(0);
      } finally {
        await must("swapoff", [at("a")]);
      }
      await turn.over();
      expect(Math.abs((await bytesOnHost(image)) - empty - 128 * MiB)).toBeLessThanOrEqual(overhead);

      await sh(`head -c 8M /dev/urandom >"$F"; sync -f "$F"`, { env: { F: at("b") } });
      await duFollows(image, empty + 136 * MiB);
      const free = (await fs.statfs(host)).bavail * (await fs.statfs(host)).bsize;
      const ours = await fs.statfs(mountpoint);
      expect(ours.bavail * ours.bsize).toBeLessThanOrEqual(free + overhead);
      expect(ours.bfree).toBeGreaterThanOrEqual(ours.bavail);

      await must("rm", [at("a"), at("b")]);
      await duFollows(image, empty);
      await umount(mountpoint);
      expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
    });
  });

  test("a full host: ENOSPC for whoever creates, the active swapfile goes on, room that is made is used", async () => {
    await onHost(type, async ({ host, image, mountpoint, at }) => {
      await sh(`fallocate -l 128M "$F"; chmod 600 "$F"; mkswap "$F"; swapon -p 10 "$F"`, { env: { F: at("a") } });
      try {
        const filler = path.join(host, "filler");
        await run("dd", ["if=/dev/zero", `of=${filler}`, "bs=1M", "conv=fsync"]);
        await fs.writeFile(at("b"), "");
        expect(await fallocate(at("b"), 0, 0, 64 * MiB)).toBe("ENOSPC");
        expect(await bytesOnHost(at("b"))).toBe(0);
        const dd = await run("dd", ["if=/dev/zero", `of=${at("c")}`, "bs=1M", "count=64", "conv=fsync"]);
        expect(dd.stderr).toContain("No space left on device");

        const done = await pressure(["--size", "96M", "--resident", "64M", "--seconds", "1"]);
        expect([done.status, done.status === 0 ? "" : done.stderr]).toEqual([0, ""]);
        expect(JSON.parse(done.stdout).badPages).toBe(0);
        await must("rm", ["-f", at("b"), at("c"), filler]);
        await must("sync", ["-f", host]);
        await fs.writeFile(at("d"), "");
        expect(await fallocate(at("d"), 0, 0, 64 * MiB)).toBe(0);
      } finally {
        await must("swapoff", [at("a")]);
      }
      await umount(mountpoint);
      expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
    });
  });
});

test.each(hostTypes)("rm and umount at once: the host has its room back: %s", async (type) => {
  await onHost(type, async ({ image, mountpoint, at }) => {
    const empty = await bytesOnHost(image);
    await must("fallocate", ["-l", "128M", at("a")]);
    await must("rm", [at("a")]);
    await umount(mountpoint);
    expect(Math.abs((await bytesOnHost(image)) - empty)).toBeLessThanOrEqual(overhead);
    expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
  });
});

test("the control plane dies while zeros are written: the request is carried out again, and nothing is left over", async () => {
  await onHost("ext4", async ({ image, mountpoint, at }) => {
    const empty = await bytesOnHost(image);
    for (let round = 0; round < 3; round += 1) {
      const made = run("fallocate", ["-l", "256M", at(`f${round}`)]);
      await killAndAwait(mountpoint, "control plane");
      expect(await made).toMatchObject({ status: 0 });
      await duFollows(image, empty + 256 * MiB);
      await must("rm", [at(`f${round}`)]);
      await duFollows(image, empty);
    }
    await umount(mountpoint);
    expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
  });
});

test("fallocate is killed while zeros are written: it ends, and nothing of it is left", async () => {
  await onHost("ext4", async ({ image, mountpoint, at }) => {
    const empty = await bytesOnHost(image);
    const child = spawn("fallocate", ["-l", "900M", at("f")]);
    const ended = new Promise<NodeJS.Signals | null>((resolve) => child.on("exit", (_code, signal) => resolve(signal)));
    await until("the host has begun", async () => (await bytesOnHost(image)) > empty);
    child.kill("SIGKILL");
    expect(await ended).toBe("SIGKILL");
    await duFollows(image, empty);
    expect(await fs.stat(at("f"))).toMatchObject({ size: 0, blocks: 0 });
    await umount(mountpoint);
    expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
  }, ["--size", "960M"], 1024 * MiB);
});

test("an image that is truncated from outside: EIO for what is gone, said in status and log; the rest goes on", async () => {
  await onHost("ext4", async ({ image, mountpoint, at }) => {
    await must("dd", ["if=/dev/urandom", `of=${at("first")}`, "bs=1M", "count=8", "conv=fsync"]);
    await must("fallocate", ["-l", "100M", at("between")]);
    await must("dd", ["if=/dev/urandom", `of=${at("last")}`, "bs=1M", "count=8", "conv=fsync"]);
    await fs.writeFile("/proc/sys/vm/drop_caches", "1");
    await fs.truncate(image, 64 * MiB);
    expect((await run("cat", [at("last")])).stderr).toContain("Input/output error");
    expect((await fs.readFile(at("first"))).length).toBe(8 * MiB);
    const status = await statusOf(mountpoint);
    expect(status.warnings.join()).toMatch(/swapfs.img was truncated from outside: 64 MiB of 400 MiB are left/);
    await until("the log says so", async () => (await fs.readFile(path.join(status.runDir, "log"), "utf8")).includes("truncated from outside"));
    const more = await run("fallocate", ["-l", "200M", at("more")]);
    expect(more.stderr).toContain("Input/output error");
    expect((await fs.stat(image)).size).toBe(64 * MiB);
    await must("rm", [at("last"), at("between"), at("more")]);
    await fs.truncate(image, 400 * MiB);
    await must("fallocate", ["-l", "100M", at("again")]);
    await umount(mountpoint);
    expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
  });
});
