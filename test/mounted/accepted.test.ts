// What swapon sees: which files become swap areas, how large these are, and in how many extents the kernel has them.

import { promises as fs } from "node:fs";
import path from "node:path";

import { mountSwapfs } from "../support/mounted";
import { Cleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { pressure } from "../support/mounted-pressure";
import { must, run, sh, swapfs } from "../support/mounted-run";
import { syscall } from "../support/mounted-syscall";
import { takesTurns } from "../support/turns";

const page = 4096;
const cleanup = new Cleanup();
let mountpoint: string;

beforeAll(async () => {
  const dir = await scratchDir(cleanup);
  mountpoint = path.join(dir, "mnt");
  await mountSwapfs(cleanup, path.join(dir, "disk.img"), mountpoint, { args: ["--size", "256M"] });
});
afterAll(() => cleanup.run());

const at = (name: string): string => path.join(mountpoint, name);

/** Swaps on with swapon(2) itself, since swapon(8) judges first; the area's length in pages, or the errno's name. */
async function swapPages(file: string): Promise<number | string> {
  await fs.chmod(file, 0o600);
  const { result } = await syscall("swapon", [file, 0x8000 | 10]);
  if (result !== 0) return result;
  try {
    const line = (await fs.readFile("/proc/swaps", "utf8")).split("\n").find((one) => one.startsWith(`${file} `));
    return Number(line!.split(/\s+/)[2]) / 4;
  } finally {
    await must("swapoff", [file]);
  }
}

/** Lines of the kernel's log that name `file`; undefined where the log cannot be read. */
async function kernelSaid(text: string): Promise<string[] | undefined> {
  const done = await run("dmesg", []);
  return done.status === 0 ? done.stdout.split("\n").filter((line) => line.includes(text)) : undefined;
}

test("a file of odd length is used up to its last whole page", async () => {
  await sh(`fallocate -l ${200 * page + 777} "$F" && mkswap -q "$F"`, { env: { F: at("odd") } });
  expect(await swapPages(at("odd"))).toBe(199); // without the header's page
  await fs.truncate(at("odd"), 150 * page + 1);
  await must("mkswap", ["-q", at("odd")]);
  expect(await swapPages(at("odd"))).toBe(149);
});

test("a header that is smaller than the file limits the area, one that is larger is refused", async () => {
  await sh(`fallocate -l 1M "$F" && mkswap -q "$F" && fallocate -l 4M "$F"`, { env: { F: at("header") } });
  expect(await swapPages(at("header"))).toBe(255);
  await fs.truncate(at("header"), 100 * page);
  expect(await swapPages(at("header"))).toBe("EINVAL");
  expect((await swapfs(["check", at("header")])).stdout).toMatch(/the swap header says 256 pages, the file has 100/);
});

test("two pages are the least: a file that is only a header is refused", async () => {
  await sh(`fallocate -l 1M "$F" && mkswap -q "$F"`, { env: { F: at("least") } });
  const handle = await fs.open(at("least"), "r+");
  const lastPage = async (number: number): Promise<void> => {
    const field = Buffer.alloc(4);
    field.writeUInt32LE(number);
    await handle.write(field, 0, 4, 1028); // union swap_header, include/linux/swap.h
  };
  await lastPage(1);
  await handle.truncate(2 * page);
  await handle.sync();
  await handle.close();
  expect(await swapPages(at("least"))).toBe(1);
  await fs.truncate(at("least"), page);
  expect(await swapPages(at("least"))).toBe("EINVAL");
  expect((await swapfs(["check", at("least")])).status).toBe(10);
});

test("a file of plain buffered writes, never synced, is accepted whole", async () => {
  await sh(`dd if=/dev/zero of="$F" bs=100k count=100 status=none; chmod 600 "$F"; mkswap -q "$F"`, { env: { F: at("buffered") } });
  expect(await swapPages(at("buffered"))).toBe(2499);
});

describe("under memory pressure", () => {
  takesTurns("swap");

  test("preallocated and written pages mix freely: accepted, and every page swapped out comes back", async () => {
    const file = at("mixed");
    await sh(`
      fallocate -l 64M "$F"; chmod 600 "$F"; mkswap -q "$F"
      for at in 3 17 18 40 99 200 511; do dd if=/dev/urandom of="$F" bs=64k seek=$at count=2 conv=notrunc status=none; done`, { env: { F: file } });
    expect(JSON.parse((await swapfs(["map", file, "--json"])).stdout).extents.length).toBeGreaterThan(6);
    await must("swapon", ["-p", "32001", file]);
    try {
      const done = await pressure(["--size", "72M", "--resident", "32M", "--seconds", "1"]);
      expect([done.status, done.status === 0 ? JSON.parse(done.stdout).badPages : done.stderr]).toEqual([0, 0]);
    } finally {
      await must("swapoff", [file]);
    }
  });
});

test("a sparse file is refused, wherever the hole is, and the kernel says that it has holes", async () => {
  for (const hole of [1, 100, 255]) {
    const file = at(`sparse-${hole}`);
    await sh(`fallocate -l 1M "$F"; mkswap -q "$F"; fallocate -p -o ${hole * page} -l ${page} "$F"`, { env: { F: file } });
    expect([hole, await swapPages(file)]).toEqual([hole, "EINVAL"]);
    expect((await swapfs(["check", file])).stdout).toContain(`1 page of the file not allocated: page ${hole}`);
  }
  expect(await kernelSaid("swapon: swapfile has holes") ?? ["unreadable here"]).not.toEqual([]);
});

test("swapfs create on an unfragmented volume: one extent, in the kernel's own words", async () => {
  const file = at("created");
  expect(await swapfs(["create", file, "--size", "64M", "--on", "--priority", "10"])).toMatchObject({ status: 0 });
  await must("swapoff", [file]);
  const said = await kernelSaid(`swap on ${file}.`);
  if (said === undefined) return console.warn("skipped: the kernel's log cannot be read here"); // dmesg_restrict without CAP_SYSLOG
  expect(said.at(-1)).toMatch(/Adding 65532k swap on .* Priority:10 extents:1 across:65532k/);
});
