// A file that is swapped on or pinned, beside ext4's active swapfile: the same attempts, the same errnos.

import { promises as fs } from "node:fs";
import path from "node:path";

import { ended, killAndAwait, mountSwapfs, statusOf, umount, type Role } from "../support/mounted";
import { Cleanup } from "../support/mounted-cleanup";
import { attachLoop, imageFile, scratchDir } from "../support/mounted-devices";
import { probe } from "../support/mounted-probe";
import { must, run, sh, swapfs, until } from "../support/mounted-run";
import { rememberRunDir } from "../support/rundirs";

const cleanup = new Cleanup();
let image: string;
let mountpoint: string;
let ext4: string;
let kernel: Record<string, string>;

beforeAll(async () => {
  const dir = await scratchDir(cleanup);
  image = path.join(dir, "disk.img");
  mountpoint = path.join(dir, "mnt");
  ext4 = path.join(dir, "ext4");
  await mountExt4(dir);
  await mountSwapfs(cleanup, image, mountpoint, { args: ["--size", "128M"] });
  kernel = await whileSwappedOn(path.join(ext4, "swap"), () => probe(path.join(ext4, "swap"), ext4));
});
afterAll(() => cleanup.run());

async function mountExt4(dir: string): Promise<void> {
  await fs.mkdir(ext4);
  const device = await attachLoop(cleanup, await imageFile(dir, "ext4.img", 64 << 20));
  await must("mkfs.ext4", ["-q", device]);
  await must("mount", [device, ext4]);
  cleanup.add(ext4, () => must("umount", [ext4]));
}

async function makeSwapfile(file: string, size = "2M"): Promise<void> {
  await sh(`fallocate -l ${size} "$F" && chmod 600 "$F" && mkswap -q "$F"`, { env: { F: file } });
}

async function whileSwappedOn<T>(file: string, work: () => Promise<T>): Promise<T> {
  await makeSwapfile(file);
  await must("swapon", ["-p", "10", file]);
  try {
    return await work();
  } finally {
    await must("swapoff", [file]);
  }
}

const at = (name: string): string => path.join(mountpoint, name);

async function folder(name: string): Promise<string> {
  await fs.mkdir(at(name));
  return at(name);
}

async function freePages(): Promise<number> {
  return (await statusOf(mountpoint)).volume.freePages;
}

test("what ext4 answers for an active swapfile is what we take for the rule", () => {
  const refused = Object.entries(kernel).filter(([, code]) => code !== "ok");
  expect(new Set(refused.map(([, code]) => code))).toEqual(new Set(["ETXTBSY", "EPERM"]));
  expect(kernel).toMatchObject({
    "open for writing": "ok", write: "ETXTBSY", "direct write": "ETXTBSY", "shared writable mmap": "ETXTBSY", "punch a hole": "ETXTBSY",
    "copy_file_range into it": "ETXTBSY", "copy_file_range from it": "ETXTBSY", "rename over it": "EPERM", "ftruncate longer": "ok", read: "ok",
  });
});

test("swapped on: every attempt is answered as on ext4", async () => {
  const dir = await folder("on");
  expect(await whileSwappedOn(path.join(dir, "swap"), () => probe(path.join(dir, "swap"), dir))).toEqual(kernel);
});

test("pinned: as on ext4, but for what FUSE decides without us, and for unlink, which keeps the blocks", async () => {
  const dir = await folder("pinned");
  const file = path.join(dir, "swap");
  await makeSwapfile(file);
  const before = await fs.readFile(file);
  expect(await swapfs(["pin", file])).toMatchObject({ status: 0 });
  expect(await probe(file, dir)).toEqual({
    ...kernel,
    "shared writable mmap": "ENODEV", // fuse_file_mmap (fs/fuse/file.c): no shared mapping of a file opened FOPEN_DIRECT_IO
    "unlink a second name": "ok",
  });
  expect((await fs.readFile(file)).subarray(0, before.length).equals(before)).toBe(true);
  expect((await must("getfattr", ["--only-values", "-n", "user.swapfs.mode", file]))).toMatch(/^pinned/);
  expect(await swapfs(["unpin", file])).toMatchObject({ status: 0 });
  await fs.writeFile(file, "x", { flag: "r+" });
  expect((await run("getfattr", ["-n", "user.swapfs.mode", file])).status).not.toBe(0);
});

test("by a block view: as on ext4, but for what FUSE decides without us", async () => {
  const dir = await folder("view");
  const file = path.join(dir, "swap");
  await makeSwapfile(file);
  expect(await swapfs(["swapon", "--block", file, "--priority", "10"])).toMatchObject({ status: 0 });
  try {
    expect(await probe(file, dir)).toEqual({ ...kernel, "shared writable mmap": "ENODEV" });
  } finally {
    expect(await swapfs(["swapoff", file])).toMatchObject({ status: 0 });
  }
  await fs.writeFile(file, "x", { flag: "r+" });
});

test("pin goes through the gate: holes and writers are refused with 10 and every reason", async () => {
  const file = at("holed");
  await sh(`truncate -s 1M "$F"`, { env: { F: file } });
  const handle = await fs.open(file, "r+");
  const done = await swapfs(["pin", file, "--json"]);
  expect(done.status).toBe(10);
  expect(JSON.parse(done.stdout)).toMatchObject({ mode: null, verdict: { accepted: false, reasons: [{ kind: "hole" }, { kind: "open-for-writing" }] } });
  await handle.close();
  expect((await swapfs(["pin", file])).stdout).toMatch(/not allocated[^]*do: /);
  expect(await must("getfattr", ["--only-values", "-n", "user.swapfs.refused", file])).toMatch(/not allocated/);
  expect((await swapfs(["pin", at("none")])).status).toBe(12);
  expect((await swapfs(["pin", "/etc/passwd"])).status).toBe(12);
  expect((await swapfs(["pin", mountpoint])).status).toBe(10);
});

test("pin and unpin twice do nothing and succeed; a pinned file can be swapped on, and stays pinned after", async () => {
  const file = at("twice");
  await makeSwapfile(file);
  const pins = await Promise.all([swapfs(["pin", file, "--json"]), swapfs(["pin", file, "--json"])]);
  expect(pins.map(({ status }) => status)).toEqual([0, 0]);
  expect(pins.map(({ stdout }) => JSON.parse(stdout).mode)).toEqual(["pinned", "pinned"]);
  await must("swapon", ["-p", "10", file]);
  expect(await swapfs(["unpin", file])).toMatchObject({ status: 0 });
  await expect(fs.truncate(file, 0)).rejects.toMatchObject({ code: "ETXTBSY" });
  expect(await swapfs(["pin", file])).toMatchObject({ status: 0 });
  await must("swapoff", [file]);
  await expect(fs.truncate(file, 0)).rejects.toMatchObject({ code: "ETXTBSY" });
  expect(await swapfs(["unpin", file])).toMatchObject({ status: 0 });
  expect((await swapfs(["unpin", file])).stdout).toMatch(/was not pinned/);
  await fs.truncate(file, 0);
});

test.each<Role>(["control plane", "data plane"])("unlinked while pinned: the blocks stay, also over a SIGKILL of the %s, until unpin", async (role) => {
  const file = at(`gone-${role[0]}`);
  await makeSwapfile(file, "8M");
  const free = await freePages();
  const { inode } = JSON.parse((await swapfs(["pin", file, "--json"])).stdout);
  const handle = await fs.open(file, "r");
  await fs.unlink(file);
  const nameless = `/proc/${process.pid}/fd/${handle.fd}`;
  expect((await swapfs(["pin", nameless])).stdout).toMatch(/already/);
  expect(await swapfs(["check", nameless])).toMatchObject({ status: 0 });
  await handle.close();
  await killAndAwait(mountpoint, role);
  await until("the control plane answers", async () => (await statusOf(mountpoint)).problem === undefined);
  // Whatever is free is given out now, and written.
  await run("dd", ["if=/dev/zero", `of=${at("fill")}`, "bs=1M", "conv=fsync"]);
  await fs.unlink(at("fill"));
  await until("the blocks of the other file are free", async () => (await freePages()) === free);
  const { files, orphans } = await statusOf(mountpoint);
  expect(orphans).toBe(1);
  expect(files.find((one: { ino: number }) => one.ino === inode)).toMatchObject({ pinned: true, mode: "pinned", open: 0 });
  expect(await swapfs(["unpin", mountpoint, "--inode", String(inode)])).toMatchObject({ status: 0 });
  await until("the blocks are free", async () => (await freePages()) === free + 2048);
});

test("a pin ends with the mount, and an unlinked pinned file is freed at the next one", async () => {
  await makeSwapfile(at("kept"));
  await makeSwapfile(at("lost"), "4M");
  const free = await freePages();
  for (const name of ["kept", "lost"]) expect(await swapfs(["pin", at(name)])).toMatchObject({ status: 0 });
  await fs.unlink(at("lost"));
  expect(await freePages()).toBe(free);
  await umount(mountpoint);
  expect(await swapfs(["fsck", image])).toMatchObject({ status: 0 });
  await mountSwapfs(cleanup, image, mountpoint);
  await fs.truncate(at("kept"), 4096);
  await until("the orphan is free", async () => (await freePages()) > free + 1000);
  expect((await statusOf(mountpoint)).orphans).toBe(0);
});

test("power loss while an unlinked file is pinned: all processes killed, freed at the next mount", async () => {
  await makeSwapfile(at("dark"), "4M");
  const free = await freePages();
  expect(await swapfs(["pin", at("dark")])).toMatchObject({ status: 0 });
  await fs.unlink(at("dark"));
  await must("sync", ["-f", mountpoint]);
  const { processes, runDir } = await statusOf(mountpoint);
  const remembered = rememberRunDir(cleanup, runDir);
  for (const role of ["keeper", "dataPlane", "controlPlane"] as const) process.kill(processes[role].pid, "SIGKILL");
  await must("umount", ["--lazy", mountpoint]);
  await ended(mountpoint);
  await remembered.remove();
  await mountSwapfs(cleanup, image, mountpoint);
  expect(await freePages()).toBe(free + 1024);
});
