// getattr and setattr: times, owners, modes, and sizes with what they do to the data.

import { opcodes } from "#src/wire/opcodes";
import { OpsFixture } from "../support/ops-fixture";

const page = 4096;

async function fileOf(f: OpsFixture, bytes: number): Promise<number> {
  const { ino } = await f.create("a");
  await f.write(ino, 0, Buffer.alloc(bytes, 0xaa));
  return ino;
}

/** The device's bytes behind the end of the file, in its last page. */
function tail(f: OpsFixture, ino: number): string {
  const inode = f.volume.inode(ino)!;
  const extent = inode.extents.find(Math.floor(inode.size / page))!;
  const at = (extent.devicePage + Math.floor(inode.size / page) - extent.filePage) * page;
  return f.device.read(at + (inode.size % page), page - (inode.size % page)).toString("hex").replace(/^(00)*$/, "zeros");
}

test("getattr: blocks are true, preallocated pages count", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 5000);
  expect(await f.stat(ino)).toMatchObject({ size: 5000n, blocks: 16n, blksize: 4096, nlink: 1 });
  expect(await f.fallocate(ino, 1, 0, 10 * page)).toBeUndefined();
  expect(await f.stat(ino)).toMatchObject({ size: 5000n, blocks: 80n });
  expect((await f.call(opcodes.getattr, 4711)).error).toBe("ESTALE");
});

test("getattr: shows the times of writes that the data plane did alone", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 10);
  f.port.touched = [{ ino, timeNs: 1_800_000_000_000_000_007n }, { ino: 4711, timeNs: 5n }];
  expect(await f.stat(ino)).toMatchObject({ mtime: 1_800_000_000n, mtimensec: 7, ctime: 1_800_000_000n });
  f.port.touched = [{ ino, timeNs: 1_700_000_000_000_000_000n }];
  expect(await f.stat(ino)).toMatchObject({ mtime: 1_800_000_000n });
});

test("setattr: times that are set come after touched ones", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 10);
  f.port.touched = [{ ino, timeNs: 1_800_000_000_000_000_007n }];
  const answer = await f.setattr(ino, { valid: 16 | 32, atime: -5n, atimensec: 1, mtime: 7n, mtimensec: 8 });
  expect(answer).toMatchObject({ attr: { atime: -5n, atimensec: 1, mtime: 7n, mtimensec: 8 } });
  const most = 2n ** 53n - 1n;
  const far = await f.setattr(ino, { valid: 16 | 32, atime: -(2n ** 63n), mtime: 2n ** 63n - 1n });
  expect(far).toMatchObject({ attr: { atime: -most, mtime: most } });
});

test("setattr: mode and owner in one record; set-id bits go with the owner", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 10);
  expect(await f.setattr(ino, { valid: 1, mode: 0o104711 })).toMatchObject({ attr: { mode: 0o104711 } });
  const { sequence } = f.volume.stats();
  expect(await f.setattr(ino, { valid: 2 | 4, uid: 5, gid: 6 })).toMatchObject({ attr: { mode: 0o100711, uid: 5, gid: 6 } });
  expect(f.volume.stats().sequence).toBe(sequence + 1);
});

test("truncate down: blocks are free again, the tail of the last page is zeros", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 10 * page);
  const { freePages } = f.volume.statfs();
  expect(await f.truncate(ino, page + 100)).toBeUndefined();
  expect([f.volume.inode(ino)!.pages, f.volume.statfs().freePages, tail(f, ino)]).toEqual([2, freePages + 8, "zeros"]);
  expect(await f.truncate(ino, 3 * page)).toBeUndefined();
  expect((await f.read(ino, page, 2 * page)).toString("hex")).toBe("aa".repeat(100) + "00".repeat(2 * page - 100));
  expect(await f.truncate(ino, 0)).toBeUndefined();
  expect(f.volume.inode(ino)!.pages).toBe(0);
});

test("truncate down: waits for requests that use the blocks, then keeps later ones waiting", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 4 * page);
  const { freePages } = f.volume.statfs();
  f.port.busy.add(ino);
  const truncated = f.truncate(ino, 100);
  await new Promise(setImmediate);
  expect([f.port.log, f.volume.inode(ino)!.size]).toEqual([[`revoke ${ino}`], 4 * page]);
  const asked = f.read(ino, 0, page);
  f.port.quiet(ino);
  expect(await truncated).toBeUndefined();
  expect((await asked).length).toBe(100);
  expect(f.volume.statfs().freePages).toBe(freePages + 3);
});

test("truncate up: zeros what a cut-off write may have left behind the end", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 100);
  const extent = f.volume.inode(ino)!.extents.find(0)!;
  f.device.write(extent.devicePage * page + 100, Buffer.from("left behind"));
  expect(await f.truncate(ino, 200)).toBeUndefined();
  expect((await f.read(ino, 0, 200)).toString("hex")).toBe("aa".repeat(100) + "00".repeat(100));
});

test("truncate: preallocated pages behind the end go even when the size stays", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, page);
  await f.fallocate(ino, 1, 0, 8 * page);
  const { mtime } = await f.stat(ino);
  expect(await f.truncate(ino, page)).toBeUndefined();
  expect([f.volume.inode(ino)!.pages, (await f.stat(ino)).mtime]).toEqual([1, mtime]);
});

test("truncate: EFBIG, EINVAL for what is no file, ETXTBSY for what is in use as swap", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 10 * page);
  expect(await f.truncate(ino, 2 ** 44)).toBe("EFBIG");
  expect(await f.truncate(ino, 2 ** 44 - page)).toBeUndefined();
  expect(await f.truncate(await f.mkdir("d"), 0)).toBe("EINVAL");
  f.handles.setPinned(ino, true);
  expect([await f.truncate(ino, 0), await f.truncate(ino, 2 ** 40)]).toEqual(["ETXTBSY", "ETXTBSY"]);
  expect((await f.setattr(ino, { valid: 1, mode: 0o600 })).error).toBeUndefined();
});

test("truncate by somebody without CAP_FSETID takes set-id bits and capabilities away", async () => {
  const f = new OpsFixture();
  const ino = await fileOf(f, 10);
  await f.setattr(ino, { valid: 1, mode: 0o106755 });
  await f.ok(opcodes.setxattr, ino, { size: 1 }, { name: "security.capability", bytes: Buffer.from("x") });
  expect(await f.setattr(ino, { valid: 8 | 2048, size: 5n })).toMatchObject({ attr: { mode: 0o100755, size: 5n } });
  expect(f.volume.inode(ino)!.xattrs.size).toBe(0);
});
