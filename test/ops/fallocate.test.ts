// fallocate in all its modes, and lseek over what it leaves.

import { opcodes } from "#src/wire/opcodes";
import { OpsFixture } from "../support/ops-fixture";

const page = 4096;
const KEEP_SIZE = 1;
const PUNCH = 2 | KEEP_SIZE;
const ZERO = 16;

async function fileOf(f: OpsFixture, bytes: number): Promise<number> {
  const { ino } = await f.create("a");
  await f.write(ino, 0, Buffer.alloc(bytes, 0xaa));
  return ino;
}

function states(f: OpsFixture, ino: number): string {
  return [...f.volume.inode(ino)!.extents].map((extent) => `${extent.filePage}+${extent.count}${extent.state[0]}`).join(" ");
}

test("mode 0: allocates unwritten, contiguous, 2 MiB aligned from 2 MiB on, and grows the file", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  expect(await f.fallocate(ino, 0, 0, 1024 * page - 1)).toBeUndefined();
  expect([states(f, ino), f.volume.inode(ino)!.size]).toEqual(["0+1024u", 1024 * page - 1]);
  expect(f.volume.inode(ino)!.extents.find(0)!.devicePage % 512).toBe(0);
  expect((await f.read(ino, 0, 100)).equals(Buffer.alloc(100))).toBe(true);
  const { sequence } = f.volume.stats();
  expect(await f.fallocate(ino, 0, 100, 100)).toBeUndefined();
  expect([f.volume.stats().sequence, f.volume.inode(ino)!.size]).toEqual([sequence + 1, 1024 * page - 1]);
});

test("mode 0: fills the holes between written pages and leaves those alone", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  await f.write(ino, 2 * page, Buffer.alloc(page, 1));
  await f.write(ino, 5 * page, Buffer.alloc(page, 2));
  expect(await f.fallocate(ino, 0, page + 1, 6 * page)).toBeUndefined();
  expect([states(f, ino), f.volume.inode(ino)!.size]).toEqual(["1+1u 2+1w 3+2u 5+1w 6+2u", 7 * page + 1]);
  expect((await f.read(ino, 5 * page, 1))[0]).toBe(2);
});

test("KEEP_SIZE: allocates behind the end, and a later growth reads zeros there", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 100);
  expect(await f.fallocate(ino, KEEP_SIZE, 0, 3 * page)).toBeUndefined();
  expect([states(f, ino), f.volume.inode(ino)!.size]).toEqual(["0+1w 1+2u", 100]);
  await f.truncate(ino, 3 * page);
  expect((await f.read(ino, 100, page)).equals(Buffer.alloc(page))).toBe(true);
});

test("PUNCH_HOLE: whole pages go, parts of pages become zeros", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 5 * page);
  const { freePages } = f.volume.statfs();
  expect(await f.fallocate(ino, PUNCH, page - 10, 2 * page + 20)).toBeUndefined();
  expect([states(f, ino), f.volume.statfs().freePages]).toEqual(["0+1w 3+2w", freePages + 2]);
  const left = await f.read(ino, 0, 5 * page);
  const expected = Buffer.alloc(5 * page, 0xaa).fill(0, page - 10, 3 * page + 10);
  expect(left.equals(expected)).toBe(true);
  expect(f.volume.inode(ino)!.size).toBe(5 * page);
});

test("PUNCH_HOLE: inside one page, behind the end, and over nothing", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 2 * page);
  expect(await f.fallocate(ino, PUNCH, 10, 20)).toBeUndefined();
  expect((await f.read(ino, 0, page)).equals(Buffer.alloc(page, 0xaa).fill(0, 10, 30))).toBe(true);
  expect(await f.fallocate(ino, PUNCH, 2 ** 40, 2 ** 30)).toBeUndefined();
  expect(states(f, ino)).toBe("0+2w");
});

test("ZERO_RANGE: whole pages become unwritten where they lie, holes are allocated, edges are zeroed", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 4 * page);
  await f.truncate(ino, 8 * page);
  const at = f.volume.inode(ino)!.extents.find(0)!.devicePage;
  expect(await f.fallocate(ino, ZERO | KEEP_SIZE, 100, 8 * page)).toBeUndefined();
  expect(states(f, ino).replace(/ 4\+5u$/, "")).toMatch(/^0\+1w 1\+\d+u/);
  expect([f.volume.inode(ino)!.pages, f.volume.inode(ino)!.size, f.volume.inode(ino)!.extents.find(1)]).toMatchObject(
    [9, 8 * page, { devicePage: at + 1 }]);
  expect((await f.read(ino, 0, 8 * page)).equals(Buffer.alloc(8 * page).fill(0xaa, 0, 100))).toBe(true);
  expect(await f.fallocate(ino, ZERO, 8 * page, page + 5)).toBeUndefined();
  expect(f.volume.inode(ino)!.size).toBe(9 * page + 5);
});

test("ENOSPC: nothing is half done", async () => {
  const f = new OpsFixture({ pages: 2048 });
  const ino = await fileOf(f, 10 * page);
  const before = { ...f.volume.statfs(), states: states(f, ino), size: f.volume.inode(ino)!.size };
  for (const mode of [0, KEEP_SIZE, ZERO, ZERO | KEEP_SIZE]) expect(await f.fallocate(ino, mode, 0, 4096 * page)).toBe("ENOSPC");
  expect({ ...f.volume.statfs(), states: states(f, ino), size: f.volume.inode(ino)!.size }).toEqual(before);
  expect((await f.read(ino, 0, 10 * page)).equals(Buffer.alloc(10 * page, 0xaa))).toBe(true);
  expect(await f.fallocate(ino, 0, 0, f.volume.statfs().freePages * page)).toBeUndefined();
});

test("ENOSPC: waits for blocks that a request may still use", async () => {
  const f = new OpsFixture({ pages: 4096 });
  const { freePages } = f.volume.statfs();
  const ino = await fileOf(f, 1000 * page);
  const other = await f.create("b");
  f.port.busy.add(ino);
  await f.ok(opcodes.release, ino, { fh: [...f.handles.open_.values()].find((handle) => handle.ino === ino)!.fh });
  await f.ok(opcodes.unlink, 1, {}, { name: "a" });
  expect([f.volume.stats().droppedPages, f.volume.inode(ino)]).toEqual([1000, undefined]);
  const allocated = f.fallocate(other.ino, 0, 0, (freePages - 10) * page);
  await new Promise(setImmediate);
  f.port.quiet(ino);
  expect([await allocated, f.volume.stats().droppedPages]).toEqual([undefined, 0]);
});

test("what else there is: EOPNOTSUPP, never EINVAL or ENOSYS; ENODEV, EFBIG, ETXTBSY", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, page);
  for (const mode of [2, 8, 16 | 2 | 1, 0x20, 0x40, 0x41, 0x80, 0xff]) expect(await f.fallocate(ino, mode, 0, page)).toBe("EOPNOTSUPP");
  expect(await f.fallocate(await f.mkdir("d"), 0, 0, page)).toBe("ENODEV");
  expect(await f.fallocate(ino, 0, 2 ** 44, page)).toBe("EFBIG");
  f.handles.setPinned(ino, true);
  for (const mode of [0, KEEP_SIZE, PUNCH, ZERO]) expect(await f.fallocate(ino, mode, 0, page)).toBe("ETXTBSY");
});

test.each([[0, 0, 0o6666, 0o6666], [0, 7, 0o6676, 0o6676], [7, 7, 0o6666, 0o666], [7, 0, 0o6666, 0o2666], [7, 0, 0o6676, 0o676]])(
  "set-id bits and capabilities are taken away as by a write: uid %i, gid %i, %o becomes %o", async (uid, gid, before, after) => {
    const f = new OpsFixture();
    for (const mode of [0, KEEP_SIZE, PUNCH, ZERO]) {
      const ino = await fileOf(f, 4 * page);
      await f.setattr(ino, { valid: 1, mode: before });
      await f.ok(opcodes.setxattr, ino, { size: 1 }, { name: "security.capability", bytes: Buffer.from("c") });
      Object.assign(f, { uid, gid });
      expect(await f.fallocate(ino, mode, 0, page)).toBeUndefined();
      Object.assign(f, { uid: 0, gid: 0 });
      expect(f.port.log.filter((line) => line === `invalidate attributes of ${ino}`)).toHaveLength(before === after ? 0 : 1);
      const { mode: now, xattrs } = f.volume.inode(ino)!;
      expect([now & 0o7777, xattrs.size]).toEqual([after, 0]);
      await f.ok(opcodes.unlink, 1, {}, { name: "a" });
    }
  });

test("lseek: data, hole, end; unwritten counts as data", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  await f.write(ino, 2 * page, Buffer.alloc(page));
  await f.fallocate(ino, 0, 3 * page, page);
  await f.truncate(ino, 6 * page + 1);
  await f.fallocate(ino, KEEP_SIZE, 20 * page, page);
  const seek = async (whence: number, offset: number) => {
    const answer = await f.call(opcodes.lseek, ino, { offset: BigInt(offset), whence });
    return answer.error ?? Number(answer.offset);
  };
  expect([await seek(3, 0), await seek(3, 2 * page + 5), await seek(3, 4 * page)]).toEqual([2 * page, 2 * page + 5, "ENXIO"]);
  expect([await seek(4, 0), await seek(4, 7), await seek(4, 2 * page), await seek(4, 5 * page)]).toEqual([0, 7, 4 * page, 5 * page]);
  await f.write(ino, 6 * page, "x");
  expect([await seek(4, 6 * page), await seek(3, 6 * page), await seek(4, 6 * page + 1)]).toEqual([6 * page + 1, 6 * page, "ENXIO"]);
  expect([await seek(0, 0), await seek(3, -1)]).toEqual(["EINVAL", "ENXIO"]);
});
