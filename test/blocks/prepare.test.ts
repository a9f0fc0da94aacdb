// `swapfs prepare` on a volume in memory: what it makes of a file, what others do meanwhile, and what a power cut leaves.

import { bytesOfPages, pageSize } from "#src/base/units";
import { prepare, type PrepareOutcome, type PrepareProgress } from "#src/blocks/prepare/prepare";
import type { ImageRun } from "#src/blocks/prepare/plan";
import type { PrepareImage } from "#src/blocks/prepare/image";
import type { DeviceRun } from "#src/volume/blockdevice";
import type { Extent } from "#src/volume/changes";
import { MemoryBlockDevice } from "../support/memory-device";
import { opcodes } from "#src/wire/opcodes";
import { OpsFixture } from "../support/ops-fixture";
import { clones, fileOf, forSeedsAsync, patterned, share } from "../support/preparing";

const KEEP_SIZE = 1;
const PUNCH = 2 | KEEP_SIZE;
const small = { allocate: 64, unshare: 32, move: 32, rewrite: 32 };

function states(f: OpsFixture, ino: number): string {
  return [...f.volume.inode(ino)!.extents].map((extent) => `${extent.filePage}+${extent.count}${extent.state[0]}`).join(" ");
}

function pieces(f: OpsFixture, ino: number): number {
  let next = -1;
  let count = 0;
  for (const extent of f.volume.inode(ino)!.extents) {
    if (extent.devicePage !== next) count += 1;
    next = extent.devicePage + extent.count;
  }
  return count;
}

function sound(f: OpsFixture): void {
  expect(f.volume.check().findings.filter(({ severity }) => severity !== "note")).toEqual([]);
}

function refused(work: Promise<PrepareOutcome>): Promise<string> {
  return work.then(() => "done", (error: Error & { code?: string }) => `${error.code} ${error.message}`);
}

test("holes get blocks in one piece and read as zeros, what was written stays where it is", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, "a", patterned(3));
  const at = f.volume.inode(ino)!.extents.find(0)!.devicePage;
  await f.truncate(ino, 2000 * pageSize);
  const outcome = await prepare(f.fs, ino);
  expect(outcome).toEqual({ stopped: false, pages: { allocate: 1997, unshare: 0, move: 0, rewrite: 0 } });
  expect([states(f, ino), pieces(f, ino), f.volume.inode(ino)!.extents.find(0)!.devicePage]).toEqual(["0+3w 3+1997u", 1, at]);
  expect((await f.read(ino, 0, 5 * pageSize)).equals(Buffer.concat([patterned(3), Buffer.alloc(2 * pageSize)]))).toBe(true);
  expect(f.port.log.filter((line) => line.startsWith("copy"))).toEqual([]);
});

test("a clone gets blocks of its own, the other keeps its own, both with what they held", async () => {
  const f = new OpsFixture();
  const content = patterned(2500);
  const [a, b] = await clones(f, content);
  const before = [...f.volume.inode(a)!.extents];
  const seen: PrepareProgress[] = [];
  const outcome = await prepare(f.fs, b, { progress: (progress) => seen.push(progress) });
  expect(outcome.pages).toMatchObject({ unshare: 2500 });
  expect([...f.volume.inode(a)!.extents]).toEqual(before);
  expect(states(f, b)).toBe("0+2500w");
  for (const ino of [a, b]) expect((await f.read(ino, 0, content.length)).equals(content)).toBe(true);
  expect(seen.map(({ done }) => done)).toEqual([0, 1024, 1024, 2048, 2048, 2500]);
  expect(seen.every(({ total, kind }) => total === 2500 && kind === "unshare")).toBe(true);
  sound(f);
});

test("what nobody else uses any more is not copied, whatever the extents still say", async () => {
  const f = new OpsFixture();
  const content = patterned(40);
  const [a, b] = await clones(f, content);
  await f.truncate(a, 0);
  expect(states(f, b)).toBe("0+40s");
  expect((await prepare(f.fs, b)).pages).toEqual({ allocate: 0, unshare: 0, move: 0, rewrite: 0 });
  expect(states(f, b)).toBe("0+40w");
  expect(f.port.log.filter((line) => line.startsWith("copy"))).toEqual([]);
  expect((await f.read(b, 0, content.length)).equals(content)).toBe(true);
  sound(f);
});

test("an accepted file is left alone, pinned or not", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, "a", patterned(20));
  f.handles.setPinned(ino, true);
  const { sequence } = f.volume.stats();
  expect((await prepare(f.fs, ino)).pages).toEqual({ allocate: 0, unshare: 0, move: 0, rewrite: 0 });
  expect(f.volume.stats().sequence).toBe(sequence);
});

test("refused: pinned, open for writing, a directory, prepared already", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, "a", patterned(2));
  await f.truncate(ino, 20 * pageSize);
  f.handles.setPinned(ino, true);
  expect(await refused(prepare(f.fs, ino))).toMatch(/^ETXTBSY .*run swapoff first/);
  f.handles.setPinned(ino, false);
  const dir = await f.mkdir("d");
  expect(await refused(prepare(f.fs, dir))).toMatch(/^EISDIR only a regular file/);
  f.handles.open({ fh: 99n, ino, flags: 1, pid: 4711 });
  expect(await refused(prepare(f.fs, ino))).toBe("EBUSY it is open for writing by pid 4711, close it there (lsof FILE shows who)");
  f.handles.close(99n);
  const first = prepare(f.fs, ino);
  expect(await refused(prepare(f.fs, ino))).toMatch(/^EBUSY it is being prepared already/);
  expect((await first).pages.allocate).toBe(18);
});

test("no room: says what it would need, and the file and the free space are as they were", async () => {
  const f = new OpsFixture({ pages: 2048 });
  const ino = await fileOf(f, "a", patterned(2));
  await f.truncate(ino, 4000 * pageSize);
  const { freePages } = f.volume.statfs();
  expect(await refused(prepare(f.fs, ino))).toMatch(/^ENOSPC it needs 15.6 MiB \(3998 pages\) in new blocks, the volume has .* free.*nothing was lost$/);
  expect([states(f, ino), f.volume.statfs().freePages]).toEqual(["0+2w", freePages]);
});

describe("contiguous", () => {
  /** Every other page of 600, and what lies between, so that no piece is longer than one page. */
  async function fragmented(f: OpsFixture): Promise<number> {
    const { ino, fh } = await f.create("a");
    const other = await f.create("b");
    for (let page = 0; page < 60; page += 1) {
      await f.write(ino, page * pageSize, Buffer.alloc(pageSize, page + 1));
      await f.write(other.ino, page * pageSize, Buffer.alloc(pageSize, 0xff));
    }
    await f.release(fh);
    await f.release(other.fh);
    return ino;
  }

  test("moves everything into one run, holes and unwritten pages without a copy", async () => {
    const f = new OpsFixture();
    const ino = await fragmented(f);
    await f.truncate(ino, 700 * pageSize);
    await f.fallocate(ino, 0, 100 * pageSize, 30 * pageSize);
    const content = await f.read(ino, 0, 700 * pageSize);
    expect(pieces(f, ino)).toBeGreaterThan(50);
    const outcome = await prepare(f.fs, ino, { contiguous: true });
    expect(outcome.pages).toMatchObject({ move: 700, allocate: 0, unshare: 0 });
    expect([pieces(f, ino), states(f, ino)]).toEqual([1, "0+60w 60+640u"]);
    expect(f.volume.inode(ino)!.extents.find(0)!.devicePage % 512).toBe(0);
    expect((await f.read(ino, 0, content.length)).equals(content)).toBe(true);
    sound(f);
    const { sequence } = f.volume.stats();
    expect((await prepare(f.fs, ino, { contiguous: true })).pages.move).toBe(0);
    expect(f.volume.stats().sequence).toBe(sequence);
  });

  test("stopped in the middle, the next run goes on behind what is in place", async () => {
    const f = new OpsFixture({ pages: 16384 });
    const content = patterned(2 * 1024 + 100);
    const ino = await fileOf(f, "a", content);
    f.fs.commit([{ kind: "set-extents", ino, filePage: 0, count: 1, extents: [] }]); // a hole: page 1 is not behind page 0 now
    content.fill(0, 0, pageSize);
    const controller = new AbortController();
    const stop = await prepare(f.fs, ino, {
      contiguous: true, signal: controller.signal, progress: ({ done }) => void (done > 1000 && controller.abort()),
    });
    expect(stop).toMatchObject({ stopped: true, pages: { move: 1024 } });
    const again = await prepare(f.fs, ino, { contiguous: true });
    expect(again.pages.move).toBe(1024 + 100);
    expect(pieces(f, ino)).toBe(1);
    expect((await f.read(ino, 0, content.length)).equals(content)).toBe(true);
    sound(f);
  });

  test("no run is long enough: says which there is, and nothing moves", async () => {
    const f = new OpsFixture({ pages: 2048 });
    const ino = await fragmented(f);
    await f.truncate(ino, 700 * pageSize);
    const blocker = await fileOf(f, "c", Buffer.alloc(1));
    await f.fallocate(blocker, 0, 0, (f.volume.stats().largestFreeRun - 300) * pageSize);
    const before = states(f, ino);
    expect(await refused(prepare(f.fs, ino, { contiguous: true }))).toMatch(/^ENOSPC it needs 2.7 MiB in one piece, the largest free piece has /);
    expect(states(f, ino)).toBe(before);
    sound(f);
  });
});

test("swapped on between two steps: it ends, and nothing moved under the pin", async () => {
  const f = new OpsFixture({ pages: 16384 });
  const content = patterned(3000);
  const ino = await fileOf(f, "a", content);
  f.fs.commit([{ kind: "set-extents", ino, filePage: 0, count: 1, extents: [] }]);
  let pinned = "";
  const outcome = await refused(prepare(f.fs, ino, {
    contiguous: true,
    progress: ({ done }) => {
      if (done < 1024 || pinned !== "") return;
      f.handles.setPinned(ino, true);
      pinned = states(f, ino);
    },
  }));
  expect(outcome).toMatch(/^ETXTBSY/);
  expect(states(f, ino)).toBe(pinned);
  sound(f);
});

test("pinned while its pages are copied: the copy is given up", async () => {
  const f = new OpsFixture();
  const content = patterned(50);
  const [, b] = await clones(f, content);
  const { freePages } = f.volume.statfs();
  const copy = f.port.copy.bind(f.port);
  f.port.copy = async (...run) => {
    await copy(...run);
    f.handles.setPinned(b, true);
  };
  expect(await refused(prepare(f.fs, b))).toMatch(/^ETXTBSY/);
  await f.volume.flush();
  expect([states(f, b), f.volume.statfs().freePages]).toEqual(["0+50s", freePages]);
});

test("unlinked while it is prepared: its blocks stay until the end, and are free then", async () => {
  const f = new OpsFixture();
  const { freePages } = f.volume.statfs();
  const ino = await fileOf(f, "a", patterned(5));
  await f.truncate(ino, 50 * pageSize);
  const prepared = prepare(f.fs, ino, {
    progress: ({ done }) => void (done === 0 && f.volume.inode(ino)!.nlink > 0 && void f.call(opcodes.unlink, 1, undefined, { name: "a" })),
  });
  expect((await prepared).pages.allocate).toBe(45);
  await f.volume.flush();
  expect([f.volume.inode(ino), f.volume.statfs().freePages]).toEqual([undefined, freePages]);
});

test("an error of the device ends it with the file as it was", async () => {
  const f = new OpsFixture();
  const content = patterned(50);
  const [, b] = await clones(f, content);
  const copy = f.port.copy.bind(f.port);
  f.port.copy = () => Promise.reject(Object.assign(new Error("cannot copy"), { code: "EIO" }));
  expect(await refused(prepare(f.fs, b))).toBe("EIO cannot copy");
  expect(states(f, b)).toBe("0+50s");
  f.port.copy = copy;
  await prepare(f.fs, b);
  expect((await f.read(b, 0, content.length)).equals(content)).toBe(true);
  sound(f);
});

/** The host's side of an image, page by page. */
class FakeImage implements PrepareImage {
  readonly pages = new Map<number, ImageRun["state"]>();
  readonly #device: MemoryBlockDevice;

  constructor(device: MemoryBlockDevice) {
    this.#device = device;
  }

  unready(extents: readonly Extent[]): ImageRun[] {
    const runs: ImageRun[] = [];
    for (const { filePage, devicePage, count } of extents) {
      for (let n = 0; n < count; n += 1) {
        const state = this.pages.get(devicePage + n);
        if (state !== undefined) runs.push({ page: filePage + n, count: 1, state });
      }
    }
    return runs;
  }

  async writeZeros(run: DeviceRun): Promise<void> {
    await Promise.resolve();
    for (let page = run.page; page < run.page + run.count; page += 1) {
      expect(this.pages.get(page)).toMatch(/unbacked|unwritten/);
      this.#device.write(bytesOfPages(page), Buffer.alloc(pageSize));
      this.pages.delete(page);
    }
  }
}

/** A device of whose writes an image takes note: each makes its pages ready. */
class HostedDevice extends MemoryBlockDevice {
  image: FakeImage | undefined;

  override write(offset: number, bytes: Uint8Array): void {
    super.write(offset, bytes);
    for (let page = Math.floor(offset / pageSize); bytesOfPages(page) < offset + bytes.length; page += 1) this.image?.pages.delete(page);
  }

  override allocateBacking(page: number, count: number): void {
    for (let at = page; at < page + count; at += 1) this.image?.pages.set(at, "unwritten");
  }
}

test("an image: unbacked and unwritten blocks are written, shared ones are given up, contents stay", async () => {
  const device = new HostedDevice(bytesOfPages(8192));
  const f = new OpsFixture({ device });
  const image = (device.image = new FakeImage(device));
  const content = Buffer.concat([patterned(30), Buffer.alloc(70 * pageSize)]);
  const ino = await fileOf(f, "a", patterned(30));
  await f.fallocate(ino, 0, 30 * pageSize, 40 * pageSize);
  await f.truncate(ino, 100 * pageSize);
  const first = f.volume.inode(ino)!.extents.find(0)!.devicePage;
  for (let page = first + 10; page < first + 15; page += 1) image.pages.set(page, "shared");
  for (let page = first + 5; page < first + 8; page += 1) image.pages.set(page, "unbacked"); // punched out from outside
  content.fill(0, 5 * pageSize, 8 * pageSize);
  device.poke(bytesOfPages(first + 5), Buffer.alloc(3 * pageSize));
  const outcome = await prepare(f.fs, ino, {}, image);
  expect(outcome.pages).toEqual({ allocate: 30, unshare: 5, move: 0, rewrite: 3 + 40 + 30 });
  expect(image.unready([...f.volume.inode(ino)!.extents])).toEqual([]);
  expect((await f.read(ino, 0, content.length)).equals(content)).toBe(true);
  sound(f);
});

test("a file that is written to, punched and cut while it is prepared ends as the model says", async () => {
  await forSeedsAsync(40, async (random) => {
    const f = new OpsFixture({ pages: 8192 });
    const model = patterned(300, random.below(100));
    const a = await fileOf(f, "a", model);
    const b = await fileOf(f, "b", Buffer.alloc(1));
    await f.truncate(b, model.length);
    share(f, a, b);
    await f.fallocate(b, PUNCH, 10 * pageSize, 2 ** 40);
    await f.truncate(b, 10 * pageSize);
    await f.truncate(b, model.length);
    for (let n = 0; n < 40; n += 1) await f.write(b, (10 + random.below(290)) * pageSize, Buffer.alloc(pageSize, n + 1));
    const expected = await f.read(b, 0, model.length);
    let over: Promise<unknown> = Promise.resolve(); // one after the other, all beside the preparation
    const disturb = (): void => {
      const page = random.below(280) + 10;
      const bytes = Buffer.alloc(1 + random.below(3 * pageSize), 1 + random.below(250));
      if (random.chance(0.3)) {
        over = over.then(() => f.fallocate(b, PUNCH, page * pageSize, 10 * pageSize)).then((error) => expect(error).toBeUndefined());
        expected.fill(0, page * pageSize, (page + 10) * pageSize);
      } else {
        over = over.then(() => f.write(b, page * pageSize, bytes)).then((error) => expect(error).toBeUndefined());
        bytes.copy(expected, page * pageSize);
      }
    };
    await prepare(f.fs, b, { contiguous: random.chance(0.5), progress: disturb, stepMax: small });
    await over;
    expect((await f.read(b, 0, expected.length)).equals(expected)).toBe(true);
    expect((await f.read(a, 0, model.length)).equals(model)).toBe(true);
    sound(f);
  });
});
