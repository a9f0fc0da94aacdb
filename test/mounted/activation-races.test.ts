// Something else happens to a file while it is being activated on a slow disk: acknowledged pages keep what was written to them,
// no other file's page changes, and no block has two owners.

import { constants, promises as fs } from "node:fs";
import path from "node:path";

import { mountSwapfs, statusOf, umount } from "../support/mounted";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { scratchDir, zramDevice } from "../support/mounted-devices";
import { must, projectDir, sh, sleep, swapfs, type Done } from "../support/mounted-run";
import { Slowness } from "../support/slowness";
import { SystemCalls } from "../support/systemcalls";
import { takesTurns } from "../support/turns";

const page = 4096;
const pages = 2048;
const slowMs = 1000;
const slowerMs = 2500;
/** An activated file takes less than 1 MiB from memory that begins anywhere. */
const chunkPages = 32;

interface Place {
  readonly device: string;
  readonly mnt: string;
  /** of pages that were never written */
  readonly file: string;
  readonly other: string;
  readonly slow: Slowness;
}

async function placed(cleanup: Cleanup): Promise<Place> {
  const dir = await scratchDir(cleanup);
  const slow = await Slowness.make(dir);
  const [device, mnt] = [await zramDevice(cleanup, 96 << 20), path.join(dir, "mnt")];
  await slow.during(() => mountSwapfs(cleanup, device, mnt, { args: ["--format"] }));
  const [file, other] = [path.join(mnt, "a"), path.join(mnt, "b")];
  await sh(`fallocate -l ${pages * page} ${file}; chmod 600 ${file}; sync -f ${file}`);
  return { device, mnt, file, other, slow };
}

/** Direct, of all pages: what it returned from is on the device. */
async function write(file: string, value: number, count = pages): Promise<void> {
  const handle = await fs.open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_DIRECT, 0o600);
  try {
    const chunk = Buffer.alloc(chunkPages * page, value);
    for (let at = 0; at < count * page; at += chunk.length) await handle.write(chunk, 0, Math.min(chunk.length, count * page - at), at);
  } finally {
    await handle.close();
  }
}

/** How many pages hold something else than `value`. */
async function wrongPages(file: string, value: number): Promise<number> {
  const handle = await fs.open(file, constants.O_RDONLY | constants.O_DIRECT);
  try {
    let wrong = 0;
    const chunk = Buffer.alloc(chunkPages * page);
    for (let at = 0; ; ) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0) return wrong;
      for (let one = 0; one < bytesRead; one += page) if (!chunk.subarray(one, one + page).every((byte) => byte === value)) wrong += 1;
      at += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

/** Takes every free block for `other` but a few, in steps that end with ENOSPC. */
async function fill({ mnt, other }: Place, value: number): Promise<number> {
  await sh(`sync -f ${mnt}`);
  const { bavail } = await fs.statfs(mnt);
  const count = Math.floor((bavail - 64) / chunkPages) * chunkPages;
  await write(other, value, count);
  return count;
}

const activate = (file: string): Promise<Done> => swapfs(["activate", file]);
const activateByXattr = (file: string): Promise<Done> => run(["setfattr", "-n", "user.swapfs.activate", "-v", "1", file]);

async function run([command, ...args]: [string, ...string[]]): Promise<Done> {
  return must(command, args).then((stdout) => ({ status: 0, stdout, stderr: "" }), (error: Error) => ({ status: 1, stdout: "", stderr: error.message }));
}

/** The blocks that files use and those that are free make up the volume; fsck has nothing to say. */
async function sound({ device, mnt, slow }: Place): Promise<void> {
  await slow.clear();
  await sh(`sync -f ${mnt}`);
  const log = await fs.readFile(path.join((await statusOf(mnt)).runDir, "log"), "utf8");
  expect(log.split("\n").filter((line) => /invariant broken|ended with status [1-9]|died of signal/.test(line))).toEqual([]);
  await umount(mnt);
  expect(await swapfs(["fsck", device])).toMatchObject({ status: 0 });
}

describe.each([
  ["two activations", [activate, activate]],
  ["an activation and the xattr", [activate, activateByXattr]], // setxattr(2) holds the inode's lock, and so the write waits for it
  ["the xattr and an activation", [activateByXattr, activate]],
] as const)("%s at the same time", (_name, [first, second]) => {
  test("what was written after the first one's answer is there after the second one's", () => withCleanup(async (cleanup) => {
    const place = await placed(cleanup);
    await place.slow.set({ zero: { ms: slowMs } });
    const one = first(place.file);
    await place.slow.begun("zero");
    await place.slow.set({ zero: { ms: slowerMs } });
    const two = second(place.file);
    const done = await Promise.race([one, two]);
    expect(done).toMatchObject({ status: 0, stderr: "" });
    await write(place.file, 7);
    for (const { status, stderr } of await Promise.all([one, two])) {
      if (status !== 0) expect(stderr).toMatch(/busy|EBUSY|is being activated|already/i);
    }
    expect(await wrongPages(place.file, 7)).toBe(0);
    await sound(place);
  }));
});

describe("swapped to", () => {
  takesTurns("swap");

  test("activated beside swapon --loop: what swap took is not zeros afterwards", () => withCleanup(async (cleanup) => {
    const place = await placed(cleanup);
    const calls = new SystemCalls(cleanup);
    await must("mkswap", ["-q", place.file]);
    await place.slow.set({ zero: { ms: slowMs } });
    const one = swapfs(["swapon", "--loop", "--priority", "10", place.file]);
    await place.slow.begun("zero");
    await place.slow.set({ zero: { ms: slowerMs } });
    const two = activate(place.file);
    try {
      expect(await one).toMatchObject({ status: 0 });
      await calls.hold(1, 4 << 20);
      expect(await fs.readFile("/proc/swaps", "utf8")).toMatch(/loop\d+\s+partition\s+\d+\s+[1-9]\d{2,}\s+10\n/);
      const swapped = await wrongPages(place.file, 0); // swap may have memory of its own to read from
      await two; // whether it is refused or not
      expect(await wrongPages(place.file, 0)).toBeGreaterThanOrEqual(swapped);
      expect(await calls.letGo()).toBe(0);
    } finally {
      await swapfs(["swapoff", place.file]);
    }
    await sound(place);
  }));
});

describe("in the middle of an activation", () => {
  test.each([
    ["unpin and truncate", (file: string) => sh(`truncate -s 0 ${file}`), true],
    ["unpin and unlink", (file: string) => fs.unlink(file), true],
    ["unpin and rename over it", (file: string) => sh(`touch ${file}.new; mv ${file}.new ${file}`), true],
    ["unpin and punch", (file: string) => sh(`fallocate -p -o 0 -l ${pages * page} ${file}`), true],
    ["truncate", (file: string) => sh(`truncate -s 0 ${file}`), false],
    ["unlink", (file: string) => fs.unlink(file), false],
    ["rename over it", (file: string) => sh(`touch ${file}.new; mv ${file}.new ${file}`), false],
  ] as const)("%s: no page of a file that takes the blocks changes", (_name, take, unpins) => withCleanup(async (cleanup) => {
    const place = await placed(cleanup);
    await place.slow.set({ zero: { ms: slowMs } });
    const activated = activate(place.file);
    await place.slow.begun("zero");
    // It waits, is refused, or is carried out: each is right.
    if (unpins) await swapfs(["unpin", place.file]);
    await Promise.resolve(take(place.file)).catch((error: Error) => expect(error.message).toMatch(/busy|permitted|EPERM|EBUSY|ETXTBSY/i));
    const count = await fill(place, 5);
    expect(count).toBeGreaterThan(pages);
    await activated;
    expect(await wrongPages(place.other, 5)).toBe(0);
    const { size, blocks } = await fs.stat(place.file).catch(() => ({ size: 0, blocks: 0 }));
    if (size === 0) expect(blocks).toBe(0);
    else expect(await wrongPages(place.file, 0)).toBe(0);
    await sound(place);
  }));
});

test("a step of zeros that takes longer than the command waits: what it gives up is over before the blocks are somebody else's", () =>
  withCleanup(async (cleanup) => {
    const place = await placed(cleanup);
    await place.slow.set({ zero: { ms: 7_000, count: 1 } });
    const started = Date.now();
    const done = await swapfs(["activate", place.file], { env: { NODE_OPTIONS: `--require ${projectDir}/test/support/impatient.cjs` } });
    if (done.status !== 0) {
      await swapfs(["unpin", place.file]);
      await fs.unlink(place.file);
      await fill(place, 5);
      await sleep(Math.max(0, 9_000 - (Date.now() - started)));
      expect(await wrongPages(place.other, 5)).toBe(0);
    } else {
      await write(place.file, 7);
      expect(await wrongPages(place.file, 7)).toBe(0);
    }
    await sound(place);
  }));
