// Writes that the data plane carries out by itself, and what the control plane makes of them.

import { FsError } from "#src/base/errors";
import { Volume } from "#src/volume/volume";
import { opcodes } from "#src/wire/opcodes";
import { GrantedWrites } from "../support/granted-writes";
import { OpsFixture } from "../support/ops-fixture";

const page = 4096;

function fixture(pages = 8192): { f: OpsFixture; plane: GrantedWrites } {
  const plane: GrantedWrites = new GrantedWrites(() => f.device, (ino) => f.volume.inode(ino)!.size);
  const f: OpsFixture = new OpsFixture({ pages, grants: plane });
  return { f, plane };
}

/** A file that has a grant: two small writes asked. */
async function granted(f: OpsFixture, plane: GrantedWrites, name = "a"): Promise<{ ino: number; fh: bigint }> {
  const made = await f.create(name);
  await f.write(made.ino, 0, Buffer.alloc(page, 1));
  expect(plane.maps.size).toBe(0); // a file that is written once has no use for it
  await f.write(made.ino, page, Buffer.alloc(page, 2));
  expect(plane.maps.has(made.ino)).toBe(true);
  return made;
}

test("Grants: what was written under a grant is there for the next request, in one record", async () => {
  const { f, plane } = fixture();
  const { ino } = await granted(f, plane);
  const { sequence } = f.volume.stats();
  for (let n = 2; n < 12; n += 1) expect(plane.write(ino, n * page, Buffer.alloc(page, n))).toBe(true);
  expect(plane.write(ino, 12 * page, Buffer.from("tail"))).toBe(true);
  expect(plane.write(ino, 12 * page + 4, Buffer.from("more"))).toBe(true);
  expect(plane.pending).toBe(12);
  expect(await f.stat(ino)).toMatchObject({ size: BigInt(12 * page + 8), blocks: 13n * 8n, mtime: BigInt(plane.seconds) });
  expect([plane.pending, f.volume.stats().sequence]).toEqual([0, sequence + 1]);
  expect(f.volume.inode(ino)!.extents.length).toBe(1);
  expect((await f.read(ino, 11 * page, 2 * page)).subarray(page - 1).toString("latin1")).toBe("\x0btailmore");
  expect(f.volume.check().findings).toEqual([]);
});

test("Grants: pages ahead are free to statfs, and given back when the file is closed", async () => {
  const { f, plane } = fixture();
  const before = Number((await f.ok(opcodes.statfs, 1)).st.bfree);
  const { ino, fh } = await granted(f, plane);
  expect(f.fs.grants.aheadPages).toBeGreaterThanOrEqual(16);
  plane.write(ino, 2 * page, Buffer.alloc(page));
  expect(Number((await f.ok(opcodes.statfs, 1)).st.bfree)).toBe(before - 3);
  await f.release(fh);
  expect([f.fs.grants.aheadPages, plane.maps.size, f.volume.statfs().freePages]).toEqual([0, 0, before - 3]);
});

test("Grants: a write that asks waits until the grant is over, and what it wrote is committed", async () => {
  const { f, plane } = fixture();
  const { ino } = await granted(f, plane);
  plane.busy = true;
  const asked = f.write(ino, 3 * page, Buffer.alloc(page, 9));
  await new Promise(setImmediate);
  plane.write(ino, 2 * page, Buffer.alloc(page, 8)); // it was under way
  plane.settle();
  expect(await asked).toBeUndefined();
  expect((await f.read(ino, 2 * page, 2 * page)).equals(Buffer.concat([Buffer.alloc(page, 8), Buffer.alloc(page, 9)]))).toBe(true);
  expect(f.volume.check().findings).toEqual([]);
});

test("Grants: a control plane that starts adopts what is in the ring; committed again it changes nothing", async () => {
  const { f, plane } = fixture();
  const { ino } = await granted(f, plane);
  for (let n = 2; n < 8; n += 1) plane.write(ino, n * page, Buffer.alloc(page, n));
  const left = plane.ring.peek(100);
  plane.maps.clear();
  const next = new OpsFixture({ grants: plane }, f);
  next.fs.grants.drain();
  expect([next.volume.inode(ino)!.size, next.volume.inode(ino)!.pages]).toEqual([8 * page, 8]);
  expect((await next.read(ino, 7 * page, page)).equals(Buffer.alloc(page, 7))).toBe(true);
  const again = Object.assign(plane, { ring: { pending: 1, peek: () => left.splice(0), drop: () => undefined } });
  const third = new OpsFixture({ grants: again }, next);
  const { freePages } = third.volume.statfs();
  third.fs.grants.drain();
  expect([third.volume.inode(ino)!.pages, third.volume.statfs().freePages]).toEqual([8, freePages]);
  expect(third.volume.check().findings).toEqual([]);
});

test("Grants: an entry that names blocks of another file is refused, in the log, and the file's next fsync says so", async () => {
  const { f, plane } = fixture();
  const other = await f.create("other");
  await f.write(other.ino, 0, Buffer.alloc(page, 7));
  const { ino, fh } = await granted(f, plane);
  const [extent] = f.volume.inode(other.ino)!.extents;
  const writes = [{ ino, filePage: 50, devicePage: extent!.devicePage, count: 1, end: 51 * page, timeNs: 1n }];
  Object.assign(plane, { ring: { pending: 1, peek: () => writes.splice(0), drop: () => undefined } });
  const log = jest.spyOn(process.stderr, "write").mockImplementation(() => true);
  f.fs.grants.drain();
  expect(log.mock.calls.join("")).toContain(`cannot keep a write to ino ${ino}, pages 50+1`);
  log.mockRestore();
  expect([f.volume.inode(ino)!.pages, ...f.volume.check().findings]).toEqual([2]);
  expect(await f.call(opcodes.fsync, ino, { fh })).toMatchObject({ error: "EIO" });
  expect((await f.call(opcodes.fsync, ino, { fh })).error).toBeUndefined();
});

test("Grants: pages that were adopted from the ring are free again when their commit fails", async () => {
  const { f, plane } = fixture();
  const { ino } = await granted(f, plane);
  const before = f.volume.statfs().freePages + f.fs.grants.aheadPages;
  for (let n = 2; n < 8; n += 1) plane.write(ino, n * page, Buffer.alloc(page, n));
  plane.maps.clear();
  const next = new OpsFixture({ grants: plane }, f);
  const log = jest.spyOn(process.stderr, "write").mockImplementation(() => true);
  jest.spyOn(next.volume, "commit").mockImplementationOnce(() => { throw new FsError("ENOSPC"); });
  next.fs.grants.drain();
  log.mockRestore();
  expect(plane.pending).toBe(0);
  await next.volume.flush();
  expect(next.volume.statfs().freePages).toBe(before);
  expect(next.volume.check().findings).toEqual([]);
});

test("Grants: a window that code of before gave out in the end of the device, which is kept back now, is not lost", async () => {
  const { f, plane } = fixture();
  const { ino, fh } = await f.create("a");
  const { dataEnd } = f.volume.geometry;
  const across = { ino, filePage: 0, devicePage: dataEnd - 2, count: 4, end: 4 * page, timeNs: 1n };
  const writes = [across];
  f.device.poke((dataEnd - 2) * page, Buffer.alloc(4 * page, 7));
  Object.assign(plane, { ring: { pending: 1, peek: () => writes.splice(0), drop: () => undefined } });
  f.fs.grants.drain();
  expect([...f.volume.inode(ino)!.extents]).toEqual([{ filePage: 0, devicePage: dataEnd - 2, count: 4, state: "written" }]);
  expect((await f.read(ino, 0, 4 * page)).equals(Buffer.alloc(4 * page, 7))).toBe(true);
  expect((await f.call(opcodes.fsync, ino, { fh })).error).toBeUndefined();

  const room = f.volume.statfs();
  expect(f.volume.adopt({ page: dataEnd + 1, count: 4 })).toBe(false); // its first page is the file's: none of them is taken
  expect([f.volume.statfs(), ...f.volume.check().findings]).toEqual([room]);
});

test("Grants: preallocated pages are written under a grant wherever they lie, without new blocks", async () => {
  const { f, plane } = fixture();
  const { ino } = await f.create("a");
  await f.fallocate(ino, 0, 0, 64 * page);
  await f.write(ino, 10 * page, Buffer.alloc(page, 1));
  await f.write(ino, 20 * page, Buffer.alloc(page, 2));
  const { freePages } = f.volume.statfs();
  expect(f.fs.grants.aheadPages).toBe(0);
  for (const n of [63, 0, 40, 41, 30]) expect(plane.write(ino, n * page + 100, Buffer.from([n]))).toBe(true);
  const read = await f.read(ino, 0, 64 * page);
  expect([...read].flatMap((byte, at) => (byte > 0 && at % page === 100 && ![10, 20].includes(Math.floor(at / page)) ? [byte] : []))).toEqual([30, 40, 41, 63]);
  expect([f.volume.statfs().freePages, f.volume.inode(ino)!.pages]).toEqual([freePages, 64]);
});

test("Grants: writes that jump about in holes get ever fewer of them, and writes in a row get them back", async () => {
  const { f, plane } = fixture();
  const { ino } = await f.create("a");
  const made = jest.spyOn(plane, "grant");
  for (let n = 0; n < 300; n += 1) await f.write(ino, ((n * 37) % 1000) * 3 * page, Buffer.alloc(page, 1));
  // The second write, and then after 2, 4, 8 ... 128 more that got none.
  expect(made).toHaveBeenCalledTimes(8);
  expect(plane.maps.has(ino)).toBe(false);

  let asked = 0;
  for (let n = 4000; n < 5000; n += 1) {
    if (plane.write(ino, n * page, Buffer.alloc(page, 2))) continue;
    await f.write(ino, n * page, Buffer.alloc(page, 2));
    asked += 1;
  }
  // Some that had to ask before the next grant; that one and those after it were used up, each twice as large.
  expect(asked).toBeLessThan(256 + 8);
  expect(made.mock.calls.length).toBeLessThan(8 + 8);
  expect((await f.read(ino, 4999 * page, page)).equals(Buffer.alloc(page, 2))).toBe(true);
  expect(f.volume.check().findings).toEqual([]);
});

test("Grants: the last free pages go to whoever asks for them", async () => {
  const { f, plane } = fixture(2048);
  const { ino } = await granted(f, plane);
  const ahead = f.fs.grants.aheadPages;
  expect(ahead).toBeGreaterThan(0);
  const other = await f.create("b");
  const all = f.volume.statfs().freePages + ahead;
  expect(await f.fallocate(other.ino, 0, 0, all * page)).toBeUndefined();
  expect([f.volume.statfs().freePages, plane.maps.has(ino)]).toEqual([0, false]);
});

test("Grants: none for a pinned file, nor while another write is under way", async () => {
  const { f, plane } = fixture();
  const { ino } = await f.create("a");
  await f.write(ino, 0, Buffer.alloc(page));
  const slow = await f.fs.mapping.ask({ ino, offset: 9 * page, length: page, write: true, killSuidgid: false });
  await f.write(ino, page, Buffer.alloc(page));
  expect(plane.maps.size).toBe(0);
  if (slow.error === undefined) f.fs.mapping.commitWrite(slow.inFlight, { error: 0, timeNs: 5n });
  expect(plane.maps.size).toBe(1);
  await f.fs.grants.end(ino);
  f.handles.setPinned(ino, true);
  f.fs.grants.offer({ range: { ino, offset: 0, length: page, write: true, killSuidgid: false }, firstPage: 0, endPage: 1, written: [...f.volume.inode(ino)!.extents], reserved: [], wasShared: false });
  expect(plane.maps.size).toBe(0);
});

test("Grants: a truncation waits for them, and what follows is not undone by what was in the ring", async () => {
  const { f, plane } = fixture();
  f.port.revoke = (ino) => plane.end(ino);
  f.port.inUse = (ino) => plane.maps.has(ino);
  const { ino } = await granted(f, plane);
  for (let n = 2; n < 10; n += 1) plane.write(ino, n * page, Buffer.alloc(page, n));
  expect(await f.truncate(ino, 3 * page)).toBeUndefined();
  expect([plane.pending, plane.maps.size, f.volume.inode(ino)!.size, f.volume.inode(ino)!.pages]).toEqual([0, 0, 3 * page, 3]);
  expect(f.volume.check().findings).toEqual([]);
});

test("Grants: what fsync answered for survives the end of everything", async () => {
  const { f, plane } = fixture();
  const { ino, fh } = await granted(f, plane);
  for (let n = 2; n < 10; n += 1) plane.write(ino, n * page, Buffer.alloc(page, n));
  await f.ok(opcodes.fsync, ino, { fh });
  expect(Volume.open(f.device, { readOnly: true }).inode(ino)).toMatchObject({ size: 10 * page, pages: 10 });
});

test("Grants: what cannot be kept ends them all, and is told to the file that lost it: once to each handle, once to syncfs", async () => {
  const { f, plane } = fixture();
  const { ino, fh } = await granted(f, plane);
  const second = await f.ok(opcodes.open, ino, { flags: 2 });
  const other = await f.create("other");
  plane.write(ino, 2 * page, Buffer.alloc(page, 3));
  jest.spyOn(f.volume, "commit").mockImplementationOnce(() => {
    throw new FsError("ENOSPC", "no room for the record, as the test wants it");
  });
  const log = jest.spyOn(process.stderr, "write").mockImplementation(() => true);
  await f.stat(ino);
  expect(log.mock.calls.join("")).toContain("cannot keep 1 writes that were acknowledged");
  log.mockRestore();
  expect([plane.maps.size, f.fs.grants.aheadPages, f.volume.inode(ino)!.size]).toEqual([0, 0, 2 * page]);
  const fsync = async (file: number, handle: bigint) => (await f.call(opcodes.fsync, file, { fh: handle })).error;
  const syncfs = async () => (await f.call(opcodes.syncfs, 1)).error;
  expect([await fsync(other.ino, other.fh), await syncfs(), await syncfs()]).toEqual([undefined, "EIO", undefined]);
  for (const handle of [fh, second.fh]) expect([await fsync(ino, handle), await fsync(ino, handle)]).toEqual(["EIO", undefined]);
  const later = await f.ok(opcodes.open, ino, { flags: 2 });
  expect(await fsync(ino, later.fh)).toBeUndefined();
});

test("LostWrites: nobody had the file open, so the next one who opens it is told, and nobody after that", async () => {
  const f = new OpsFixture();
  const { ino, fh } = await f.create("a");
  await f.release(fh);
  f.fs.lostWrites.add(ino);
  const later = [await f.ok(opcodes.open, ino, { flags: 2 }), await f.ok(opcodes.open, ino, { flags: 2 })];
  const answers = [];
  for (const handle of later) answers.push((await f.call(opcodes.fsync, ino, { fh: handle.fh })).error);
  expect(answers).toEqual(["EIO", undefined]);
});
