// What is refused while a volume is mounted: files that swap cannot lie on, a second mount, unmounting below active swap.

import { promises as fs } from "node:fs";
import path from "node:path";

import { isMounted, statusOf, tryMount } from "../support/mounted";
import { attachLoop, leftIn } from "../support/mounted-devices";
import { imageUnderTest } from "../support/mounted-image";
import { must, run, sh, swapfs } from "../support/mounted-run";
import { rememberRunDir } from "../support/rundirs";
import { syscall } from "../support/mounted-syscall";

const volume = imageUnderTest("256M");
const { cleanup, at } = volume;

test("a swapfile with a hole: Invalid argument, and three places say why", async () => {
  const file = at("holed");
  // swapon(8) itself counts blocks: those kept behind the end make up for the hole, so that the kernel is asked.
  await sh(`fallocate -l 16M "$F"; chmod 600 "$F"; mkswap "$F"; fallocate -n -o 16M -l 1M "$F"; fallocate -p -o 8M -l 64K "$F"`, { env: { F: file } });
  const done = await run("swapon", ["-p", "10", file]);
  expect(done.status).not.toBe(0);
  expect(done.stderr).toContain("Invalid argument");
  expect(await must("getfattr", ["--only-values", "-n", "user.swapfs.refused", file])).toMatch(/hole|not allocated/);
  const { refusals } = await statusOf(volume.mountpoint);
  expect(JSON.stringify(refusals)).toMatch(/hole|not allocated/);
  const checked = await swapfs(["check", file]);
  expect(checked.status).toBe(10);
  expect(checked.stdout).toMatch(/2048/);
  const json = JSON.parse((await swapfs(["check", file, "--json"])).stdout);
  expect(json).toMatchObject({ accepted: false, reasons: [{ kind: "hole", ranges: [{ page: 2048, count: 16 }] }] });
});

test("what was refused is accepted when the hole is filled, and the xattr goes", async () => {
  const file = at("filled");
  await sh(`truncate -s 4M "$F"; chmod 600 "$F"; mkswap "$F"`, { env: { F: file } });
  expect((await syscall("swapon", [file, 0x8000 | 10])).result).toBe("EINVAL");
  await must("fallocate", ["-l", "4M", file]);
  expect(await swapfs(["check", file])).toMatchObject({ status: 0 });
  await must("swapon", ["-p", "10", file]);
  await must("swapoff", [file]);
  expect((await run("getfattr", ["-n", "user.swapfs.refused", file])).status).not.toBe(0);
});

test("a file that is open for writing is refused", async () => {
  const file = at("written");
  await sh(`fallocate -l 4M "$F"; chmod 600 "$F"; mkswap "$F"`, { env: { F: file } });
  const handle = await fs.open(file, "r+");
  expect((await syscall("swapon", [file, 0x8000 | 10])).result).toBe("EINVAL");
  await handle.close();
  expect((await syscall("swapon", [file, 0x8000 | 10])).result).toBe(0);
  await must("swapoff", [file]);
});

test("files that swapon refuses itself: no header, too small, a directory", async () => {
  await sh(`fallocate -l 4M "$M/raw"; chmod 600 "$M/raw"; fallocate -l 4K "$M/tiny"; chmod 600 "$M/tiny"`, { env: { M: volume.mountpoint } });
  for (const name of ["raw", "tiny"]) expect((await run("swapon", ["-p", "10", at(name)])).status).not.toBe(0);
  expect((await swapfs(["check", at("raw")])).status).toBe(10);
  expect((await swapfs(["check", at("tiny")])).status).toBe(10);
  expect((await swapfs(["check", at("none")])).status).toBe(12);
  expect((await swapfs(["check", volume.mountpoint])).status).toBe(10);
  expect((await swapfs(["check", "/etc/passwd"])).status).toBe(12);
});

test("while swapped on: writes are ETXTBSY, umount names the file, a second swapon is busy", async () => {
  const file = at("on");
  await sh(`fallocate -l 8M "$F"; chmod 600 "$F"; mkswap "$F"; swapon -p 10 "$F"`, { env: { F: file } });
  await expect(fs.writeFile(file, "x", { flag: "r+" })).rejects.toMatchObject({ code: "ETXTBSY" });
  await expect(fs.truncate(file, 0)).rejects.toMatchObject({ code: "ETXTBSY" });
  expect((await run("swapon", ["-p", "10", file])).stderr).toMatch(/busy/i);
  const refused = await swapfs(["umount", volume.mountpoint]);
  expect(refused).toMatchObject({ status: 12 });
  expect(refused.stderr).toContain(file);
  expect((await run("umount", [volume.mountpoint])).stderr).toContain("busy");
  expect(await isMounted(volume.mountpoint)).toBe(true);
  await must("swapoff", [file]);
  await fs.truncate(file, 0);
});

test("a second mount: elsewhere it is refused, on the same mountpoint it is done already", async () => {
  const elsewhere = await tryMount(cleanup, volume.image, path.join(volume.dir, "mnt2"));
  expect(elsewhere.status).toBe(12);
  expect(elsewhere.stderr).toContain(volume.mountpoint);
  expect(await isMounted(path.join(volume.dir, "mnt2"))).toBe(false);
  expect(await tryMount(cleanup, volume.image, volume.mountpoint)).toMatchObject({ status: 0 });
  const other = await tryMount(cleanup, path.join(volume.dir, "other.img"), volume.mountpoint, { args: ["--size", "64M"] });
  expect(other.status).toBe(12);
  expect(other.stderr).toMatch(/mounted/);
});

test("a second mount through another loop device is refused by the lock", async () => {
  const device = await attachLoop(cleanup, volume.image);
  const done = await tryMount(cleanup, device, path.join(volume.dir, "mnt3"));
  expect(done.status).toBe(12);
  expect(await isMounted(path.join(volume.dir, "mnt3"))).toBe(false);
  await must("losetup", ["--detach", device]);
});

test("modes of fallocate that there are not, and offsets beyond every file", async () => {
  const file = at("modes");
  await fs.writeFile(file, "x".repeat(8192));
  for (const option of ["--collapse-range", "--insert-range"]) {
    expect((await run("fallocate", [option, "-o", "0", "-l", "4096", file])).stderr).toMatch(/not supported/);
  }
  await expect(fs.truncate(file, 2 ** 52)).rejects.toMatchObject({ code: "EFBIG" });
  expect((await fs.stat(file)).size).toBe(8192);
});

test("a fallocate that does not fit is ENOSPC and changes nothing", async () => {
  const file = at("large");
  await fs.writeFile(file, "x");
  const before = await fs.statfs(volume.mountpoint);
  expect((await run("fallocate", ["-l", "1G", file])).stderr).toContain("No space left on device");
  expect(await fs.stat(file)).toMatchObject({ size: 1, blocks: 8 });
  expect((await fs.statfs(volume.mountpoint)).bfree).toBe(before.bfree);
});

test("umount ends every process and detaches the loop device", async () => {
  const { device, runDir } = await statusOf(volume.mountpoint);
  const remembered = rememberRunDir(volume.cleanup, runDir);
  expect(await swapfs(["umount", volume.mountpoint])).toMatchObject({ status: 0 });
  expect(await leftIn(volume.dir)).toEqual([]);
  expect((await run("losetup", [device])).stdout).not.toContain(volume.image);
  expect(remembered.isThere()).toBe(false);
  expect(await swapfs(["fsck", volume.image])).toMatchObject({ status: 0 });
});
