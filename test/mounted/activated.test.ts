// The swap_rw path without swapon: what an activated file is to programs, and what it costs the control plane: nothing.

import { constants, promises as fs } from "node:fs";
import path from "node:path";

import { killAndAwait, mountSwapfs, statusOf, umount, type Role } from "../support/mounted";
import { flushesOf } from "../support/mounted-devices";
import { imageUnderTest } from "../support/mounted-image";
import { must, run, sh, sleep, swapfs, until } from "../support/mounted-run";
import { mmapWrite, syscall } from "../support/mounted-syscall";
import { SystemCalls } from "../support/systemcalls";

const page = 4096;
const volume = imageUnderTest("256M");
const { cleanup, at } = volume;

async function activated(name: string, bytes = 8 << 20): Promise<string> {
  await must("fallocate", ["-l", String(bytes), at(name)]);
  expect(await swapfs(["activate", at(name)])).toMatchObject({ status: 0, stderr: expect.not.stringContaining("cannot") });
  return at(name);
}

async function withFile<T>(file: string, flags: string, work: (handle: fs.FileHandle) => Promise<T>): Promise<T> {
  const handle = await fs.open(file, flags);
  try {
    return await work(handle);
  } finally {
    await handle.close();
  }
}

const modeOf = async (file: string): Promise<string> => (await run("getfattr", ["--only-values", "-n", "user.swapfs.mode", file])).stdout;

/** Errno of a write of `length` bytes at `offset`, "ok" when it went through. */
function write(handle: fs.FileHandle, offset: number | null, length: number): Promise<string> {
  return handle.write(Buffer.alloc(length, 7), 0, length, offset).then(() => "ok", (error: NodeJS.ErrnoException) => error.code!);
}

function read(handle: fs.FileHandle, offset: number, length: number): Promise<string> {
  return handle.read(Buffer.alloc(length), 0, length, offset).then(({ bytesRead }) => String(bytesRead), (error: NodeJS.ErrnoException) => error.code!);
}

test("whole pages are read and written; parts of pages, more than the file and shared mappings are refused", async () => {
  const file = await activated("a", 8 * page);
  expect(await modeOf(file)).toMatch(/^swap_rw: direct I\/O of whole pages/);
  expect((await statusOf(volume.mountpoint)).files.find((one: { path?: string }) => one.path === "/a")).toMatchObject({ pinned: true, mode: "swap_rw" });
  expect((await fs.readFile(file)).equals(Buffer.alloc(8 * page))).toBe(true);
  await withFile(file, "r+", async (handle) => {
    expect([await write(handle, 0, page), await write(handle, 3 * page, 2 * page), await write(handle, 7 * page, page)]).toEqual(["ok", "ok", "ok"]);
    expect([await write(handle, 0, 100), await write(handle, 512, page), await write(handle, 8 * page, page)]).toEqual(["EINVAL", "EINVAL", "ENOSPC"]);
    expect([await read(handle, 0, 100), await read(handle, 512, page), await read(handle, 8 * page, page)]).toEqual(["EINVAL", "EINVAL", "0"]);
    expect(await read(handle, 7 * page, 2 * page)).toBe(String(page));
  });
  await withFile(file, "a", async (handle) => expect(await write(handle, null, page)).toBe("ENOSPC"));
  expect(await mmapWrite(file, 0, "mapped")).toBe("ENODEV");
  for (const attempt of [fs.truncate(file, page), fs.writeFile(file, "x")]) await expect(attempt).rejects.toMatchObject({ code: "ETXTBSY" });
  expect(await must("cat", [file]).then((text) => text.length)).toBe(8 * page);
});

// The kernel sends no FSYNC after a write through FOPEN_DIRECT_IO (fuse_direct_write_iter, fs/fuse/file.c).
test("five O_DSYNC writes flush the device five times, also through a handle from when the file was only pinned", async () => {
  const file = await activated("durable");
  const device = (await must("findmnt", ["-no", "SOURCE", volume.mountpoint])).trim();
  const flushesDuring = async (work: () => Promise<unknown>): Promise<number> => {
    const before = await flushesOf(device);
    await work();
    return (await flushesOf(device)) - before;
  };
  const dd = (...options: string[]) => must("dd", ["if=/dev/zero", `of=${file}`, "bs=64k", "count=5", "conv=notrunc", ...options]);
  await must("sync", ["-f", volume.mountpoint]);
  expect(await flushesDuring(() => dd())).toBeLessThan(5); // one may be the timer's
  expect(await flushesDuring(() => dd("oflag=dsync"))).toBeGreaterThanOrEqual(5);
  expect(await flushesDuring(() => must("xfs_io", ["-c", "pwrite -V 1 -D -b 64k 0 320k", file]))).toBeGreaterThanOrEqual(5);
  for (const command of ["deactivate", "pin"]) expect(await swapfs([command, file])).toMatchObject({ status: 0 });
  const handle = await fs.open(file, constants.O_RDWR | constants.O_DSYNC);
  try {
    expect(await write(handle, 0, page)).toBe("ETXTBSY");
    expect(await swapfs(["unpin", file])).toMatchObject({ status: 0 });
    expect(await flushesDuring(async () => {
      for (let n = 0; n < 5; n += 1) expect(await write(handle, n * page, page)).toBe("ok");
    })).toBeGreaterThanOrEqual(5);
  } finally {
    await handle.close();
  }
});

test("a file of odd length: its whole pages, its tail to read, and then its end", async () => {
  const file = await activated("odd", 3 * page + 100);
  expect((await must("cat", [file])).length).toBe(3 * page + 100);
  await withFile(file, "r+", async (handle) => {
    expect([await write(handle, 2 * page, page), await write(handle, 3 * page, page)]).toEqual(["ok", "ENOSPC"]);
    expect([await read(handle, 3 * page, page), await read(handle, 3 * page + 100, page)]).toEqual(["100", "0"]);
  });
});

test("no time stamp, no metadata, no request to the control plane, whatever is written", async () => {
  const file = await activated("quiet", 16 << 20);
  const fio = (): Promise<unknown> => must("fio", [
    "--name=job", `--filename=${file}`, "--rw=randrw", "--bs=4k", "--direct=1", "--ioengine=libaio", "--iodepth=16", "--size=16M",
    "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--fallocate=none", "--allow_file_create=0",
  ]);
  await fio();
  await must("sync", ["-f", volume.mountpoint]); // times of other files that were noted, to be committed later
  const before = { status: await statusOf(volume.mountpoint), stat: await fs.stat(file, { bigint: true }) };
  await fio();
  const after = { status: await statusOf(volume.mountpoint), stat: await fs.stat(file, { bigint: true }) };
  expect([after.stat.mtimeNs, after.stat.ctimeNs]).toEqual([before.stat.mtimeNs, before.stat.ctimeNs]);
  expect(after.status.volume.sequence).toBe(before.status.volume.sequence);
  expect(after.status.counters.parked).toBe(before.status.counters.parked);
  expect(after.status.counters.swap_rw_pages_out - before.status.counters.swap_rw_pages_out).toBeGreaterThan(1500);
  expect(after.status.counters.swap_rw_pages_in - before.status.counters.swap_rw_pages_in).toBeGreaterThan(1500);
});

test("set-id bits that an activated file got later go with the first write of somebody else", async () => {
  const file = await activated("suid", 4 * page);
  await fs.chmod(file, 0o4777);
  const done = await run("dd", ["if=/dev/zero", `of=${file}`, "bs=4096", "count=1", "conv=notrunc", "oflag=direct", "status=none"], { uid: 65534 });
  expect([done.status, ((await fs.stat(file)).mode & 0o7777).toString(8)]).toEqual([0, "777"]);
});

test("zeros are written where nothing was: a file that only was allocated holds no old memory afterwards", async () => {
  const marker = at("marker");
  await fs.writeFile(marker, Buffer.alloc(32 << 20, "secret marker "));
  await must("sync", ["-f", volume.mountpoint]);
  await fs.unlink(marker);
  const file = await activated("large", 128 << 20);
  expect(await run("grep", ["-c", "secret", file])).toMatchObject({ status: 1 });
  const [facts] = (await statusOf(volume.mountpoint)).files.filter((one: { path?: string }) => one.path === "/large");
  expect(facts.pages).toBe(32768);
  expect(await swapfs(["deactivate", file])).toMatchObject({ status: 0 });
  await fs.unlink(file);
});

test("a handle from before keeps its page cache, and sees what is written past it", async () => {
  await must("fallocate", ["-l", String(4 * page), at("before")]);
  await withFile(at("before"), "r", async (old) => {
    expect(await read(old, 10, 100)).toBe("100");
    await activated("before", 4 * page);
    await withFile(at("before"), "r+", (handle) => write(handle, 0, page));
    const { buffer } = await old.read(Buffer.alloc(page), 0, page, 0);
    expect(buffer.equals(Buffer.alloc(page, 7))).toBe(true);
  });
});

test("activate and deactivate twice, and two at once, are the same as once; in use it is not deactivated", async () => {
  await must("fallocate", ["-l", "8M", at("twice")]);
  const both = await Promise.all([1, 2].map(() => swapfs(["activate", at("twice"), "--json"])));
  for (const done of both) expect(JSON.parse(done.stdout)).toMatchObject({ mode: "swap_rw", verdict: { accepted: true } });
  expect(JSON.parse((await swapfs(["activate", at("twice"), "--json"])).stdout)).toMatchObject({ already: true });
  await withFile(at("twice"), "r+", async () => {
    const refused = await swapfs(["deactivate", at("twice")]);
    expect(refused).toMatchObject({ status: 12 });
    expect(refused.stderr).toMatch(/opened for writing by pid \d+, end that/);
    expect(await modeOf(at("twice"))).toMatch(/^swap_rw/);
  });
  expect(JSON.parse((await swapfs(["deactivate", at("twice"), "--json"])).stdout)).toMatchObject({ was: "swap_rw" });
  expect(JSON.parse((await swapfs(["deactivate", at("twice"), "--json"])).stdout)).toMatchObject({ was: null });
  expect(await modeOf(at("twice"))).toBe("");
  await fs.writeFile(at("twice"), "ordinary again");
});

test("the xattr does the same, for root alone", async () => {
  const file = at("xattr");
  await sh(`truncate -s 64K "$F" && chmod 666 "$F"`, { env: { F: file } });
  const set = (uid?: number) => run("setfattr", ["-n", "user.swapfs.activate", "-v", "1", file], uid === undefined ? {} : { uid });
  expect((await set()).stderr).toMatch(/Invalid argument/);
  expect(await must("getfattr", ["--only-values", "-n", "user.swapfs.refused", file])).toMatch(/not allocated/);
  await must("fallocate", ["-l", "64K", file]);
  expect((await set(1000)).stderr).toMatch(/not permitted/i);
  expect(await set()).toMatchObject({ status: 0 });
  expect(await modeOf(file)).toMatch(/^swap_rw/);
  await must("setfattr", ["-x", "user.swapfs.activate", file]);
  expect(await modeOf(file)).toBe("");
});

test("swapon of an activated file is accepted while nobody has it open for writing", async () => {
  // mkswap first: it writes parts of pages.
  await sh(`fallocate -l 2M "$F" && chmod 600 "$F" && mkswap -q "$F"`, { env: { F: at("both") } });
  const file = await activated("both", 2 << 20);
  await withFile(file, "r+", async () => expect((await syscall("swapon", [file, 0x8000 | 10])).result).toBe("EINVAL"));
  await must("swapon", ["-p", "10", file]);
  try {
    await withFile(file, "r+", async (handle) => expect(await write(handle, page, page)).toBe("ETXTBSY"));
    expect((await swapfs(["deactivate", file])).status).toBe(12);
  } finally {
    await must("swapoff", [file]);
  }
  await withFile(file, "r+", async (handle) => expect(await write(handle, page, page)).toBe("ok"));
});

test("nor by the very process that has it open for writing", async () => {
  await sh(`fallocate -l 2M "$F" && chmod 600 "$F" && mkswap -q "$F"`, { env: { F: at("own") } });
  const file = await activated("own", 2 << 20);
  const calls = new SystemCalls(cleanup);
  const held = await calls.holdOpen(file, true);
  expect(await calls.swapon(file)).toBe("EINVAL");
  expect(await calls.getXattr(file, "user.swapfs.refused")).toContain(`open for writing by pid ${calls.pid}`);
  expect(await calls.close(Number(held))).toBe(0);
  expect(await calls.swapon(file)).toBe(0);
  expect(await calls.swapoff(file)).toBe(0);
});

test.each<Role>(["data plane", "control plane"])("SIGKILL of the %s under fio with verification: no error, and still activated", async (role) => {
  const file = await activated(`killed-${role[0]}`, 24 << 20);
  const fio = run("fio", [
    "--name=job", `--filename=${file}`, "--rw=randrw", "--bsrange=4k-64k", "--direct=1", "--ioengine=libaio", "--iodepth=32", "--size=24M",
    "--verify=crc32c", "--verify_backlog=128", "--verify_fatal=1", "--verify_state_save=0", "--time_based", "--runtime=4", "--fallocate=none",
  ]);
  for (let kill = 0; kill < 3; kill += 1) {
    await sleep(700);
    await killAndAwait(volume.mountpoint, role);
  }
  const done = await fio;
  expect(done).toMatchObject({ status: 0 });
  expect(done.stdout + done.stderr).not.toMatch(/verify:|error=|err=\s*[1-9]/);
  await until("the control plane answers", async () => (await statusOf(volume.mountpoint)).problem === undefined);
  expect(await modeOf(file)).toMatch(/^swap_rw/);
  await withFile(file, "r+", async (handle) => expect(await write(handle, 1, 1)).toBe("EINVAL"));
});

test("marked files are activated by mount --activate and -o activate, those that cannot be are named", async () => {
  await activated("marked", 1 << 20);
  await activated("spoilt", 1 << 20);
  await umount(volume.mountpoint);
  await mountSwapfs(cleanup, volume.image, volume.mountpoint);
  expect([await modeOf(at("marked")), await must("getfattr", ["--only-values", "-n", "user.swapfs.activate", at("marked")])]).toEqual(["", "marked"]);
  await must("fallocate", ["-p", "-o", "0", "-l", "4096", at("spoilt")]);
  await umount(volume.mountpoint);
  const done = await swapfs(["mount", volume.image, volume.mountpoint, "-o", "activate", "--json"]);
  expect(done.status).toBe(0);
  expect(JSON.parse(done.stdout).activated).toContain("/marked");
  expect(done.stderr).toMatch(/cannot activate \/spoilt: 1 page of the file not allocated/);
  expect([await modeOf(at("marked")), await modeOf(at("spoilt"))]).toEqual([expect.stringMatching(/^swap_rw/), ""]);
  expect((await swapfs(["mount", volume.image, volume.mountpoint, "--activate"])).stdout).toMatch(/already, \d+ files activated/);
});

test("the fuse-native engine says that it has no such path", async () => {
  const mnt = path.join(volume.dir, "portable");
  const other = path.join(volume.dir, "portable.img");
  await mountSwapfs(cleanup, other, mnt, { engine: "fuse-native", args: ["--size", "64M"] });
  await fs.writeFile(path.join(mnt, "a"), Buffer.alloc(16 * page));
  expect(await swapfs(["activate", path.join(mnt, "a")])).toMatchObject({ status: 12, stderr: expect.stringContaining("fuse-native") });
  expect((await run("setfattr", ["-n", "user.swapfs.activate", "-v", "1", path.join(mnt, "a")])).stderr).toMatch(/not supported/i);
  expect(await swapfs(["mount", other, mnt, "--engine", "fuse-native", "--activate"])).toMatchObject({ status: 2 });
  await umount(mnt);
});
