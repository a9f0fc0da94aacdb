// What the gate refuses for the image's sake, made for real on each host where it can occur: ext4, xfs and btrfs.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import path from "node:path";

import { expectAccepted, expectRefused, imageOffset, prepareAndExpectAccepted, reasonsOf, swapfile, trySwapon } from "../support/gate";
import { hostFilesystem, hostTypes, reflinkHosts, type HostType } from "../support/hosts";
import { killAndAwait, mountSwapfs, tryMount, umount } from "../support/mounted";
import { Cleanup, withCleanup } from "../support/mounted-cleanup";
import { attachLoop, scratchDir } from "../support/mounted-devices";
import { must, run, sh, swapfs } from "../support/mounted-run";

const pageBytes = 4096;

describe.each(hostTypes)("on %s", (type) => {
  const cleanup = new Cleanup();
  let host: string;
  let image: string;
  let mountpoint: string;
  let dir: string;

  beforeAll(async () => {
    dir = await scratchDir(cleanup);
    host = await hostFilesystem(cleanup, dir, type);
    image = path.join(host, "disk.img");
    mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, image, mountpoint, { args: ["--size", "160M"] });
  });
  afterAll(() => cleanup.run());

  /** fallocate(1) on the image below pages [page, page + count) of the file. */
  const below = async (file: string, page: number, count: number, ...options: string[]): Promise<void> => {
    const offset = await imageOffset(file, page);
    await must("fallocate", [...options, "-o", String(offset), "-l", String(count * pageBytes), image]);
  };

  test("fallocate, mkswap, swapon: accepted", async () => {
    await expectAccepted(await swapfile(mountpoint, "whole"));
  });

  test("written by plain buffered writes without fsync: accepted", async () => {
    const file = path.join(mountpoint, "buffered");
    await sh(`dd if=/dev/zero of="$F" bs=1M count=8 status=none; chmod 600 "$F"; mkswap -q "$F"`, { env: { F: file } });
    await expectAccepted(file);
  });

  test("unwritten on the host: refused with the pages", async () => {
    const file = await swapfile(mountpoint, "unwritten");
    await below(file, 100, 40, "-z");
    const [reason] = await expectRefused(mountpoint, file, ["unwritten (image)"]);
    expect(reason!.ranges).toEqual([{ page: 100, count: 40 }]);
    expect(reason!.text).toBe("40 pages of the image below the file allocated by the host but never written: "
      + "the first write to each needs a transaction of its journal: pages 100-139");
    await prepareAndExpectAccepted(file);
  });

  test("punched out of the image from outside, after it was checked: refused, other files go on", async () => {
    const file = await swapfile(mountpoint, "punched");
    const other = await swapfile(mountpoint, "other");
    await expectAccepted(file);
    await below(file, 512, 16, "-p");
    const [reason] = await expectRefused(mountpoint, file, ["hole (image)"]);
    expect(reason).toMatchObject({ ranges: [{ page: 512, count: 16 }], kernel: "has unallocated extents" });
    await expectAccepted(other);
    await prepareAndExpectAccepted(file);
  });

  test("holes in both layers are told apart, with the pages of the file", async () => {
    const file = await swapfile(mountpoint, "both");
    await below(file, 1000, 8, "-p");
    await must("fallocate", ["-p", "-o", String(20 * pageBytes), "-l", String(4 * pageBytes), file]);
    const reasons = await expectRefused(mountpoint, file, ["hole", "hole (image)"]);
    expect(reasons.map(({ ranges }) => ranges)).toEqual([[{ page: 20, count: 4 }], [{ page: 1000, count: 8 }]]);
    await prepareAndExpectAccepted(file);
  });

  test("a host that is full: ENOSPC for who creates, and what is there goes on", async () => {
    const file = await swapfile(mountpoint, "early");
    const filler = path.join(host, "filler");
    for (const step of [64 << 20, 4 << 20, 64 << 10]) { // fallocate takes all or nothing
      for (let done = true; done;) {
        const { bavail, bsize } = await fs.statfs(host);
        done = bavail * bsize > step && (await run("fallocate", ["-o", String(await sizeOf(filler)), "-l", String(step), filler])).status === 0;
      }
    }
    expect((await run("fallocate", ["-l", "64M", path.join(mountpoint, "late")])).stderr).toContain("No space left on device");
    await expectAccepted(file);
    await fs.unlink(filler);
    await sh(`rm -f "$M/late"; sync -f "$H"`, { env: { M: mountpoint, H: host } });
  });

  test("the image cut off from outside: refused from there on, what lies before goes on", async () => {
    const before = await swapfile(mountpoint, "before");
    const cut = await swapfile(mountpoint, "cut", "40M");
    const at = await imageOffset(cut, 5000);
    expect(await imageOffset(before, 0)).toBeLessThan(at);
    const { size } = await fs.stat(image);
    await fs.truncate(image, at);
    const [reason] = await expectRefused(mountpoint, cut, ["hole (image)"]);
    expect(reason!.ranges).toEqual([{ page: 5000, count: 10240 - 5000 }]);
    await expectAccepted(before);
    await fs.truncate(image, size);
  });
});

describe.each(reflinkHosts)("cp --reflink on %s", (type) => {
  test("an image whose extents the copy shares is refused on both sides, and accepted on both when one is prepared", async () => {
    await withImage(type, {}, async ({ cleanup, host, image, mountpoint, dir }) => {
      const file = await swapfile(mountpoint, "a");
      const copy = path.join(host, "copy.img");
      // btrfs clones only between files that have checksums and files that have none; NOCOW files have none.
      if (type === "btrfs") await sh(`touch "$C"; chattr +C "$C"`, { env: { C: copy } });
      await must("cp", ["--reflink=always", image, copy]);
      const [reason] = await expectRefused(mountpoint, file, ["shared (image)"]);
      expect(reason).toMatchObject({ ranges: [{ page: 0, count: 2048 }], kernel: "has shared extents" });
      expect(reason!.text).toBe("2048 pages of the image below the file shared with another file of the host: pages 0-2047");
      await umount(mountpoint);
      const mountedCopy = path.join(dir, "copy");
      await mountSwapfs(cleanup, copy, mountedCopy);
      await expectRefused(mountedCopy, path.join(mountedCopy, "a"), ["shared (image)"]);
      await mountSwapfs(cleanup, image, mountpoint);
      await prepareAndExpectAccepted(file);
      await expectAccepted(path.join(mountedCopy, "a")); // nobody shares its blocks any more
    });
  });
});

describe("btrfs", () => {
  test("an image without NOCOW: said at mount, refused at swapon, accepted with --allow-cow", async () => {
    await withCleanup(async (cleanup) => {
      const dir = await scratchDir(cleanup);
      const host = await hostFilesystem(cleanup, dir, "btrfs");
      const image = path.join(host, "plain.img");
      await sh(`truncate -s 128M "$F"`, { env: { F: image } });
      const mountpoint = path.join(dir, "mnt");
      await fs.mkdir(mountpoint);
      await mountSwapfs(cleanup, image, mountpoint, { args: ["--format"] });
      const file = await swapfile(mountpoint, "a");
      const [reason] = await expectRefused(mountpoint, file, ["cow-host"]);
      expect(reason).toMatchObject({
        text: "the host of the image, btrfs, may allocate at each write: the image has no NOCOW flag (lsattr shows C)",
        kernel: "swapfile must not be copy-on-write",
      });
      await umount(mountpoint);
      const again = await swapfs(["mount", image, mountpoint]);
      expect(again.stderr).toContain(`swapfs: warning: swapon will refuse every file: ${reason!.text}`);
      await umount(mountpoint);
      const allowed = await swapfs(["mount", image, mountpoint, "--allow-cow"]);
      expect(allowed.stderr).toContain("btrfs may allocate at each write to the image");
      await expectAccepted(file);
      await killAndAwait(mountpoint, "control plane");
      await expectAccepted(file); // what was allowed holds for the next control plane
    });
  });

  test("compressed by the host: refused, also with --allow-cow", async () => {
    await withImage("btrfs", { mountOptions: "compress-force=zstd" }, async ({ cleanup, host, image, mountpoint, dir }) => {
      await swapfile(mountpoint, "a");
      await umount(mountpoint);
      const copy = path.join(host, "compressed.img");
      await must("cp", ["--reflink=never", "--sparse=never", image, copy]);
      await must("sync", ["-f", copy]);
      const other = path.join(dir, "compressed");
      await mountSwapfs(cleanup, copy, other, { args: ["--allow-cow"] });
      const [reason] = await expectRefused(other, path.join(other, "a"), ["encoded (image)"]);
      expect(reason).toMatchObject({ kernel: "swapfile must not be compressed" });
      expect(reason!.text).toMatch(/^\d+ pages of the image below the file compressed or encrypted by the host: pages /);
    });
  });
});

async function sizeOf(file: string): Promise<number> {
  return (await fs.stat(file).catch(() => ({ size: 0 }))).size;
}

interface Setting {
  readonly cleanup: Cleanup;
  readonly dir: string;
  readonly host: string;
  readonly image: string;
  readonly mountpoint: string;
}

/** A volume of 64 MiB in an image on a host of its own. */
async function withImage(type: HostType, options: { mountOptions?: string }, body: (setting: Setting) => Promise<void>): Promise<void> {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const host = await hostFilesystem(cleanup, dir, type, options);
    const image = path.join(host, "disk.img");
    const mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, image, mountpoint, { args: ["--size", "64M"] });
    await body({ cleanup, dir, host, image, mountpoint });
  });
}

test.each(hostTypes)("a loop device over a sparse file on %s, attached by hand and given as the source: accepted, punched, prepared", async (type) => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const host = await hostFilesystem(cleanup, dir, type);
    const image = path.join(host, "byhand.img");
    await sh(`touch "$F"; chattr +C "$F" 2>/dev/null || :; truncate -s 64M "$F"`, { env: { F: image } });
    const mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, await attachLoop(cleanup, image), mountpoint, { args: ["--format"] });
    const file = await swapfile(mountpoint, "a");
    await expectAccepted(file);
    await must("fallocate", ["-p", "-o", String(await imageOffset(file, 512)), "-l", String(16 * pageBytes), image]);
    const [reason] = await expectRefused(mountpoint, file, ["hole (image)"]);
    expect(reason!.ranges).toEqual([{ page: 512, count: 16 }]);
    await prepareAndExpectAccepted(file);
  });
});

test.each(["partition", "offset"])("a volume within a file, below a loop device by its %s: looked at where it lies, and one volume under all names", async (by) => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const host = await hostFilesystem(cleanup, dir, "ext4");
    const image = path.join(host, "disk.img");
    await sh(`truncate -s 80M "$F"`, { env: { F: image } });
    const start = 5 * pageBytes + 512; // of a volume that no block of the host is aligned to
    const twin = await attachLoop(cleanup, image, "--offset", String(start), "--sizelimit", String(64 << 20));
    const device = by === "offset" ? twin : await partition(await attachLoop(cleanup, image), start / 512, (64 << 20) / 512);
    const mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, device, mountpoint, { args: ["--format"] });
    const file = await swapfile(mountpoint, "a");
    await expectAccepted(file);
    await must("fallocate", ["-p", "-o", String(await imageOffset(file, 512) + start), "-l", String(16 * pageBytes), image]);
    const [reason] = await expectRefused(mountpoint, file, ["hole (image)"]);
    expect([reason!.ranges![0]!.page, reason!.ranges!.length]).toEqual([512, 1]);
    await prepareAndExpectAccepted(file);
    for (const name of [twin, image]) {
      const again = await tryMount(cleanup, name, path.join(dir, "again"), { args: ["--format", "--force"] });
      expect([again.status, again.stderr]).toEqual([12, expect.stringContaining(`already mounted at ${mountpoint}`)]);
    }
    await umount(mountpoint);
  });
});

/** A loop device attached without partitions gets one, without a table of them. */
async function partition(device: string, start: number, count: number): Promise<string> {
  await must("addpart", [device, "1", String(start), String(count)]);
  return `${device}p1`;
}

test("a loop device whose file was removed: every file is refused", async () => {
  await withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const host = await hostFilesystem(cleanup, dir, "ext4");
    const image = path.join(host, "disk.img");
    await sh(`truncate -s 64M "$F"`, { env: { F: image } });
    const device = await attachLoop(cleanup, image);
    await fs.unlink(image);
    cleanup.add(device, () => must("losetup", ["--detach", device]));
    const mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, device, mountpoint, { args: ["--format"] });
    const [reason] = await expectRefused(mountpoint, await swapfile(mountpoint, "a"), ["unreachable-image"]);
    expect(reason!.text).toContain(`${image} (deleted), cannot be looked at: ENOENT`);
  });
});

/** Page 0, whoever drops the machine's caches meanwhile (the benchmark does): a page that is mapped stays. Returns what ends it. */
async function keptInCache(file: string): Promise<() => Promise<unknown>> {
  const script = "import mmap, sys; f = open(sys.argv[1]); m = mmap.mmap(f.fileno(), 4096, prot=mmap.PROT_READ); m[0]; print(flush=True); sys.stdin.read()";
  const child = spawn("python3", ["-c", script, file], { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return () => {
    child.stdin.end();
    return once(child, "exit");
  };
}

test.each([
  ["ext4 that turns read-only", "ext4", "mount -o remount,abort \"$H\"", "read-only-host", "the host of the image, ext4, is read-only now: no page could be written"],
  ["xfs that fails", "xfs", "xfs_io -x -c 'shutdown -f' \"$H\"", "unmapped-host", "the host of the image, xfs, does not say where the image lies (FIEMAP: EIO)"],
] as const)("a host %s while the volume is mounted: refused at the next swapon", async (_name, type, command, kind, text) => {
  await withImage(type, {}, async ({ host, mountpoint }) => {
    const file = await swapfile(mountpoint, "a");
    const uncached = await swapfile(mountpoint, "b");
    await expectAccepted(uncached); // swapoff drops what the kernel has cached of it
    expect(await swapfs(["check", file])).toMatchObject({ status: 0 });
    const end = await keptInCache(file);
    await sh(command, { env: { H: host } });
    const reasons = await expectRefused(mountpoint, file, ["not-committed", kind]).finally(end);
    expect(reasons[0]!.text).toMatch(/^not durable: cannot flush .*\/dev\/loop\d+: EIO/);
    expect(reasons[1]!.text).toBe(text);
    if (type === "xfs") {
      expect(await trySwapon(uncached)).toBe("EIO");
      expect((await reasonsOf(uncached)).map((reason) => reason.kind)).toEqual(["not-committed", kind, "header-unreadable"]);
    }
  });
});
