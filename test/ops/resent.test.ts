// A request that the kernel sends again is carried out once: by the same control plane and by its successor.

import { opcodes, type Opcode } from "#src/wire/opcodes";
import { OpsFixture } from "../support/ops-fixture";

type Trailing = { name?: string; name2?: string; bytes?: Buffer };

/** Sends a request, then again to a control plane that was started meanwhile; both replies are the same but for bit 63. */
async function twice(f: OpsFixture, opcode: Opcode<any, any>, nodeid: number, body: object, trailing: Trailing = {}): Promise<OpsFixture> {
  const first = await f.raw(opcode, nodeid, body, trailing);
  expect(first!.readInt32LE(4)).toBe(0);
  const successor = new OpsFixture({}, f);
  for (const fixture of [successor, successor]) {
    const again = await fixture.raw(opcode, nodeid, body, trailing, f.unique);
    expect(again!.readBigUInt64LE(8)).toBe(f.unique | (1n << 63n));
    again!.writeBigUInt64LE(f.unique, 8);
    expect(again!.toString("hex")).toBe(first!.toString("hex"));
  }
  return successor;
}

function names(f: OpsFixture, ino = 1): string[] {
  return [...f.volume.inode(ino)!.entries!.keys()].sort();
}

test("create: one file, one handle, the same fh", async () => {
  const f = await twice(new OpsFixture(), opcodes.create, 1, { mode: 0o100644, flags: 0o302 }, { name: "a" });
  expect([names(f), f.handles.open_.size]).toEqual([["a"], 1]);
});

test("create: the record was written, the handle was not", async () => {
  const f = new OpsFixture();
  await f.raw(opcodes.create, 1, { mode: 0o100644, flags: 0o302 }, { name: "a" });
  f.handles.open_.clear();
  const successor = new OpsFixture({}, f);
  const answer = await successor.call(opcodes.create, 1, { mode: 0o100644, flags: 0o302 }, { name: "a" }, f.unique);
  expect(answer).toMatchObject({ open: { fh: f.unique } });
  expect(successor.handles.get(f.unique)?.ino).toBe(successor.volume.inode(1)!.entries!.get("a")!.ino);
});

test("mkdir, mknod, symlink, link: made once, the same entry", async () => {
  const dir = await twice(new OpsFixture(), opcodes.mkdir, 1, { mode: 0o755 }, { name: "d" });
  expect([names(dir), dir.volume.inode(1)!.nlink]).toEqual([["d"], 3]);
  expect(names(await twice(new OpsFixture(), opcodes.mknod, 1, { mode: 0o010644 }, { name: "p" }))).toEqual(["p"]);
  expect(names(await twice(new OpsFixture(), opcodes.symlink, 1, {}, { name: "l", name2: "t" }))).toEqual(["l"]);
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  const linked = await twice(f, opcodes.link, 1, { oldnodeid: BigInt(ino) }, { name: "b" });
  expect([names(linked), linked.volume.inode(ino)!.nlink]).toEqual([["a", "b"], 2]);
});

test("unlink and rmdir: a name that was made anew meanwhile stays", async () => {
  for (const [opcode, make] of [[opcodes.unlink, opcodes.mknod], [opcodes.rmdir, opcodes.mkdir]] as const) {
    const f = new OpsFixture();
    await f.ok(make as Opcode<any, any>, 1, { mode: 0o755 }, { name: "x" });
    await f.ok(opcode, 1, {}, { name: "x" });
    const removal = f.unique;
    await f.ok(make as Opcode<any, any>, 1, { mode: 0o755 }, { name: "x" });
    const successor = new OpsFixture({}, f);
    expect((await successor.call(opcode, 1, {}, { name: "x" }, removal)).error).toBeUndefined();
    expect(names(successor)).toEqual(["x"]);
  }
});

test("rename: not back again when exchanged, not ENOENT when moved", async () => {
  const f = new OpsFixture();
  const [a, b] = [(await f.create("a")).ino, (await f.create("b")).ino];
  const exchanged = await twice(f, opcodes.rename2, 1, { newdir: 1n, flags: 2 }, { name: "a", name2: "b" });
  expect([exchanged.volume.inode(1)!.entries!.get("a")!.ino, exchanged.volume.inode(1)!.entries!.get("b")!.ino]).toEqual([b, a]);
  const moved = await twice(exchanged, opcodes.rename, 1, { newdir: 1n }, { name: "a", name2: "c" });
  expect(names(moved)).toEqual(["b", "c"]);
});

test("setxattr with XATTR_CREATE and removexattr: no EEXIST, no ENODATA", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  const set = await twice(f, opcodes.setxattr, ino, { size: 1, flags: 1 }, { name: "user.a", bytes: Buffer.from("1") });
  const removed = await twice(set, opcodes.removexattr, ino, {}, { name: "user.a" });
  expect(removed.volume.inode(ino)!.xattrs.size).toBe(0);
});

test("open and release: one handle, and closed is closed", async () => {
  const f = new OpsFixture();
  const { ino, fh } = await f.create("a");
  await f.release(fh);
  const opened = await twice(f, opcodes.open, ino, { flags: 2 });
  expect(opened.handles.openCount(ino)).toBe(1);
  const closed = await twice(opened, opcodes.release, ino, { fh: opened.unique });
  expect(closed.handles.openCount(ino)).toBe(0);
});

test("a request that failed is tried again", async () => {
  const f = new OpsFixture();
  expect((await f.call(opcodes.unlink, 1, {}, { name: "x" })).error).toBe("ENOENT");
  const failed = f.unique;
  await f.create("x");
  expect((await f.call(opcodes.unlink, 1, {}, { name: "x" }, failed)).error).toBeUndefined();
  expect(names(f)).toEqual([]);
});

test("another session's request of the same number is another request", async () => {
  const f = new OpsFixture({ session: 1n });
  await f.raw(opcodes.mkdir, 1, { mode: 0o755 }, { name: "d" });
  const next = new OpsFixture({ session: 2n }, f);
  expect((await next.call(opcodes.mkdir, 1, { mode: 0o755 }, { name: "d" }, f.unique)).error).toBe("EEXIST");
});
