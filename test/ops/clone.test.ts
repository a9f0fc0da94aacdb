// COPY_FILE_RANGE clones, and whatever changes a shared page copies it first.

import { unsharePages } from "#src/blocks/unshare";
import { opcodes } from "#src/wire/opcodes";
import { OpsFixture } from "../support/ops-fixture";

const page = 4096;

async function files(options: { pages?: number } = {}): Promise<{ f: OpsFixture; a: number; b: number }> {
  const f = new OpsFixture(options);
  return { f, a: (await f.create("a")).ino, b: (await f.create("b")).ino };
}

/** Bytes copied, or the errno's name. */
async function clone(f: OpsFixture, from: number, to: number, length: number, offsetIn = 0, offsetOut = 0): Promise<number | string> {
  const answer = await f.call(opcodes.copyFileRange64, from, {
    off_in: BigInt(offsetIn), nodeid_out: BigInt(to), off_out: BigInt(offsetOut), len: BigInt(length),
  });
  return answer.error ?? Number(answer.bytes_copied);
}

function brief(f: OpsFixture, ino: number): string {
  return [...f.volume.inode(ino)!.extents].map(({ filePage, count, state }) => `${filePage}+${count}${state[0]}`).join(" ");
}

function sound(f: OpsFixture): void {
  expect(f.volume.check().findings.filter(({ severity }) => severity === "error")).toEqual([]);
}

const old = Buffer.alloc(3 * page + 100, 0xaa);

/** `a` has 3 pages and 100 bytes, and `b` is its clone. */
async function cloned(): Promise<{ f: OpsFixture; a: number; b: number }> {
  const made = await files();
  await made.f.write(made.a, 0, old);
  expect(await clone(made.f, made.a, made.b, 2 ** 40)).toBe(old.length);
  return made;
}

/** What need not wait for the device has been done. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
}

test("a clone: the same bytes in the same blocks, counted by both files and once by statfs", async () => {
  const { f, a, b } = await files();
  await f.write(a, 0, old);
  const { freePages } = f.volume.statfs();
  const { sequence } = f.volume.stats();
  expect(await clone(f, a, b, 2 ** 40)).toBe(old.length);
  expect([f.volume.statfs().freePages, f.volume.stats().sequence]).toEqual([freePages, sequence + 1]);
  expect([brief(f, a), brief(f, b)]).toEqual(["0+4s", "0+4s"]);
  expect((await f.read(b, 0, 5 * page)).equals(old)).toBe(true);
  expect((await f.stat(b)).blocks).toBe(32n);
  sound(f);
});

test("what a clone covers: whole pages, and the end of the source where it is the end of the target", async () => {
  const { f, a, b } = await files();
  await f.write(a, 0, old);
  expect(await clone(f, a, b, page, 1, 0)).toBe("EOPNOTSUPP");
  expect(await clone(f, a, b, page, 0, 512)).toBe("EOPNOTSUPP");
  expect(await clone(f, a, b, 100)).toBe("EOPNOTSUPP");
  expect(await clone(f, a, b, page + 100)).toBe(page);
  expect(await clone(f, a, b, page, 8 * page)).toBe(0);
  await f.truncate(b, 5 * page);
  expect(await clone(f, a, b, 2 ** 40)).toBe(3 * page); // the target goes on behind the source's last bytes
  expect(await clone(f, a, a, page, 0, page)).toBe(page);
  expect(await clone(f, a, 1, page)).toBe("EINVAL");
  expect((await f.call(opcodes.copyFileRange, a, { nodeid_out: BigInt(b), len: 1n, flags: 1n })).error).toBe("EINVAL");
  expect((await f.ok(opcodes.copyFileRange, a, { nodeid_out: BigInt(b), len: BigInt(page) })).size).toBe(page);
  sound(f);
});

test("holes and unwritten pages are holes of the clone, and the gap before it reads as zeros", async () => {
  const { f, a, b } = await files();
  await f.write(b, 0, Buffer.alloc(2 * page, 0xbb));
  await f.truncate(b, 100);
  await f.fallocate(a, 0, 0, 4 * page);
  await f.write(a, page, Buffer.alloc(page, 0xaa));
  expect(await clone(f, a, b, 4 * page, 0, 3 * page)).toBe(4 * page);
  expect(brief(f, b)).toBe("0+1w 4+1s");
  const expected = Buffer.alloc(7 * page);
  expected.fill(0xbb, 0, 100).fill(0xaa, 4 * page, 5 * page);
  expect((await f.read(b, 0, 8 * page)).equals(expected)).toBe(true);
  sound(f);
});

test("a clone is a write: times, setuid, and the old blocks of the target are free", async () => {
  const { f, a, b } = await files();
  await f.write(a, 0, old);
  await f.write(b, 0, Buffer.alloc(8 * page, 1));
  await f.setattr(b, { valid: 1, mode: 0o4755 });
  const before = f.volume.inode(b)!.mtime.seconds;
  const { freePages } = f.volume.statfs();
  expect(await clone(f, a, b, 3 * page)).toBe(3 * page);
  expect(f.volume.inode(b)).toMatchObject({ mode: 0o100755, size: 8 * page });
  expect(f.volume.inode(b)!.mtime.seconds).toBeGreaterThan(before);
  expect(f.volume.statfs().freePages).toBe(freePages + 3);
});

test("a pinned file is neither cloned nor cloned into: ETXTBSY", async () => {
  const { f, a, b } = await files();
  await f.write(a, 0, old);
  f.handles.setPinned(a, true);
  expect([await clone(f, a, b, page), await clone(f, b, a, page)]).toEqual(["ETXTBSY", "ETXTBSY"]);
});

test("a resent clone answers what was done", async () => {
  const { f, a, b } = await files();
  await f.write(a, 0, old);
  const body = { nodeid_out: BigInt(b), len: 2n ** 40n };
  await f.ok(opcodes.copyFileRange64, a, body);
  const again = new OpsFixture({}, f);
  await again.write(a, 0, Buffer.alloc(10, 0x11));
  const answer = await again.call(opcodes.copyFileRange64, a, body, {}, f.unique);
  expect(Number((answer as { bytes_copied: bigint }).bytes_copied)).toBe(old.length);
  expect((await again.read(b, 0, 10)).equals(old.subarray(0, 10))).toBe(true);
});

test("a write to shared pages goes to new blocks; pages it covers in part are copied, and the other file keeps its own", async () => {
  const { f, a, b } = await cloned();
  f.port.log.length = 0;
  await f.write(b, page - 10, Buffer.alloc(page + 20, 0xbb));
  expect(f.port.log.filter((line) => line.startsWith("copy"))).toEqual(["copy 1", "copy 1"]);
  const expected = Buffer.from(old);
  expected.fill(0xbb, page - 10, 2 * page + 10);
  expect((await f.read(b, 0, 5 * page)).equals(expected)).toBe(true);
  expect((await f.read(a, 0, 5 * page)).equals(old)).toBe(true);
  expect([brief(f, a), brief(f, b)]).toEqual(["0+4s", "0+3w 3+1s"]);
  sound(f);
});

test("a write that fails in its copy, on the device or in its commit leaves all as it was", async () => {
  const { f, a, b } = await cloned();
  const { freePages } = f.volume.statfs();
  f.port.copy = () => Promise.reject(Object.assign(new Error("broken"), { code: "EIO" }));
  expect(await f.write(b, 10, "x")).toBe("EIO");
  const mapped = await f.fs.mapping.ask({ ino: b, offset: 0, length: page, write: true, killSuidgid: false });
  if (mapped.error) throw mapped.error;
  f.fs.mapping.commitWrite(mapped.inFlight, { error: -5, timeNs: 1n });
  expect([f.volume.statfs().freePages, brief(f, b)]).toEqual([freePages, "0+4s"]);
  expect((await f.read(a, 0, 5 * page)).equals(old)).toBe(true);
  expect(await f.write(b, 0, Buffer.alloc(page, 1))).toBeUndefined(); // nothing waits for what has failed
});

test("dropped in its copy: the new blocks are given back only when the copy is over", async () => {
  const { f, b } = await cloned();
  const { freePages } = f.volume.statfs();
  let over = (): void => undefined;
  f.port.copy = () => new Promise<void>((resolve) => (over = resolve));
  const asked = f.fs.mapping.ask({ ino: b, offset: 10, length: 5, write: true, killSuidgid: false });
  f.fs.mapping.dropAll();
  expect(f.volume.statfs().freePages).toBe(freePages - 1);
  over();
  expect((await asked).error).toMatchObject({ code: "EINTR" });
  expect(f.volume.statfs().freePages).toBe(freePages);
});

test("the last user writes in place, but not before it is durable that the other one is gone", async () => {
  const { f, b } = await cloned();
  await f.ok(opcodes.unlink, 1, {}, { name: "a" });
  for (const handle of [...f.handles.open_.values()]) if (handle.ino !== b) await f.release(handle.fh);
  const where = f.volume.inode(b)!.extents.find(0)!.devicePage;
  await f.write(b, 0, Buffer.alloc(page, 1));
  expect(f.volume.inode(b)!.extents.find(0)!.devicePage).not.toBe(where);
  await f.volume.flush();
  await f.write(b, page, Buffer.alloc(page, 2));
  expect(f.volume.inode(b)!.extents.find(1)!.devicePage).toBe(where + 1);
  await f.fs.settleSharing(b);
  expect([...f.volume.inode(b)!.extents].every(({ state }) => state === "written")).toBe(true);
  sound(f);
});

test.each([
  ["truncate and grow", async (f: OpsFixture, b: number) => {
    await f.truncate(b, page + 5);
    await f.truncate(b, old.length);
    return (bytes: Buffer) => bytes.fill(0, page + 5);
  }],
  ["punch a part of a page", async (f: OpsFixture, b: number) => {
    await f.fallocate(b, 3, page + 5, 100);
    return (bytes: Buffer) => bytes.fill(0, page + 5, page + 105);
  }],
  ["zero a range", async (f: OpsFixture, b: number) => {
    await f.fallocate(b, 16, 10, 2 * page);
    return (bytes: Buffer) => bytes.fill(0, 10, 2 * page + 10);
  }],
] as const)("%s: zeros for one file, not for the other", async (_name, change) => {
  const { f, a, b } = await cloned();
  const expected = Buffer.from(old);
  (await change(f, b))(expected);
  expect((await f.read(b, 0, 5 * page)).equals(expected)).toBe(true);
  expect((await f.read(a, 0, 5 * page)).equals(old)).toBe(true);
  sound(f);
});

test("a write behind the end of a clone: its shared last page is copied before it gets zeros", async () => {
  const { f, a, b } = await cloned();
  const last = f.volume.inode(a)!.extents.find(3)!.devicePage;
  f.device.poke((last + 1) * page - 50, Buffer.alloc(50, 0xdd)); // as a power cut in an append leaves it
  await f.write(b, 5 * page, "behind");
  expect((await f.read(b, old.length, page)).every((byte) => byte === 0)).toBe(true);
  expect(f.device.read((last + 1) * page - 50, 50).every((byte) => byte === 0xdd)).toBe(true);
  sound(f);
});

// A data plane that dies has the write sent again, while its successor goes on with the copy for the page's zeros.
test.each([
  ["the same write, sent again", (f: OpsFixture, b: number) => f.write(b, 5 * page, "behind"),
    (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(2 * page - 100), Buffer.from("behind")])],
  ["a write to the page", (f: OpsFixture, b: number) => f.write(b, 3 * page, Buffer.alloc(50, 0xbb)), (bytes: Buffer) => bytes.fill(0xbb, 3 * page, 3 * page + 50)],
  ["a truncation", (f: OpsFixture, b: number) => f.truncate(b, page), (bytes: Buffer) => bytes.subarray(0, page)],
  ["a hole", (f: OpsFixture, b: number) => f.fallocate(b, 3, 2 * page, 2 * page), (bytes: Buffer) => bytes.fill(0, 2 * page)],
  ["a clone into it", async (f: OpsFixture, b: number, a: number) => expect(await clone(f, a, b, 2 ** 40)).toBe(old.length), (bytes: Buffer) => bytes],
] as const)("dropped while the last page gets zeros, and then %s: not before the page has them", async (_name, change, changed) => {
  const { f, a, b } = await cloned();
  let goOn = (): void => undefined;
  const copy = f.port.copy.bind(f.port);
  f.port.copy = (from, to, count) => new Promise<void>((resolve) => (goOn = resolve)).then(() => copy(from, to, count));
  const dropped = f.fs.mapping.ask({ ino: b, offset: 5 * page, length: 6, write: true, killSuidgid: false });
  await settled();
  f.fs.mapping.dropAll();
  f.port.copy = copy;
  let over = false;
  const done = change(f, b, a).finally(() => (over = true));
  await f.volume.flush();
  await settled();
  expect(over).toBe(false);
  goOn();
  expect((await dropped).error).toMatchObject({ code: "EINTR" });
  expect(await done).toBeUndefined();
  const expected = changed(Buffer.from(old));
  expect((await f.read(b, 0, 6 * page)).equals(expected)).toBe(true);
  expect((await f.read(a, 0, 5 * page)).equals(old)).toBe(true);
  sound(f);
});

test("no room to break the sharing: ENOSPC, and nothing has changed", async () => {
  const { f, a, b } = await cloned();
  f.volume.allocate(f.volume.statfs().freePages);
  expect(await f.write(b, 0, Buffer.alloc(page, 1))).toBe("ENOSPC");
  expect((await f.read(b, 0, 5 * page)).equals(old)).toBe(true);
  expect((await f.read(a, 0, 5 * page)).equals(old)).toBe(true);
});

test("a full volume: a page whose other file has just gone is written in place, as soon as that is durable", async () => {
  const { f, a, b } = await cloned();
  f.volume.allocate(f.volume.statfs().freePages);
  expect(await f.truncate(a, 0)).toBeUndefined();
  expect(await f.write(b, 0, Buffer.alloc(page, 1))).toBeUndefined();
  expect(await f.fallocate(b, 3, page + 1, 10)).toBeUndefined();
  expect(brief(f, b)).not.toContain("4s");
  sound(f);
});

test("a full volume: a clone can be cut inside a page, and not grow from there", async () => {
  const { f, a, b } = await cloned();
  f.volume.allocate(f.volume.statfs().freePages);
  expect([await f.truncate(b, page + 1), await f.truncate(b, 2 * page)]).toEqual([undefined, "ENOSPC"]);
  expect((await f.read(b, 0, 5 * page)).equals(old.subarray(0, page + 1))).toBe(true);
  expect((await f.read(a, 0, 5 * page)).equals(old)).toBe(true);
  sound(f);
});

test("unshare: the pages have blocks of their own, and the contents stay", async () => {
  const { f, a, b } = await cloned();
  await f.write(b, page, Buffer.alloc(page, 0xbb));
  const expected = await f.read(b, 0, 5 * page);
  await f.fs.exclusive(b, () => unsharePages(f.fs, b, 0, 2));
  expect(brief(f, b)).toMatch(/^0\+1w 1\+1w 2\+2s$|^0\+2w 2\+2s$/);
  await f.fs.exclusive(b, () => unsharePages(f.fs, b, 0, 9));
  expect(brief(f, b)).not.toContain("s");
  expect((await f.read(b, 0, 5 * page)).equals(expected)).toBe(true);
  expect((await f.read(a, 0, 5 * page)).equals(old)).toBe(true);
  sound(f);
});

test("blocks of which a reader of another file still knows are not given out", async () => {
  const { f, a, b } = await cloned();
  f.port.busy.add(b); // a read of b is under way
  const where = f.volume.inode(b)!.extents.find(0)!.devicePage;
  await f.write(b, 0, Buffer.alloc(page, 1)); // b gives up the page that the read is about
  await f.volume.flush();
  await f.write(a, 0, Buffer.alloc(page, 2)); // in place: a has it alone
  await f.truncate(a, 0);
  await f.volume.flush();
  const free = (): boolean => f.volume.allocate(f.volume.statfs().freePages - f.volume.stats().droppedPages).some(({ page: at, count }) => where >= at && where < at + count);
  expect(f.volume.stats().droppedPages).toBeGreaterThan(0);
  f.port.quiet(b);
  await new Promise(setImmediate);
  await f.volume.flush();
  expect([f.volume.stats().droppedPages, free()]).toEqual([0, true]);
});
