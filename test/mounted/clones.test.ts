// Shared extents for real: what a plain copy shares, how swapon and `swapfs check` refuse it, and what a write to it does.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";

import { expectAccepted, expectRefused, prepareAndExpectAccepted, trySwapon } from "../support/gate";
import { killAndAwait, mountSwapfs, umount, type Role } from "../support/mounted";
import { imageUnderTest } from "../support/mounted-image";
import { must, run, sleep, swapfs, until } from "../support/mounted-run";
import { stamped, SystemCalls, type Answer } from "../support/systemcalls";
import { swapsWithoutTraffic } from "../support/turns";

const page = 4096;
const pages = 256;
const volume = imageUnderTest("64M");
const { cleanup, at } = volume;
let calls: SystemCalls;

beforeAll(() => {
  calls = new SystemCalls(cleanup);
});
afterEach(async () => {
  for (const name of await fs.readdir(volume.mountpoint)) await fs.unlink(at(name));
});

const freeBlocks = async (): Promise<number> => (await fs.statfs(volume.mountpoint)).bfree;
const blocksOf = async (name: string): Promise<number> => (await fs.stat(at(name))).blocks / 8;

/** A file of written pages with a swap header, and its bytes. */
async function written(name: string, stamp: number, count = pages): Promise<Buffer> {
  expect(await calls.create(at(name))).toBe(0);
  expect(await calls.write(at(name), 0, count * page, stamp)).toBe(count * page);
  await must("mkswap", ["-q", at(name)]);
  return fs.readFile(at(name));
}

/** What is on the device, not what is cached. */
async function contents(name: string): Promise<Buffer> {
  const handle = await fs.open(at(name), fs.constants.O_RDONLY | fs.constants.O_DIRECT);
  try {
    const { size } = await handle.stat();
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size), 0, size, 0);
    expect(bytesRead).toBe(size);
    return buffer;
  } finally {
    await handle.close();
  }
}

async function fsckIsClean(): Promise<void> {
  await umount(volume.mountpoint);
  const done = await swapfs(["fsck", volume.image, "--json"]);
  expect([done.status, JSON.parse(done.stdout).findings]).toEqual([0, []]);
  await mountSwapfs(cleanup, volume.image, volume.mountpoint);
}

describe("a plain cp", () => {
  swapsWithoutTraffic();

  test("shares every page: both are refused with the range, and accepted when the other is gone", async () => {
    const bytes = await written("a", 1);
    const free = await freeBlocks();
    await must("cp", [at("a"), at("b")]);
    expect([await freeBlocks(), await blocksOf("a"), await blocksOf("b")]).toEqual([free, pages, pages]);
    for (const name of ["a", "b"]) {
      const [reason] = await expectRefused(volume.mountpoint, at(name), ["shared"]);
      expect(reason!.ranges).toEqual([{ page: 0, count: pages }]);
      expect(reason!.text).toBe(`${pages} pages of the file shared with another file: pages 0-${pages - 1}`);
    }
    await fs.unlink(at("a"));
    await expectAccepted(at("b"));
    expect([await freeBlocks(), (await contents("b")).equals(bytes)]).toEqual([free, true]);
    await fsckIsClean();
    await expectAccepted(at("b"));
  });

  test("prepare gives one file its own blocks, and then both are accepted", async () => {
    const bytes = await written("a", 2);
    const free = await freeBlocks();
    await must("cp", [at("a"), at("b")]);
    await prepareAndExpectAccepted(at("a"));
    await expectAccepted(at("b"));
    expect([await freeBlocks(), await blocksOf("a"), await blocksOf("b")]).toEqual([free - pages, pages, pages]);
    for (const name of ["a", "b"]) expect((await contents(name)).equals(bytes)).toBe(true);
  });

  test("of a part: the pages that are shared are named, in the source and in the copy", async () => {
    await written("a", 3);
    await written("b", 4);
    const free = await freeBlocks();
    expect(await calls.copy(at("a"), 100 * page, at("b"), 20 * page, 7 * page)).toBe(7 * page);
    expect(await freeBlocks()).toBe(free + 7);
    expect((await expectRefused(volume.mountpoint, at("a"), ["shared"]))[0]!.ranges).toEqual([{ page: 100, count: 7 }]);
    expect((await expectRefused(volume.mountpoint, at("b"), ["shared"]))[0]!.ranges).toEqual([{ page: 20, count: 7 }]);
    expect(await calls.write(at("b"), 22 * page, page, 5)).toBe(page);
    expect((await expectRefused(volume.mountpoint, at("a"), ["shared"]))[0]!.ranges).toEqual([{ page: 100, count: 2 }, { page: 103, count: 4 }]);
  });
});

type Change = readonly [what: string, change: (file: string) => Promise<Answer>, expected: (bytes: Buffer) => Buffer | void, taken: number, blocks: number];

const changes: readonly Change[] = [
  ["a buffered write", (file) => calls.write(file, 8 * page, 3 * page, 9), (bytes) => void stamped(9, 3 * page).copy(bytes, 8 * page), 3, pages],
  ["an O_DIRECT write", (file) => calls.writeDirect(file, 8 * page, 3 * page, 9), (bytes) => void stamped(9, 3 * page).copy(bytes, 8 * page), 3, pages],
  ["a mapped write", (file) => calls.writeMapped(file, 8 * page + 5, page, 9), (bytes) => void stamped(9, page).copy(bytes, 8 * page + 5), 2, pages],
  ["a write of parts of pages", (file) => calls.write(file, 8 * page + 100, page, 9), (bytes) => void stamped(9, page).copy(bytes, 8 * page + 100), 2, pages],
  ["punching part of a page", (file) => calls.fallocate(file, 3, 8 * page + 1, 10), (bytes) => void bytes.fill(0, 8 * page + 1, 8 * page + 11), 1, pages],
  ["zeroing a range", (file) => calls.fallocate(file, 16, 8 * page, 2 * page), (bytes) => void bytes.fill(0, 8 * page, 10 * page), 2, pages],
  ["growing from inside a page", (file) => growFromInside(file), (bytes) => Buffer.concat([bytes.subarray(0, 8 * page + 1), Buffer.alloc(page)]), 1, 9],
];

/** What is cut off is shared as before; only where it becomes zeros is it copied. */
async function growFromInside(file: string): Promise<Answer> {
  const free = await freeBlocks();
  expect([await calls.truncate(file, 8 * page + 1), await freeBlocks()]).toEqual([0, free]);
  return calls.truncate(file, 9 * page + 1);
}

test.each(changes)("%s to shared pages copies them first: each file has its own contents, and df counts them", async (_what, change, expected, taken, blocks) => {
  const bytes = await written("a", 6);
  await must("cp", [at("a"), at("b")]);
  const free = await freeBlocks();
  expect(String(await change(at("b")))).not.toMatch(/^E/);
  const wanted = expected(bytes) ?? bytes;
  await until("the blocks are counted", async () => (await freeBlocks()) === free - taken);
  expect([await blocksOf("a"), await blocksOf("b")]).toEqual([pages, blocks]);
  expect((await contents("b")).equals(wanted)).toBe(true);
  expect((await contents("a")).subarray(page).equals(stamped(6, pages * page).subarray(page))).toBe(true);
});

test("no room to copy: ENOSPC reaches every writer, and neither file has lost anything", async () => {
  const bytes = await written("a", 7);
  await must("cp", [at("a"), at("b")]);
  const fill = (await freeBlocks()) * page;
  expect(await calls.create(at("fill"))).toBe(0);
  expect(await calls.fallocate(at("fill"), 0, 0, fill)).toBe(0);
  for (const [what, change] of changes.slice(0, -1)) {
    expect([what, await change(at("b"))]).toEqual([what, "ENOSPC"]);
    for (const name of ["a", "b"]) expect([what, name, (await contents(name)).equals(bytes)]).toEqual([what, name, true]);
    // msync has told; what could not be written stays in the cache until it is dropped, with every filesystem.
    if (what !== "a mapped write") expect([what, (await fs.readFile(at("b"))).equals(bytes)]).toEqual([what, true]);
    else await calls.dropCache(at("b"));
  }
  // A file can be cut on a full volume, shared or not, and then not grow from there.
  expect([await calls.truncate(at("b"), 8 * page + 1), (await contents("b")).equals(bytes.subarray(0, 8 * page + 1))]).toEqual([0, true]);
  expect([await calls.truncate(at("b"), 20 * page), (await fs.stat(at("b"))).size]).toEqual(["ENOSPC", 8 * page + 1]);
  expect((await contents("a")).equals(bytes)).toBe(true);
  expect(await calls.copy(at("a"), 8 * page, at("b"), 8 * page, pages * page)).toBe((pages - 8) * page);
  expect(await swapfs(["prepare", at("b")])).toMatchObject({ status: 12, stderr: expect.stringMatching(/256 pages|1\.0 MiB|1 MiB/) });
  // The file that has it alone is written in place.
  await fs.unlink(at("a"));
  expect(await calls.write(at("b"), 0, pages * page, 8)).toBe(pages * page);
  expect((await contents("b")).equals(stamped(8, pages * page))).toBe(true);
  await fs.unlink(at("fill"));
  await fsckIsClean();
});

test.each<Role>(["data plane", "control plane"])("SIGKILL of the %s while shared pages are copied, page by page: both files are whole", async (role) => {
  const bytes = await written("a", 11, 2048);
  await must("cp", [at("a"), at("b")]);
  const answer = calls.writeByPage(at("b"), 0, bytes.length, 12);
  let isOver = false;
  void answer.then(() => (isOver = true));
  let kills = 0;
  for (; !isOver && kills < 5; kills += 1) {
    await killAndAwait(volume.mountpoint, role);
    await sleep(role === "control plane" ? 700 : 50); // it has to come up, or nothing goes on at all
  }
  expect(await answer).toBe(bytes.length);
  expect(kills).toBeGreaterThan(1);
  expect((await contents("b")).equals(stamped(12, bytes.length))).toBe(true);
  expect((await contents("a")).equals(bytes)).toBe(true);
  await fsckIsClean();
  expect((await contents("a")).equals(bytes)).toBe(true);
});

describe("swapon of a clone whose original is being written", () => {
  swapsWithoutTraffic();

  test("refused until the last shared page has been copied", async () => {
    const bytes = await written("a", 13, 2048);
    await must("cp", [at("a"), at("b")]);
    const dd = spawn("dd", ["if=/dev/urandom", `of=${at("a")}`, "bs=4k", `count=${bytes.length / page}`, "conv=notrunc", "status=none"]);
    const ended = new Promise((resolve) => dd.on("exit", resolve));
    const answers: Answer[] = [];
    while (answers.at(-1) !== 0 && answers.length < 500) answers.push(await trySwapon(at("b")));
    expect(dd.exitCode).toBe(0); // nothing is shared any more
    expect([answers[0], answers.at(-1), new Set(answers).size]).toEqual(["EINVAL", 0, 2]);
    await ended;
    expect((await contents("b")).equals(bytes)).toBe(true);
  });
});

describe("a file that is in use", () => {
  swapsWithoutTraffic();

  const uses: readonly (readonly [string, (file: string) => Promise<unknown>, (file: string) => Promise<unknown>])[] = [
    ["swapped on", (file) => must("swapon", ["-p", "10", file]), (file) => must("swapoff", [file])],
    ["pinned", (file) => swapfs(["pin", file]), (file) => swapfs(["unpin", file])],
    ["activated", (file) => swapfs(["activate", file]), (file) => swapfs(["deactivate", file])],
  ];

  test.each(uses)("%s: copy_file_range(2) from it and into it is ETXTBSY; cp copies it with reads, and shares nothing", async (_what, begin, end) => {
    const bytes = await written("a", 14);
    await written("b", 15);
    await begin(at("a"));
    try {
      for (const [length, from, to] of [[pages * page, 0, 0], [page, 8 * page, 0], [page, 100, 200]] as const) {
        expect(await calls.copy(at("a"), from, at("b"), to, length)).toBe("ETXTBSY");
        expect(await calls.copy(at("b"), from, at("a"), to, length)).toBe("ETXTBSY");
      }
      // coreutils takes ETXTBSY for "cannot be cloned", and goes on with read and write, on ext4 as well.
      expect(await run("cp", [at("a"), at("c")])).toMatchObject({ status: 0 });
      expect((await contents("c")).subarray(0, page).equals(bytes.subarray(0, page))).toBe(true);
      expect(await swapfs(["check", at("c")])).toMatchObject({ status: 0 });
      expect((await run("cp", [at("b"), at("a")])).stderr).toMatch(/Text file busy/);
    } finally {
      await end(at("a"));
    }
    await expectAccepted(at("a"));
    expect(await calls.copy(at("a"), 0, at("b"), 0, page)).toBe(page);
    await expectRefused(volume.mountpoint, at("a"), ["shared"]);
  });
});
