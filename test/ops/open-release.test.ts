// Open and release, pins, orphans, and BMAP.

import type { Verdict } from "#src/activation/verdict";
import { opcodes } from "#src/wire/opcodes";
import { OpsFixture } from "../support/ops-fixture";

const page = 4096;
const KEEP_CACHE = 2;

function verdict(ino: number, accepted: boolean): Verdict {
  return { accepted, ino, pages: 10, extents: 1, reasons: accepted ? [] : [{ kind: "hole", layer: "file", ranges: [{ page: 1, count: 2 }] }] };
}

test("open: a handle by the request's unique; EISDIR, ESTALE", async () => {
  const f = new OpsFixture();
  const { ino, fh } = await f.create("a");
  const opened = await f.ok(opcodes.open, ino, { flags: 1 });
  expect(opened).toMatchObject({ fh: f.unique, open_flags: KEEP_CACHE });
  expect(f.handles.openCount(ino)).toBe(2);
  await f.release(fh);
  await f.release(opened.fh);
  expect(f.handles.openCount(ino)).toBe(0);
  expect((await f.call(opcodes.open, 1, { flags: 0 })).error).toBe("EISDIR");
  expect((await f.call(opcodes.open, 4711, { flags: 0 })).error).toBe("ESTALE");
});

test("bmap: the first one activates; the answer is in the request's own block size", async () => {
  const asked: number[][] = [];
  const f = new OpsFixture({
    activate: async (fs, ino, pid) => {
      asked.push([ino, pid]);
      for (const { fh } of fs.handles.of(ino)) fs.handles.setSwapon(fh);
      return verdict(ino, true);
    },
  });
  const { ino } = await f.create("a");
  await f.fallocate(ino, 0, 0, 10 * page);
  const at = f.volume.inode(ino)!.extents.find(0)!.devicePage;
  const bmap = async (block: number, blocksize: number) => Number((await f.ok(opcodes.bmap, ino, { block: BigInt(block), blocksize })).block);
  expect([await bmap(0, 4096), await bmap(3, 4096), await bmap(10, 4096)]).toEqual([at, at + 3, 0]);
  expect([await bmap(9, 1024), await bmap(9, 512), await bmap(1, 8192), await bmap(1, 1000), await bmap(1, 0)]).toEqual([
    (at + 2) * 4 + 1, (at + 1) * 8 + 1, 0, 0, 0]);
  expect(asked).toEqual([[ino, 100]]);
});

test("bmap: a refusal is block 0 and readable in user.swapfs.refused, never ENOSYS", async () => {
  const f = new OpsFixture({
    activate: async (fs, ino, pid) => fs.refusals.add(verdict(ino, false), pid).verdict,
  });
  const { ino } = await f.create("a");
  await f.fallocate(ino, 0, 0, 10 * page);
  expect((await f.ok(opcodes.bmap, ino, { block: 0n, blocksize: 4096 })).block).toBe(0n);
  const listed = (await f.ok(opcodes.listxattr, ino, { size: 100 })).bytes.toString();
  const value = (await f.ok(opcodes.getxattr, ino, { size: 1000 }, { name: "user.swapfs.refused" })).bytes.toString();
  expect([listed, value.includes("hole") || value.includes("not allocated")]).toEqual(["", true]); // listed is what copies take along
  expect((await f.call(opcodes.setxattr, ino, { size: 1 }, { name: "user.swapfs.refused", bytes: Buffer.from("x") })).error).toBe("EPERM");
  expect((await f.call(opcodes.removexattr, ino, {}, { name: "user.swapfs.refused" })).error).toBe("EPERM");
  f.fs.refusals.clear(ino);
  expect((await f.call(opcodes.getxattr, ino, { size: 100 }, { name: "user.swapfs.refused" })).error).toBe("ENODATA");
});

test("bmap: of a directory or a freed inode is block 0", async () => {
  const f = new OpsFixture({ activate: async (_fs, ino) => verdict(ino, false) });
  for (const ino of [1, 4711]) expect((await f.ok(opcodes.bmap, ino, { block: 0n, blocksize: 4096 })).block).toBe(0n);
});

test("the release of swapon's handle ends the pin, whoever else has the file open: the map is revoked, the kernel's pages are dropped, once", async () => {
  const f = new OpsFixture();
  const { ino, fh } = await f.create("a");
  const second = await f.ok(opcodes.open, ino, { flags: 0 });
  await f.ok(opcodes.open, ino, { flags: 0 });
  f.handles.setSwapon(fh);
  await f.release(second.fh);
  expect([f.port.log, !f.fs.leases.mayMove(ino)]).toEqual([[], true]);
  await f.release(fh);
  await new Promise(setImmediate);
  expect([f.port.log, !f.fs.leases.mayMove(ino)]).toEqual([[`revoke ${ino}`, `invalidate ${ino}`], false]);
  expect((await f.ok(opcodes.open, ino, { flags: 0 })).open_flags).toBe(0);
  expect((await f.ok(opcodes.open, ino, { flags: 0 })).open_flags).toBe(KEEP_CACHE);
});

test("an unlinked file that is pinned keeps its blocks until the release, then they pass through limbo", async () => {
  const f = new OpsFixture();
  const { freePages } = f.volume.statfs();
  const { ino, fh } = await f.create("a");
  await f.fallocate(ino, 0, 0, 10 * page);
  f.handles.setPinned(ino, true);
  f.port.busy.add(ino);
  await f.ok(opcodes.unlink, 1, {}, { name: "a" });
  expect([f.volume.inode(ino)!.pages, f.volume.statfs().freePages]).toEqual([10, freePages - 10]);
  await f.release(fh);
  expect([f.volume.inode(ino), f.volume.statfs().freePages, f.volume.stats().droppedPages]).toEqual([undefined, freePages - 10, 10]);
  f.port.quiet(ino);
  await new Promise(setImmediate);
  expect([f.volume.statfs().freePages, f.volume.stats().droppedPages, f.port.log.includes(`invalidate ${ino}`)]).toEqual([freePages, 0, false]);
});

test("orphans: freed at the start of a control plane, unless their handles are still there", async () => {
  const f = new OpsFixture();
  const kept = await f.create("kept");
  const gone = await f.create("gone");
  await f.ok(opcodes.unlink, 1, {}, { name: "kept" });
  await f.ok(opcodes.unlink, 1, {}, { name: "gone" });
  f.handles.open_.delete(gone.fh);
  const restarted = new OpsFixture({}, f);
  expect([restarted.volume.inode(kept.ino)?.nlink, restarted.volume.inode(gone.ino)]).toEqual([0, undefined]);
  restarted.handles.open_.clear();
  const remounted = new OpsFixture({ session: 78n }, restarted);
  expect([remounted.volume.inode(kept.ino), remounted.volume.orphans()]).toEqual([undefined, []]);
});
