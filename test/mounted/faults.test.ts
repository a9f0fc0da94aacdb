// A device that fails below a real mount, on ordinary and on activated files: EIO for the caller, counted, logged, no page
// filled; and nothing worse when that meets a deactivation or the death of the data plane.

import { constants, promises as fs } from "node:fs";
import path from "node:path";

import { DeviceFaults } from "../support/faults";
import { killAndAwait, mountSwapfs, statusOf, umount } from "../support/mounted";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { scratchDir, zramDevice } from "../support/mounted-devices";
import { must, run, sh, sleep, swapfs } from "../support/mounted-run";

const page = 4096;
const pages = 64;

interface Faulty {
  readonly mnt: string;
  readonly device: string;
  readonly file: string;
  readonly faults: DeviceFaults;
}

/** A file of 64 pages, page n filled with n + 1. */
async function faultyMount(cleanup: Cleanup, activated: boolean): Promise<Faulty> {
  const dir = await scratchDir(cleanup);
  const faults = await DeviceFaults.make(path.join(dir, "faults"));
  const device = await zramDevice(cleanup, 256 << 20);
  const mnt = path.join(dir, "mnt");
  process.env["SWAPFS_TEST_FAULTS"] = faults.file;
  try {
    await mountSwapfs(cleanup, device, mnt, { args: ["--format"] });
  } finally {
    delete process.env["SWAPFS_TEST_FAULTS"];
  }
  const file = path.join(mnt, "a");
  await fs.writeFile(file, Buffer.concat(Array.from({ length: pages }, (_, n) => Buffer.alloc(page, n + 1))), { mode: 0o600 });
  await sh(`sync -f ${file}`);
  if (activated) await must("node", [path.resolve(__dirname, "../../dist/cli/main.js"), "activate", file]);
  return { mnt, device, file, faults };
}

async function opened<T>(file: string, work: (handle: fs.FileHandle) => Promise<T>): Promise<T> {
  const handle = await fs.open(file, constants.O_RDWR | constants.O_DIRECT);
  try {
    return await work(handle);
  } finally {
    await handle.close();
  }
}

function firstBytes(buffer: Buffer): number[] {
  return Array.from({ length: buffer.length / page }, (_, n) => buffer[n * page]!);
}

async function errorsOf(mnt: string): Promise<number> {
  return (await statusOf(mnt)).counters.errors;
}

async function finished({ mnt, device, faults }: Faulty): Promise<void> {
  await faults.clear();
  await umount(mnt);
  expect(await swapfs(["fsck", device])).toMatchObject({ status: 0 });
}

// The mode takes the file's map back, which the read still uses.
test("a slow transfer holds back no reply but those that must wait for its end", () =>
  withCleanup(async (cleanup) => {
    const faulty = await faultyMount(cleanup, false);
    const { mnt, file, faults } = faulty;
    await opened(file, async (handle) => {
      await handle.read(Buffer.alloc(page), 0, page, 0); // asks; the next one has a map
      await faults.set({ kind: "delay", transfers: "read", delayMs: 3000 });
      const started = Date.now();
      const slow = handle.read(Buffer.alloc(page), 0, page, page);
      await faults.reached(1);
      await fs.chmod(file, 0o4700);
      await fs.mkdir(path.join(mnt, "meanwhile"));
      await fs.rm(path.join(mnt, "meanwhile"), { recursive: true });
      expect(Date.now() - started).toBeLessThan(2000);
      await fs.truncate(file, page); // frees blocks that the read may use
      expect(Date.now() - started).toBeGreaterThanOrEqual(2900);
      expect((await slow).bytesRead).toBe(page);
    });
    await finished(faulty);
  }));

describe.each([["ordinary", false], ["activated", true]] as const)("%s file", (_name, activated) => {
  test.each(["fail", "short"] as const)("a transfer that %ss is EIO, counted, logged, and fills no page", (kind) =>
    withCleanup(async (cleanup) => {
      const faulty = await faultyMount(cleanup, activated);
      const { mnt, file, faults } = faulty;
      const before = await errorsOf(mnt);
      await opened(file, async (handle) => {
        await faults.set({ kind, transfers: "read" });
        const into = Buffer.alloc(16 * page, 0xee);
        await expect(handle.read(into, 0, into.length, 0)).rejects.toMatchObject({ code: "EIO" });
        expect(into.every((byte) => byte === 0xee)).toBe(true);
        await faults.set({ kind, transfers: "write" });
        await expect(handle.write(Buffer.alloc(16 * page, 0x77), 0, 16 * page, 16 * page)).rejects.toMatchObject({ code: "EIO" });
        expect(await errorsOf(mnt)).toBe(before + 2);
        await handle.write(Buffer.alloc(16 * page, 0x77), 0, 16 * page, 16 * page); // the fault is over
        const { buffer } = await handle.read(Buffer.alloc(pages * page), 0, pages * page, 0);
        expect(firstBytes(buffer)).toEqual(Array.from({ length: pages }, (__, n) => (n >= 16 && n < 32 ? 0x77 : n + 1)));
      });
      const log = await fs.readFile(path.join((await statusOf(mnt)).runDir, "log"), "utf8");
      expect(log).toMatch(/cannot read \d+ bytes at device page \d+: (short|Input\/output error)/);
      expect(log).toMatch(/cannot write \d+ bytes at device page \d+: (short|Input\/output error)/);
      if (activated) expect(await swapfs(["deactivate", file])).toMatchObject({ status: 0 });
      await finished(faulty);
    }));

  test("SIGKILL of the data plane with slow and failing transfers pending: no error, nothing lost", () =>
    withCleanup(async (cleanup) => {
      const faulty = await faultyMount(cleanup, activated);
      const { mnt, file, faults } = faulty;
      await faults.set({ kind: "fail", transfers: "any", delayMs: 8000, count: 2 });
      await opened(file, async (handle) => {
        const write = handle.write(Buffer.alloc(page, 0x33), 0, page, 5 * page);
        const read = handle.read(Buffer.alloc(page), 0, page, 9 * page);
        await faults.reached(2);
        await killAndAwait(mnt, "data plane");
        await write;
        expect((await read).buffer[0]).toBe(10);
        const { buffer } = await handle.read(Buffer.alloc(pages * page), 0, pages * page, 0);
        expect(firstBytes(buffer)).toEqual(Array.from({ length: pages }, (__, n) => (n === 5 ? 0x33 : n + 1)));
      });
      await finished(faulty);
    }));

  test("both planes die again and again over a slow device: fio verifies what it wrote", () =>
    withCleanup(async (cleanup) => {
      const faulty = await faultyMount(cleanup, false);
      const { mnt, faults } = faulty;
      const big = path.join(mnt, "big");
      await sh(`fallocate -l 8M ${big}; chmod 600 ${big}; mkswap -q ${big}; sync -f ${big}`);
      if (activated) expect(await swapfs(["activate", big])).toMatchObject({ status: 0 });
      await faults.set({ kind: "delay", transfers: "any", delayMs: 4, count: 1e9 });
      const job = run("fio", [
        "--name=job", `--filename=${big}`, "--size=8M", "--rw=randrw", "--bsrange=4k-64k", "--verify=crc32c",
        "--verify_fatal=1", "--verify_state_save=0", "--time_based", "--runtime=4", "--direct=1", "--ioengine=libaio", "--iodepth=16",
      ], { cwd: path.dirname(mnt) });
      for (let kill = 0; kill < 4; kill += 1) {
        await sleep(600);
        await killAndAwait(mnt, kill % 2 === 0 ? "data plane" : "control plane");
      }
      expect(await job).toMatchObject({ status: 0 });
      await finished(faulty);
    }));
});

test.each(["delay", "fail"] as const)("unpinned while a transfer is under way (%s): the transfer ends first, as it would have", (kind) =>
  withCleanup(async (cleanup) => {
    const faulty = await faultyMount(cleanup, true);
    const { file, faults } = faulty;
    await faults.set({ kind, transfers: "read", delayMs: 2500 });
    await opened(file, async (handle) => {
      const outcome = handle.read(Buffer.alloc(page), 0, page, 3 * page)
        .then(({ buffer }) => buffer[0], (error: NodeJS.ErrnoException) => error.code);
      await faults.reached(1);
      // A writer keeps it activated, and so nothing is taken away under a write.
      expect((await swapfs(["deactivate", file])).stderr).toMatch(/opened for writing by pid/);
      expect(await outcome).toBe(kind === "delay" ? 4 : "EIO");
    });
    expect(await swapfs(["deactivate", file])).toMatchObject({ status: 0 });
    await faults.set({ kind, transfers: "read", delayMs: 2500 });
    const reading = sh(`dd if=${file} bs=4096 skip=3 count=1 iflag=direct status=none | head -c 1 | od -An -tu1`).then((text) => text.trim(), () => "EIO");
    await faults.reached(1);
    const truncated = fs.truncate(file, page); // takes the blocks away, and waits for the read
    expect(await reading).toBe(kind === "delay" ? "4" : "");
    await truncated;
    await finished(faulty);
  }));

// As a network block device whose server is away for a while. zram refuses what is beyond its limit, and takes it again without one.
test("a device that fails for a while: read-only, told in words, and after umount and mount all that was synced is there", () =>
  withCleanup(async (cleanup) => {
    const device = await zramDevice(cleanup, 256 << 20);
    const limit = `/sys/block/${path.basename(device)}/mem_limit`;
    const mnt = path.join(await scratchDir(cleanup), "mnt");
    await mountSwapfs(cleanup, device, mnt, { args: ["--format"] });
    const before = path.join(mnt, "before");
    await sh(`head -c 1M /dev/urandom >"$F"; sync "$F"`, { env: { F: before } });
    const contents = await fs.readFile(before);
    await fs.writeFile(limit, "4096");
    try {
      expect((await run("sh", ["-c", `head -c 256K /dev/urandom >"$F"; sync -f "$F"`], { env: { F: path.join(mnt, "meanwhile") } })).status).not.toBe(0);
      await expect(fs.mkdir(path.join(mnt, "refused"))).rejects.toMatchObject({ code: "EROFS" });
      expect((await statusOf(mnt)).warnings).toEqual([expect.stringMatching(/^the device failed: .*swapoff, umount, and mount it again$/)]);
    } finally {
      await fs.writeFile(limit, "0");
    }
    await umount(mnt);
    await mountSwapfs(cleanup, device, mnt);
    expect((await fs.readFile(before)).equals(contents)).toBe(true);
    await sh(`head -c 256K /dev/urandom >"$F"; sync "$F"`, { env: { F: path.join(mnt, "after") } });
    await umount(mnt);
    expect(await swapfs(["fsck", device])).toMatchObject({ status: 0 });
  }));
