// ask, commit, and what happens between them.

import type { FsError } from "#src/base/errors";
import type { Mapped } from "#src/blocks/mapping";
import type { WriteInFlight } from "#src/blocks/write-in-flight";
import { opcodes } from "#src/wire/opcodes";
import { OpsFixture } from "../support/ops-fixture";

const page = 4096;
type Answered = Exclude<Mapped, { error: Error }>;

function askWrite(f: OpsFixture, ino: number, offset: number, length: number, killSuidgid = false): Mapped | Promise<Mapped> {
  return f.fs.mapping.ask({ ino, offset, length, write: true, killSuidgid });
}

function answered(mapped: Mapped | Promise<Mapped>): Answered {
  expect(mapped).not.toBeInstanceOf(Promise);
  expect((mapped as Mapped).error).toBeUndefined();
  return mapped as Answered;
}

function commit(f: OpsFixture, write: WriteInFlight, error = 0): void {
  f.fs.mapping.commitWrite(write, { error, timeNs: 1_700_000_001_000_000_002n });
}

function brief(mapped: Answered): string {
  return mapped.extents.map((extent) => `${extent.filePage}+${extent.count}${extent.state[0]}`).join(" ");
}

test("a write to a hole: reserved at the ask, the file's at the commit", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  const { freePages } = f.volume.statfs();
  const { sequence } = f.volume.stats();
  const mapped = answered(askWrite(f, ino, page + 10, 2 * page));
  expect([brief(mapped), mapped.size, f.volume.statfs().freePages, f.volume.inode(ino)!.pages]).toEqual(["1+3u", 0, freePages - 3, 0]);
  commit(f, mapped.inFlight);
  expect(f.volume.inode(ino)).toMatchObject({ size: 3 * page + 10, pages: 3, mtime: { seconds: 1_700_000_001, nanoseconds: 2 } });
  expect(f.volume.stats().sequence).toBe(sequence + 1);
});

test("a write that fails: blocks go back, size and times stay", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  const before = { ...f.volume.statfs(), ...f.volume.inode(ino)! };
  commit(f, answered(askWrite(f, ino, 0, 5 * page)).inFlight, -5);
  expect({ ...f.volume.statfs(), ...f.volume.inode(ino)! }).toEqual(before);
  const mapped = answered(askWrite(f, ino, 0, page));
  f.device.writesLeft = 0;
  const spy = jest.spyOn(process.stderr, "write").mockImplementation(() => true);
  expect(() => commit(f, mapped.inFlight)).toThrow(/cannot commit/);
  spy.mockRestore();
});

test("a write behind the end of the file: the last page is zeroed before it is answered", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  await f.write(ino, 0, Buffer.alloc(100, 0xaa));
  const append = answered(askWrite(f, ino, 100, 50));
  f.port.log.length = 0;
  const behind = askWrite(f, ino, 3 * page, page);
  expect(f.port.log).toEqual([]); // not while a write to that page is under way
  commit(f, append.inFlight);
  commit(f, answered(await behind).inFlight);
  expect(f.port.log).toEqual(["zero 150+3946"]);
  commit(f, answered(askWrite(f, ino, 5 * page, page)).inFlight); // the last page is whole now
  expect(f.port.log).toHaveLength(1);
});

test("a commit that finds no room: ENOSPC, and nothing of the write is kept", async () => {
  const f = new OpsFixture({ pages: 2048 });
  const { ino } = await f.create("a");
  await f.write(ino, 0, Buffer.alloc(100, 0xaa));
  const { freePages } = f.volume.statfs();
  while ((await f.call(opcodes.mknod, 1, { mode: 0o600 }, { name: `${f.unique}-${"n".repeat(200)}` })).error === undefined);
  while ((await f.call(opcodes.mknod, 1, { mode: 0o600 }, { name: `${f.unique}` })).error === undefined);
  const far = await f.write(ino, 100 * page, "x");
  expect(["ENOSPC", undefined]).toContain(far);
  if (far !== undefined) expect([f.volume.inode(ino)!.size, f.volume.statfs().freePages]).toEqual([100, freePages]);
});

test("ENOSPC at the ask: whole or nothing", async () => {
  const f = new OpsFixture({ pages: 2048 });
  const { ino } = await f.create("a");
  const { freePages } = f.volume.statfs();
  const failed = askWrite(f, ino, 0, (freePages + 1) * page) as { error: FsError };
  expect([failed.error.code, f.volume.statfs().freePages]).toEqual(["ENOSPC", freePages]);
});

test("unwritten pages become written, written ones between them stay where they are", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  await f.fallocate(ino, 0, 0, 6 * page);
  await f.write(ino, 2 * page, Buffer.alloc(page, 1));
  const devicePages = [...f.volume.inode(ino)!.extents].flatMap((extent) => Array.from({ length: extent.count }, (_, n) => extent.devicePage + n));
  const mapped = answered(askWrite(f, ino, page, 3 * page));
  expect(brief(mapped)).toBe("1+1u 2+1w 3+1u");
  commit(f, mapped.inFlight);
  const extents = [...f.volume.inode(ino)!.extents];
  expect(extents.map(({ filePage, count, state }) => [filePage, count, state])).toEqual([[0, 1, "unwritten"], [1, 3, "written"], [4, 2, "unwritten"]]);
  expect(extents.flatMap((extent) => Array.from({ length: extent.count }, (_, n) => extent.devicePage + n))).toEqual(devicePages);
});

test("a file that is written piece by piece stays one extent", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  for (let n = 0; n < 20; n += 1) await f.write(ino, n * 5000, Buffer.alloc(5000, n));
  expect([...f.volume.inode(ino)!.extents].length).toBe(1);
  expect((await f.read(ino, 19 * 5000, 5000)).equals(Buffer.alloc(5000, 19))).toBe(true);
});

test("overlapping writes come one after the other, others at once", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  const first = answered(askWrite(f, ino, 0, 2 * page));
  const second = askWrite(f, ino, page + 5, page);
  const apart = answered(askWrite(f, ino, 5 * page, page));
  expect(second).toBeInstanceOf(Promise);
  f.store(first, 0, Buffer.alloc(2 * page, 1));
  commit(f, first.inFlight);
  const late = answered(await second);
  expect(brief(late)).toBe("1+1w 2+1u");
  f.store(late, page + 5, Buffer.alloc(page, 2));
  commit(f, late.inFlight);
  commit(f, apart.inFlight);
  expect((await f.read(ino, 0, 2 * page + 5)).equals(Buffer.alloc(2 * page + 5, 1).fill(2, page + 5))).toBe(true);
});

test("a read sees the file as it is before the commit", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  await f.truncate(ino, 100);
  const mapped = answered(askWrite(f, ino, 0, 50));
  f.store(mapped, 0, Buffer.alloc(50, 1));
  expect((await f.read(ino, 0, 100)).equals(Buffer.alloc(100))).toBe(true);
  commit(f, mapped.inFlight);
  expect((await f.read(ino, 0, 100)).equals(Buffer.alloc(100).fill(1, 0, 50))).toBe(true);
});

test("a failed write behind the end leaves zeros there", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  await f.write(ino, 0, Buffer.alloc(100, 1));
  const mapped = answered(askWrite(f, ino, 100, 200));
  f.store(mapped, 100, Buffer.alloc(200, 2));
  commit(f, mapped.inFlight, -5);
  await new Promise(setImmediate);
  await f.write(ino, 400, "x");
  expect((await f.read(ino, 100, 300)).equals(Buffer.alloc(300))).toBe(true);
});

test("a write behind a gap: the gap reads zeros", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  await f.write(ino, 0, Buffer.alloc(10, 1));
  await f.write(ino, 3 * page + 7, Buffer.alloc(10, 2));
  const expected = Buffer.alloc(3 * page + 17).fill(1, 0, 10).fill(2, 3 * page + 7);
  expect((await f.read(ino, 0, 4 * page)).equals(expected)).toBe(true);
  expect([...f.volume.inode(ino)!.extents].map((extent) => extent.filePage)).toEqual([0, 3]);
});

test("a writer without CAP_FSETID takes set-id bits away, every writer file capabilities", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  await f.setattr(ino, { valid: 1, mode: 0o106755 });
  await f.ok(opcodes.setxattr, ino, { size: 1 }, { name: "security.capability", bytes: Buffer.from("x") });
  await f.write(ino, 0, "x");
  expect([f.volume.inode(ino)!.mode, f.volume.inode(ino)!.xattrs.size]).toEqual([0o106755, 0]);
  await f.write(ino, 0, "x", true);
  expect(f.volume.inode(ino)!.mode).toBe(0o100755);
  expect(f.port.log.filter((line) => line.startsWith("invalidate"))).toEqual([`invalidate attributes of ${ino}`]);
});

test("swapped on: no write passes, wherever it goes", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  await f.fallocate(ino, 0, 0, 4 * page);
  await f.truncate(ino, 6 * page);
  f.handles.setPinned(ino, true);
  expect([await f.write(ino, 0, Buffer.alloc(page)), await f.write(ino, 4 * page, "x"), await f.write(ino, 6 * page, "x"), await f.write(ino, 4 * page - 1, "xx")])
    .toEqual(["ETXTBSY", "ETXTBSY", "ETXTBSY", "ETXTBSY"]);
});

test("dropAll: reservations go back, waiting requests are over, late commits are refused", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  const { freePages } = f.volume.statfs();
  const first = answered(askWrite(f, ino, 0, page));
  const waiting = askWrite(f, ino, 0, page) as Promise<{ error: FsError }>;
  f.fs.mapping.dropAll();
  expect([(await waiting).error.code, f.volume.statfs().freePages]).toEqual(["EINTR", freePages]);
  expect(() => commit(f, first.inFlight)).toThrow(/dropped/);
  expect(f.volume.statfs().freePages).toBe(freePages);
  expect(await f.write(ino, 0, "x")).toBeUndefined();
});

test("dropAll: a request that waits for a truncation to end is over, the truncation goes on", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  await f.write(ino, 0, Buffer.alloc(2 * page, 1));
  f.port.busy.add(ino);
  const truncated = f.truncate(ino, 5);
  await new Promise(setImmediate);
  const waiting = f.fs.mapping.ask({ ino, offset: 0, length: 1, write: false, killSuidgid: false }) as Promise<{ error: FsError }>;
  f.fs.mapping.dropAll();
  expect((await waiting).error.code).toBe("EINTR");
  f.port.quiet(ino);
  expect([await truncated, f.volume.inode(ino)!.size]).toEqual([undefined, 5]);
});

test("exclusive: one after the other, requests between them, and no circle", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  const log: string[] = [];
  const work = (name: string) => f.fs.exclusive(ino, async () => {
    log.push(`${name} begins`);
    await new Promise(setImmediate);
    log.push(`${name} ends`);
  });
  const both = [work("first"), work("second")];
  const asked = (f.fs.mapping.ask({ ino, offset: 0, length: 1, write: false, killSuidgid: false }) as Promise<Mapped>).then(() => log.push("asked"));
  await Promise.all([...both, asked]);
  expect(log).toEqual(["first begins", "first ends", "second begins", "asked", "second ends"]);
});

test("EFBIG, ESTALE, and EINVAL for what is no file", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  expect([await f.write(ino, 2 ** 44 - page, "x"), await f.write(4711, 0, "x"), await f.write(1, 0, "x")]).toEqual(["EFBIG", "ESTALE", "EINVAL"]);
});
