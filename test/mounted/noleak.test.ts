// What swap once held is never shown by a file: swap is filled with a marker, and everything that can be allocated, written
// in part, grown or cloned afterwards is read whole, through the page cache and past it.
//
// Sources without discard keep the marker on the device below, so that a page which is not zeroed shows it; on an image the
// host punches freed blocks out, and what is tried there is the moment before.

import { promises as fs } from "node:fs";
import path from "node:path";

import { killAndAwait, mountSwapfs, pidOf, statusOf, umount, type Role } from "../support/mounted";
import { Cleanup } from "../support/mounted-cleanup";
import { attachLoop, imageFile, scratchDir, zramDevice } from "../support/mounted-devices";
import { must, run, sh, sleep, swapfs } from "../support/mounted-run";
import { markedPages, plant, scan, shown } from "../support/marker";
import { tryWriteParts, writeParts } from "../support/partwriter";
import { takesTurns } from "../support/turns";

const mib = 2 ** 20;
const page = 4096;
const volumeBytes = 19 * mib;
const swapBytes = 11 * mib;
/** Somewhat more than there is room for. */
const everyPage = (14 * mib) / page;
/** Of about 1,200 that are swapped out, when nobody else swaps. */
const enough = 500;

interface Source {
  /** what is mounted */
  readonly path: string;
  /** where to look for the marker */
  readonly raw: string;
  readonly args: readonly string[];
  readonly keepsFreed: boolean;
}

async function zram(cleanup: Cleanup): Promise<Source> {
  const device = await zramDevice(cleanup, volumeBytes);
  await fs.writeFile(`/sys/block/${path.basename(device)}/queue/discard_max_bytes`, "0");
  return { path: device, raw: device, args: ["--format"], keepsFreed: true };
}

/** Attached by hand: swapfs neither allocates nor punches its file, so that it must be written before. */
async function loopDevice(cleanup: Cleanup, dir: string): Promise<Source> {
  const file = await imageFile(dir, "disk", volumeBytes);
  await must("dd", ["if=/dev/zero", `of=${file}`, "bs=1M", `count=${volumeBytes / mib}`, "conv=notrunc,fsync", "status=none"]);
  const device = await attachLoop(cleanup, file);
  return { path: device, raw: device, args: ["--format"], keepsFreed: true };
}

function image(_cleanup: Cleanup, dir: string): Promise<Source> {
  const file = path.join(dir, "disk.img");
  return Promise.resolve({ path: file, raw: file, args: ["--size", String(volumeBytes)], keepsFreed: false });
}

type MakeSource = (cleanup: Cleanup, dir: string) => Promise<Source>;

type How = "buffered" | "direct";

/** All of it on one source; what a source adds is where blocks come from and go to. */
const sources: readonly (readonly [string, MakeSource, readonly How[], readonly Role[]])[] = [
  ["zram without discard", zram, ["buffered", "direct"], ["data plane", "control plane"]],
  ["a loop device", loopDevice, ["direct"], ["control plane"]],
  ["an image", image, ["buffered"], ["data plane"]],
];

const turn = takesTurns("swap");

describe.each(sources)("%s", (_name, makeSource, hows, roles) => {
  const cleanup = new Cleanup();
  let source: Source;
  let mountpoint: string;
  const at = (name: string): string => path.join(mountpoint, name);

  beforeAll(async () => {
    const dir = await scratchDir(cleanup);
    source = await makeSource(cleanup, dir);
    mountpoint = path.join(dir, "mnt");
    await mountSwapfs(cleanup, source.path, mountpoint, { args: source.args });
  });
  afterAll(() => cleanup.run());
  afterEach(async () => {
    const { files } = (await statusOf(mountpoint)) as { files: { path?: string; mode?: string }[] };
    for (const { path: name } of files.filter(({ mode }) => mode === "swap_rw")) await swapfs(["deactivate", at(name!)]); // a failed test's
    for (const name of await fs.readdir(mountpoint)) await fs.unlink(at(name));
  });

  /** A swapfile that held the marker, and has been swapped off. */
  async function former(): Promise<string> {
    await plant(at("former"), swapBytes, source.raw, enough);
    await turn.over();
    return at("former");
  }

  /** The same, and it is gone: its blocks are free. */
  async function freed(): Promise<number> {
    await fs.unlink(await former());
    await must("sync", ["-f", mountpoint]);
    const marked = await markedPages(source.raw);
    if (source.keepsFreed) expect(marked).toBeGreaterThan(enough);
    return marked;
  }

  const env = (): { env: NodeJS.ProcessEnv } => ({ env: { M: mountpoint } });
  const fillUp = (): Promise<string> => sh(`
    n=0; for size in 4M 1M 256K 64K 4K; do while fallocate -l $size "$M/fill$n" 2>/dev/null; do n=$((n + 1)); done; rm -f "$M/fill$n"; done`, env());

  test.each(hows)("a few bytes in each page of a new file: %s", async (how) => {
    const marked = await freed();
    await writeParts(at("sparse"), how, 1500);
    expect((await scan(at("sparse"), "direct")).own).toBeGreaterThan(1500);
    if (source.keepsFreed) expect(await markedPages(source.raw)).toBeLessThan(marked - 100); // it was written over them
    expect(await shown(mountpoint)).toEqual([]);
  });

  test.each(roles)("SIGKILL of the %s while pages are written in part", async (role) => {
    await freed();
    let over = false;
    const writing = writeParts(at("sparse"), "buffered", everyPage).finally(() => (over = true));
    writing.catch(() => undefined);
    for (let kill = 0; kill < 2 && !over; kill += 1) {
      await sleep(100);
      await killAndAwait(mountpoint, role);
    }
    expect(await writing).toBeGreaterThan(everyPage * 0.8);
    expect(await shown(mountpoint)).toEqual([]);
    await umount(mountpoint);
    await mountSwapfs(cleanup, source.path, mountpoint);
    expect(await shown(mountpoint)).toEqual([]);
  });

  test("all three are killed: just after swapoff, and while freed pages are written", async () => {
    await former();
    await killAll();
    expect(await shown(mountpoint)).toEqual([]);
    await fs.unlink(at("former"));
    const writing = [tryWriteParts(at("first"), "buffered", everyPage), tryWriteParts(at("second"), "direct", everyPage)];
    await sleep(200);
    await killAll();
    await Promise.all(writing);
    expect(await shown(mountpoint)).toEqual([]);
    await fillUp();
    await writeParts(at("third"), "buffered", 1000);
    expect(await shown(mountpoint)).toEqual([]);
  });

  async function killAll(): Promise<void> {
    const pids = await Promise.all((["keeper", "data plane", "control plane"] as const).map((role) => pidOf(mountpoint, role)));
    for (const pid of pids) process.kill(pid!, "SIGKILL"); // the keeper first: it would start the others again
    expect(await swapfs(["umount", mountpoint])).toMatchObject({ status: 0 });
    await mountSwapfs(cleanup, source.path, mountpoint);
    expect((await run("mountpoint", ["-q", mountpoint])).status).toBe(0);
  }

  if (makeSource !== zram) return; // the other ways to allocate do not depend on the source

  test("preallocated until there is no space left; then written in part", async () => {
    const marked = await freed();
    await fillUp();
    expect(await shown(mountpoint)).toEqual([]);
    if (source.keepsFreed) expect(await markedPages(source.raw)).toBe(marked); // these very blocks have been read
    for (const name of await fs.readdir(mountpoint)) {
      const pages = Math.min((await fs.stat(at(name))).size / page, 1000);
      expect(await writeParts(at(name), "buffered", pages)).toBe(pages);
    }
    expect(await shown(mountpoint)).toEqual([]);
  });

  test("a file that grows: truncated up, mapped, appended to, cut inside a page and truncated up again", async () => {
    await freed();
    await must("truncate", ["-s", "5M", at("mapped")]);
    await writeParts(at("mapped"), "mapped", 1280);
    const bytes = Buffer.alloc(1000, 1);
    for (let n = 0; n < 2000; n += 1) await fs.appendFile(at("appended"), bytes);
    expect(await shown(mountpoint)).toEqual([]);
    await sh(`cd "$M"; for f in mapped appended; do truncate -s -611111 $f; truncate -s 7M $f; fallocate -o 6M -l 700001 $f; done`, env());
    await fs.truncate(at("appended"), 1_000_001);
    await fs.truncate(at("appended"), 7 * mib);
    expect(await shown(mountpoint)).toEqual([]);
  });

  test("clones, and pages that are copied because a part of them is written", async () => {
    await freed();
    await must("fallocate", ["-l", "3M", at("one")]);
    await writeParts(at("one"), "buffered", 700);
    await sh(`cd "$M"; cp one two; cp one three`, env());
    await writeParts(at("two"), "direct", 760);
    await writeParts(at("three"), "mapped", 760);
    expect(await shown(mountpoint)).toEqual([]);
    await sh(`cd "$M"; for o in 1 2 3 4; do fallocate -z -o $((o * 500001)) -l 70007 two; fallocate -p -o $((o * 600001)) -l 70007 three; done`, env());
    expect(await swapfs(["prepare", at("one")])).toMatchObject({ status: expect.any(Number) });
    expect(await shown(mountpoint)).toEqual([]);
  });

  test("swapfs create; and a file that is activated", async () => {
    await freed();
    expect(await swapfs(["create", at("made"), "--size", "9M"])).toMatchObject({ status: 0 });
    expect(await shown(mountpoint)).toEqual([]);
    expect(await swapfs(["activate", at("made")])).toMatchObject({ status: 0 });
    expect(await shown(mountpoint)).toEqual([]);
    expect(await swapfs(["deactivate", at("made")])).toMatchObject({ status: 0 });
    expect(await shown(mountpoint)).toEqual([]);
  });

  test("the swapfile itself after swapoff: read, written in part, cloned, moved, activated", async () => {
    const file = await former();
    expect(await shown(mountpoint)).toEqual([]);
    await must("cp", [file, at("clone")]);
    expect(await writeParts(at("clone"), "buffered", 400)).toBe(400);
    await fs.unlink(at("clone"));
    await sh(`fallocate -p -o 2000001 -l 1000001 "$M/former"; fallocate -z -o 4000001 -l 1000001 "$M/former"; fallocate -l ${swapBytes} "$M/former"`, env());
    expect(await shown(mountpoint)).toEqual([]);
    await must("dd", ["if=/dev/zero", `of=${file}`, "bs=1", "seek=7000001", "count=3", "conv=notrunc", "status=none"]);
    expect(await swapfs(["activate", file])).toMatchObject({ status: 0 });
    expect(await shown(mountpoint)).toEqual([]);
    expect(await swapfs(["deactivate", file])).toMatchObject({ status: 0 });
    await sh(`truncate -s 4M "$M/former"; mkswap -q "$M/former"`, env());
    expect(await swapfs(["prepare", file, "--contiguous"])).toMatchObject({ status: 0 });
    expect(await shown(mountpoint)).toEqual([]);
  });
});
