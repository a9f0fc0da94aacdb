// What the gate refuses for the file's own sake, and hosts that cannot promise anything; each with the exact words.

import { spawn, type ChildProcess } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { expectAccepted, expectRefused, imageOffset, prepareAndExpectAccepted, reasonsOf, swapfile, trySwapon } from "../support/gate";
import { hostFilesystem, overlayHost, tmpfsHost } from "../support/hosts";
import { mountSwapfs, umount } from "../support/mounted";
import { Cleanup, withCleanup } from "../support/mounted-cleanup";
import { attachLoop, scratchDir, zramDevice } from "../support/mounted-devices";
import { must, run, sh, swapfs } from "../support/mounted-run";
import { syscall } from "../support/mounted-syscall";
import { swapsWithoutTraffic } from "../support/turns";

const cleanup = new Cleanup();
let mountpoint: string;
let device: string;

beforeAll(async () => {
  const dir = await scratchDir(cleanup);
  device = await zramDevice(cleanup, 160 << 20);
  mountpoint = path.join(dir, "mnt");
  await mountSwapfs(cleanup, device, mountpoint, { args: ["--format"] });
});
afterAll(() => cleanup.run());

/** A swap header for an area that ends with page `lastPage`, with `badPages` bad ones. */
async function writeHeader(file: string, lastPage: number, options: { version?: number; badPages?: number } = {}): Promise<void> {
  const page = Buffer.alloc(4096);
  page.writeUInt32LE(options.version ?? 1, 1024);
  page.writeUInt32LE(lastPage, 1028);
  page.writeUInt32LE(options.badPages ?? 0, 1032);
  page.writeUInt32LE(1, 1536); // the first bad page
  page.write("SWAPSPACE2", 4086, "latin1");
  const handle = await fs.open(file, "r+");
  await handle.write(page, 0, page.length, 0);
  await handle.close();
}

test("a sparse file: refused with its holes, and accepted when they are filled", async () => {
  const file = path.join(mountpoint, "sparse");
  await sh(`truncate -s 8M "$F"; chmod 600 "$F"; mkswap -q "$F"; fallocate -o 4M -l 1M "$F"`, { env: { F: file } });
  const [reason] = await expectRefused(mountpoint, file, ["hole"]);
  expect(reason).toMatchObject({
    text: "1791 pages of the file not allocated: pages 1-1023, 1280-2047", kernel: "swapon: swapfile has holes",
    ranges: [{ page: 1, count: 1023 }, { page: 1280, count: 768 }],
  });
  await must("fallocate", ["-l", "8M", file]);
  await expectAccepted(file);
});

test("a file changed between check and swapon: swapon judges again", async () => {
  const file = await swapfile(mountpoint, "changed");
  expect(await swapfs(["check", file])).toMatchObject({ status: 0 });
  await must("fallocate", ["-p", "-o", "1M", "-l", "4K", file]);
  await expectRefused(mountpoint, file, ["hole"]);
  await prepareAndExpectAccepted(file);
});

// The kernel judges the header before it asks for a block, so these have no xattr: check says what swapon's log says.
test.each<[string, (file: string) => Promise<void>, string, string, string]>([
  ["no header", async (file) => void (await fs.writeFile(file, Buffer.alloc(4096), { flag: "r+" })), "no-header",
    "page 0 carries no swap header", "Unable to find swap-space signature"],
  ["a header of the wrong version", (file) => writeHeader(file, 100, { version: 2 }), "header-version",
    "the swap header has version 2, not 1", "Unable to handle swap header version 2"],
  ["a header-only area", (file) => writeHeader(file, 0), "header-only",
    "the swap header says 1 page, and that is the header itself", "Empty swap-file"],
  ["bad pages", (file) => writeHeader(file, 100, { badPages: 1 }), "bad-pages",
    "the swap header lists bad pages (1), which a file cannot have", ""],
  ["a header larger than the file", (file) => writeHeader(file, 2048), "header-larger-than-file",
    "the swap header says 2049 pages, the file has 2048", "Swap area shorter than signature indicates"],
])("%s: EINVAL", async (name, change, kind, text, kernel) => {
  const file = await swapfile(mountpoint, name.replaceAll(" ", "-"));
  await change(file);
  expect(await trySwapon(file)).toBe("EINVAL");
  expect(await reasonsOf(file)).toMatchObject([{ kind, text, kernel }]);
});

test("a header of a machine with pages of 64 KiB: refused as that, and swapon --fixpgsz mends it", async () => {
  const file = await swapfile(mountpoint, "large-pages");
  await must("mkswap", ["-q", "-p", "65536", file]);
  expect(await trySwapon(file)).toBe("EINVAL");
  expect(await reasonsOf(file)).toMatchObject([{ kind: "header-page-size", text: "the swap header was made for pages of 64 KiB, this machine's have 4 KiB" }]);
  await must("swapon", ["--fixpgsz", "-p", "10", file]);
  await must("swapoff", [file]);
});

test("a header that says less than the file has limits the area", async () => {
  const file = await swapfile(mountpoint, "small-header");
  await writeHeader(file, 1023);
  expect((await swapfs(["check", file])).stdout).toContain("4 MiB (1024 pages)");
  expect((await syscall("swapon", [file, 0x8000 | 10])).result).toBe(0);
  const swaps = await fs.readFile("/proc/swaps", "utf8");
  await must("swapoff", [file]);
  expect(swaps.split("\n").find((line) => line.startsWith(file))!.split(/\s+/)[2]).toBe(String(1023 * 4));
});

test("too small, and not a file", async () => {
  const file = path.join(mountpoint, "tiny");
  await sh(`fallocate -l 32K "$F"; chmod 600 "$F"`, { env: { F: file } });
  expect((await run("mkswap", [file])).stderr).toContain("swap area needs to be at least 40 KiB");
  expect(await reasonsOf(file)).toMatchObject([
    { kind: "too-small", text: "8 whole pages of 4096 bytes, too few for a swap area: mkswap needs 10" }, { kind: "no-header" },
  ]);
  await fs.mkdir(path.join(mountpoint, "folder"));
  expect(await reasonsOf(path.join(mountpoint, "folder"))).toMatchObject([{ kind: "not-a-file", text: "a directory, not a file", kernel: "Invalid argument" }]);
});

test("open for writing elsewhere: the pid is named, and swapon works when it has closed", async () => {
  const file = await swapfile(mountpoint, "open");
  const writer = await holder(`f = open(sys.argv[1], 'r+b')`, file);
  const [reason] = await expectRefused(mountpoint, file, ["open-for-writing"]);
  expect(reason!.text).toBe(`open for writing by pid ${writer.pid}: cached pages could be written over swap`);
  await ended(writer);
  await expectAccepted(file);
});

test("mapped shared and writable, the descriptor closed: told apart from an open file", async () => {
  const file = await swapfile(mountpoint, "mapped");
  const writer = await holder(`f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 8192); f.close(); m[4096:4099] = b'abc'`, file);
  const [reason] = await expectRefused(mountpoint, file, ["mapped-shared"]);
  expect(reason!.text).toBe(`mapped shared and writable by pid ${writer.pid}: dirty pages would be written over swap`);
  await ended(writer);
  await expectAccepted(file);
});

describe("swapped on by a process that writes to it", () => {
  swapsWithoutTraffic();

  // As the kernel's filesystems do: swapon(2) writes back what its caller has dirtied before the area is on, and from then on
  // the VFS refuses, a mapping from before with SIGBUS.
  test("the process that swaps on has the file open, and mapped: it may until the area is on, and what it wrote is there", async () => {
    const file = await swapfile(mountpoint, "own", "33M");
    const script = `
import ctypes, errno, mmap, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
path = sys.argv[1].encode()
fd = os.open(path, os.O_RDWR)
def attempt(work):
    try: return work() and "ok"
    except OSError as error: return errno.errorcode[error.errno]
length = 32 << 20 # many requests, so that some are asked for while it is on a processor
mapped = mmap.mmap(fd, length, offset=1 << 16)
mapped[:] = b"x" * length
on = libc.swapon(path, 0x8000 | 10)
print(on, errno.errorcode.get(ctypes.get_errno()), attempt(lambda: os.pwrite(fd, b"y", 1 << 16)), attempt(lambda: mmap.mmap(fd, 4096)))
pid = os.fork()
if pid == 0: mapped[0] = 1
print(signal.Signals(os.WTERMSIG(os.waitpid(pid, 0)[1])).name)
if on == 0: libc.swapoff(path)
os.fsync(fd)
print(os.pread(fd, length, 1 << 16) == b"x" * length)`;
    const done = await run("python3", ["-c", script, file]);
    expect(done).toMatchObject({ stdout: "0 None ETXTBSY ETXTBSY\nSIGBUS\nTrue\n", status: 0 });
    await expectAccepted(file);
    await fs.unlink(file);
  });
});

test("two swapons at the same moment: one is on, the other is told that it is busy", async () => {
  const file = await swapfile(mountpoint, "twice", "32M");
  for (let round = 0; round < 5; round += 1) {
    const results = await Promise.all([1, 2].map(() => syscall("swapon", [file, 0x8000 | 10]).then(({ result }) => result)));
    await must("swapoff", [file]);
    expect(results.map(String).sort()).toEqual(["0", "EBUSY"]);
  }
});

test("swapons of different files at the same moment do not mind each other", async () => {
  const files = await Promise.all(["p", "q", "r"].map((name) => swapfile(mountpoint, name, "4M")));
  expect(await Promise.all(files.map((file) => trySwapon(file)))).toEqual([0, 0, 0]);
});

test("map: the device's pages, resume_offset as the superblock of the area lies, none for what does not survive", async () => {
  const file = await swapfile(mountpoint, "mapped-out");
  const map = JSON.parse(await must(process.execPath, [cli, "map", file, "--json"]));
  expect(map).toMatchObject({ device, resume: { refused: false } });
  expect(map.extents.reduce((sum: number, { count }: { count: number }) => sum + count, 0)).toBe(2048);
  const page = Buffer.alloc(4096);
  const handle = await fs.open(device, "r");
  await handle.read(page, 0, 4096, map.extents[0].devicePage * 4096);
  await handle.close();
  expect(page.toString("latin1", 4086)).toBe("SWAPSPACE2");
  expect(await swapfs(["map", file, "-r"])).toMatchObject({ status: 12, stderr: expect.stringContaining(`${device} does not survive a power-off`) });
});

test("a host in memory has neither a place nor FIEMAP: refused for both, and each is allowed by its option", async () => {
  await withCleanup(async (stack) => {
    const dir = await scratchDir(stack);
    const image = path.join(await tmpfsHost(stack, dir, 96 << 20), "disk.img");
    const at = path.join(dir, "mnt");
    await mountSwapfs(stack, image, at, { args: ["--size", "64M"] });
    const file = await swapfile(at, "a");
    const reasons = await expectRefused(at, file, ["cow-host", "unmapped-host"]);
    expect(reasons.map(({ text }) => text)).toEqual([
      "the host of the image, tmpfs, may allocate at each write: its files are memory themselves",
      "the host of the image, tmpfs, does not say where the image lies (FIEMAP: EOPNOTSUPP)",
    ]);
    await umount(at);
    await mountSwapfs(stack, image, at, { args: ["--allow-cow"] });
    await expectRefused(at, file, ["unmapped-host"]);
    await umount(at);
    await mountSwapfs(stack, image, at, { args: ["--allow-cow", "--allow-unmapped-host"] });
    await expectAccepted(file);
  });
});

test("an overlay says nothing of what lies below it: refused", async () => {
  await withCleanup(async (stack) => {
    const dir = await scratchDir(stack);
    const image = path.join(await overlayHost(stack, dir, await hostFilesystem(stack, dir, "ext4")), "disk.img");
    const at = path.join(dir, "mnt");
    await mountSwapfs(stack, image, at, { args: ["--size", "64M"] });
    const [reason] = await expectRefused(at, await swapfile(at, "a"), ["cow-host"]);
    expect(reason!.text).toBe("the host of the image, overlayfs, may allocate at each write: what lies below it decides, and it does not say");
  });
});

test("a loop device that was attached by hand is an image, too: its file's extents count", async () => {
  await withCleanup(async (stack) => {
    const dir = await scratchDir(stack);
    const image = path.join(await hostFilesystem(stack, dir, "ext4"), "disk.img");
    await sh(`dd if=/dev/zero of="$F" bs=1M count=64 status=none`, { env: { F: image } });
    const loop = await attachLoop(stack, image);
    const at = path.join(dir, "mnt");
    await mountSwapfs(stack, loop, at, { args: ["--format"] });
    const file = await swapfile(at, "a");
    await expectAccepted(file);
    await must("fallocate", ["-p", "-o", String(await imageOffset(file, 7)), "-l", "4096", image]);
    const [reason] = await expectRefused(at, file, ["hole (image)"]);
    expect(reason!.ranges).toEqual([{ page: 7, count: 1 }]);
    await umount(at);
    await must("losetup", ["--detach", loop]);
  });
});

test("ext4 that journals data writes everything twice: refused", async () => {
  await withCleanup(async (stack) => {
    const dir = await scratchDir(stack);
    const host = await hostFilesystem(stack, dir, "ext4", { mountOptions: "data=journal" });
    const at = path.join(dir, "mnt");
    await mountSwapfs(stack, path.join(host, "disk.img"), at, { args: ["--size", "64M"] });
    const [reason] = await expectRefused(at, await swapfile(at, "a"), ["cow-host"]);
    expect(reason!.text).toBe("the host of the image, ext4, may allocate at each write: it journals the data of the image (data=journal)");
  });
});

const cli = path.resolve(__dirname, "../../dist/cli/main.js");

/** A process that has done `statement` with the file and waits. */
async function holder(statement: string, file: string): Promise<ChildProcess> {
  const child = spawn("python3", ["-c", `import mmap, sys\n${statement}\nprint("ready", flush=True)\nsys.stdin.read()`, file], { stdio: "pipe" });
  cleanup.add(`pid ${child.pid}`, () => ended(child));
  await new Promise((resolve, reject) => {
    child.stdout!.once("data", resolve);
    child.once("exit", () => reject(new Error("it ended before it was ready")));
  });
  child.removeAllListeners("exit");
  return child;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.stdin!.end();
  await exit;
}
