// Names: lookup, create, mknod, mkdir, symlink, link, unlink, rmdir, rename, and how each of them fails.

import { opcodes } from "#src/wire/opcodes";
import { OpsFixture } from "../support/ops-fixture";

const longest = "n".repeat(255);

async function names(f: OpsFixture, ino = 1): Promise<string[]> {
  return [...f.volume.inode(ino)!.entries!.keys()].sort();
}

async function lookup(f: OpsFixture, name: string, parent = 1): Promise<number> {
  return Number((await f.ok(opcodes.lookup, parent, {}, { name })).nodeid);
}

test("lookup: an entry, nodeid 0 for none, ESTALE and ENOTDIR for what is no directory", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  expect(await lookup(f, "a")).toBe(ino);
  expect(await lookup(f, "b")).toBe(0);
  expect(await lookup(f, ".", 1)).toBe(1);
  expect(await lookup(f, ".", ino)).toBe(ino);
  const dir = await f.mkdir("d");
  expect(await lookup(f, "..", dir)).toBe(1);
  expect((await f.call(opcodes.lookup, ino, {}, { name: "x" })).error).toBe("ENOTDIR");
  expect((await f.call(opcodes.lookup, 999, {}, { name: "x" })).error).toBe("ESTALE");
});

test("names: 255 bytes and any bytes but NUL and slash; longer is ENAMETOOLONG", async () => {
  const f = new OpsFixture();
  await f.create(longest);
  await f.create("\u00ff\u0001 \n");
  expect(await lookup(f, longest)).toBeGreaterThan(1);
  for (const opcode of [opcodes.lookup, opcodes.mkdir, opcodes.create, opcodes.unlink, opcodes.rmdir]) {
    expect([opcode.name, (await f.call(opcode, 1, {}, { name: `${longest}n` })).error]).toEqual([opcode.name, "ENAMETOOLONG"]);
  }
  expect((await f.call(opcodes.rename, 1, { newdir: 1n }, { name: longest, name2: `${longest}n` })).error).toBe("ENAMETOOLONG");
});

test("create: attributes, a handle, parent's times; EEXIST with O_EXCL, an open without", async () => {
  const f = new OpsFixture();
  f.uid = 1000;
  f.gid = 100;
  const before = await f.stat(1);
  const made = await f.ok(opcodes.create, 1, { mode: 0o100640, flags: 0o102 }, { name: "a" });
  expect(made.entry.attr).toMatchObject({ mode: 0o100640, nlink: 1, uid: 1000, gid: 100, size: 0n, blocks: 0n });
  expect(made.open).toMatchObject({ fh: f.unique, open_flags: 2 });
  expect(f.handles.get(f.unique)).toMatchObject({ ino: Number(made.entry.nodeid), flags: 0o102, pid: 100 });
  const after = await f.stat(1);
  expect(after.mtime > before.mtime && after.ctime === after.mtime && after.nlink === before.nlink).toBe(true);
  expect((await f.call(opcodes.create, 1, { mode: 0o644, flags: 0o302 }, { name: "a" })).error).toBe("EEXIST");
  expect((await f.ok(opcodes.create, 1, { mode: 0o644, flags: 0o102 }, { name: "a" })).entry.nodeid).toBe(made.entry.nodeid);
  expect(f.handles.open_.size).toBe(2);
});

test("mknod: files, fifos, sockets and devices, nothing else", async () => {
  const f = new OpsFixture();
  const nodes = [["r", 0o100600, 7], ["p", 0o010600, 7], ["s", 0o140600, 7], ["c", 0o020600, 0x501], ["b", 0o060600, 0x802], ["z", 0o600, 0]] as const;
  for (const [name, mode, rdev] of nodes) {
    const { attr } = await f.ok(opcodes.mknod, 1, { mode, rdev }, { name });
    expect([name, attr.mode, attr.rdev]).toEqual([name, mode | (mode < 0o1000 ? 0o100000 : 0), rdev > 7 ? rdev : 0]);
  }
  for (const mode of [0o040755, 0o120777, 0o050000]) expect((await f.call(opcodes.mknod, 1, { mode }, { name: "x" })).error).toBe("EINVAL");
});

test("mkdir and rmdir: link counts, ENOTEMPTY, EEXIST, ENOTDIR, ENOENT", async () => {
  const f = new OpsFixture();
  const dir = await f.mkdir("d");
  const inner = await f.mkdir("e", dir);
  expect([(await f.stat(1)).nlink, (await f.stat(dir)).nlink, (await f.stat(inner)).nlink]).toEqual([3, 3, 2]);
  expect((await f.call(opcodes.mkdir, 1, { mode: 0o755 }, { name: "d" })).error).toBe("EEXIST");
  expect((await f.call(opcodes.rmdir, 1, {}, { name: "d" })).error).toBe("ENOTEMPTY");
  expect((await f.call(opcodes.unlink, 1, {}, { name: "d" })).error).toBe("EISDIR");
  await f.ok(opcodes.rmdir, dir, {}, { name: "e" });
  await f.ok(opcodes.rmdir, 1, {}, { name: "d" });
  expect((await f.stat(1)).nlink).toBe(2);
  expect((await f.call(opcodes.rmdir, 1, {}, { name: "d" })).error).toBe("ENOENT");
  await f.create("file");
  expect((await f.call(opcodes.rmdir, 1, {}, { name: "file" })).error).toBe("ENOTDIR");
});

// Directories have no handles (OPENDIR is ENOSYS), so that nobody can fill the table with them.
test("directories are not opened; a removed one still has attributes for whoever has it open, and no entries", async () => {
  const f = new OpsFixture();
  const [dir, replaced] = [await f.mkdir("d"), await f.mkdir("e")];
  await f.mkdir("f");
  expect([(await f.call(opcodes.opendir, dir)).error, (await f.call(opcodes.releasedir, dir)).error]).toEqual(["ENOSYS", "ENOSYS"]);
  await f.ok(opcodes.rmdir, 1, {}, { name: "d" });
  await f.ok(opcodes.rename, 1, { newdir: 1n }, { name: "f", name2: "e" });
  for (const removed of [dir, replaced]) {
    expect([(await f.stat(removed)).nlink, f.volume.inode(removed)]).toEqual([0, undefined]);
    expect((await f.ok(opcodes.lookup, removed, {}, { name: "x" })).nodeid).toBe(0n);
    expect((await f.call(opcodes.create, removed, { mode: 0o644 }, { name: "x" })).error).toBe("ESTALE");
    await f.ok(opcodes.fsyncdir, removed);
  }
});

test("only the last removed directories are remembered", async () => {
  const f = new OpsFixture();
  const first = await f.mkdir("first");
  await f.ok(opcodes.rmdir, 1, {}, { name: "first" });
  for (let n = 0; n < 1024; n += 1) {
    await f.mkdir("d");
    await f.ok(opcodes.rmdir, 1, {}, { name: "d" });
  }
  expect((await f.call(opcodes.getattr, first)).error).toBe("ESTALE");
});

test("a setgid directory gives its group to files, and the bit to directories", async () => {
  const f = new OpsFixture();
  const dir = await f.mkdir("d");
  await f.setattr(dir, { valid: 1 | 4, mode: 0o2775, gid: 50 });
  f.uid = f.gid = 1000;
  const file = await f.create("f", dir, 0o644);
  const inner = await f.mkdir("e", dir);
  expect(await f.stat(file.ino)).toMatchObject({ uid: 1000, gid: 50, mode: 0o100644 });
  expect(await f.stat(inner)).toMatchObject({ uid: 1000, gid: 50, mode: 0o042755 });
});

test("symlink and readlink: size and bytes of the target", async () => {
  const f = new OpsFixture();
  const target = "../\u00ff/t";
  const { nodeid, attr } = await f.ok(opcodes.symlink, 1, {}, { name: "l", name2: target });
  expect(attr).toMatchObject({ mode: 0o120777, size: 6n });
  expect((await f.ok(opcodes.readlink, Number(nodeid))).bytes.toString("latin1")).toBe(target);
  expect((await f.call(opcodes.readlink, 1)).error).toBe("EINVAL");
  expect((await f.call(opcodes.symlink, 1, {}, { name: "m", name2: "t".repeat(4095) })).error).toBeUndefined();
  expect((await f.call(opcodes.symlink, 1, {}, { name: "n", name2: "t".repeat(4096) })).error).toBe("ENAMETOOLONG");
});

test("link: the same inode under two names; EPERM for directories, EEXIST, EMLINK", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  const dir = await f.mkdir("d");
  expect(await f.ok(opcodes.link, dir, { oldnodeid: BigInt(ino) }, { name: "b" })).toMatchObject({ nodeid: BigInt(ino), attr: { nlink: 2 } });
  expect((await f.call(opcodes.link, dir, { oldnodeid: BigInt(ino) }, { name: "b" })).error).toBe("EEXIST");
  expect((await f.call(opcodes.link, 1, { oldnodeid: BigInt(dir) }, { name: "c" })).error).toBe("EPERM");
  const { mode, uid, gid, size, rdev, atime, mtime, ctime } = f.volume.inode(ino)!;
  f.volume.commit([{ kind: "put-inode", ino, attributes: { mode, uid, gid, size, rdev, atime, mtime, ctime, nlink: 65000 } }]);
  expect((await f.call(opcodes.link, 1, { oldnodeid: BigInt(ino) }, { name: "c" })).error).toBe("EMLINK");
});

test("unlink: the last name frees the blocks, an open handle keeps them until its release", async () => {
  const f = new OpsFixture();
  const free = f.volume.statfs().freePages;
  const { ino, fh } = await f.create("a");
  await f.write(ino, 0, Buffer.alloc(40960, 1));
  await f.ok(opcodes.link, 1, { oldnodeid: BigInt(ino) }, { name: "b" });
  await f.ok(opcodes.unlink, 1, {}, { name: "a" });
  expect((await f.stat(ino)).nlink).toBe(1);
  await f.ok(opcodes.unlink, 1, {}, { name: "b" });
  expect((await f.stat(ino)).nlink).toBe(0);
  expect((await f.read(ino, 0, 3)).toString("hex")).toBe("010101");
  expect((await f.call(opcodes.link, 1, { oldnodeid: BigInt(ino) }, { name: "c" })).error).toBe("ENOENT");
  await f.release(fh);
  expect((await f.call(opcodes.getattr, ino)).error).toBe("ESTALE");
  expect(f.volume.statfs().freePages).toBe(free);
  expect((await f.call(opcodes.unlink, 1, {}, { name: "a" })).error).toBe("ENOENT");
});

test("rename: moves, replaces, and does nothing for two names of one file", async () => {
  const f = new OpsFixture();
  const a = await f.create("a");
  const b = await f.create("b");
  await f.release(b.fh);
  await f.ok(opcodes.rename, 1, { newdir: 1n }, { name: "a", name2: "b" });
  expect([await names(f), await lookup(f, "b"), f.volume.inode(b.ino)]).toEqual([["b"], a.ino, undefined]);
  await f.ok(opcodes.link, 1, { oldnodeid: BigInt(a.ino) }, { name: "c" });
  await f.ok(opcodes.rename, 1, { newdir: 1n }, { name: "b", name2: "c" });
  expect(await names(f)).toEqual(["b", "c"]);
  expect((await f.call(opcodes.rename, 1, { newdir: 1n }, { name: "x", name2: "y" })).error).toBe("ENOENT");
});

test("rename: directories move with their link counts and their parent", async () => {
  const f = new OpsFixture();
  const [d, e] = [await f.mkdir("d"), await f.mkdir("e")];
  const inner = await f.mkdir("i", d);
  await f.ok(opcodes.rename, d, { newdir: BigInt(e) }, { name: "i", name2: "j" });
  expect([(await f.stat(d)).nlink, (await f.stat(e)).nlink, await lookup(f, "..", inner)]).toEqual([2, 3, e]);
  expect((await f.call(opcodes.rename, 1, { newdir: BigInt(inner) }, { name: "e", name2: "x" })).error).toBe("EINVAL");
  await f.ok(opcodes.rename, e, { newdir: 1n }, { name: "j", name2: "d" });
  expect([await names(f), (await f.stat(1)).nlink, (await f.stat(e)).nlink]).toEqual([["d", "e"], 4, 2]);
});

test("rename: ENOTDIR, EISDIR and ENOTEMPTY as rename(2) says", async () => {
  const f = new OpsFixture();
  const d = await f.mkdir("d");
  await f.mkdir("e");
  await f.create("f");
  await f.create("g", d);
  const rename = async (name: string, name2: string) => (await f.call(opcodes.rename, 1, { newdir: 1n }, { name, name2 })).error;
  expect([await rename("d", "f"), await rename("f", "d"), await rename("e", "d")]).toEqual(["ENOTDIR", "EISDIR", "ENOTEMPTY"]);
});

test("rename2: NOREPLACE, EXCHANGE, and EINVAL for WHITEOUT and what makes no sense", async () => {
  const f = new OpsFixture();
  const d = await f.mkdir("d");
  const a = await f.create("a");
  const b = await f.create("b", d);
  const inner = await f.mkdir("i", d);
  const rename = async (flags: number, name: string, name2: string, newdir = d) =>
    (await f.call(opcodes.rename2, 1, { newdir: BigInt(newdir), flags }, { name, name2 })).error;
  expect(await rename(1, "a", "b")).toBe("EEXIST");
  expect([await rename(4, "a", "x"), await rename(3, "a", "x"), await rename(8, "a", "x")]).toEqual(["EINVAL", "EINVAL", "EINVAL"]);
  expect([await rename(2, "a", "x"), await rename(2, "x", "b")]).toEqual(["ENOENT", "ENOENT"]);
  expect(await rename(2, "d", "i")).toBe("EINVAL");
  expect(await rename(2, "a", "b")).toBeUndefined();
  expect([await lookup(f, "a"), await lookup(f, "b", d)]).toEqual([b.ino, a.ino]);
  expect(await rename(2, "a", "i")).toBeUndefined();
  expect([await lookup(f, "a"), await lookup(f, "i", d), await lookup(f, "..", inner)]).toEqual([inner, b.ino, 1]);
  expect([(await f.stat(1)).nlink, (await f.stat(d)).nlink]).toEqual([4, 2]);
  expect(await rename(1, "a", "n")).toBeUndefined();
  expect(await lookup(f, "n", d)).toBe(inner);
});

test("ENOSPC: no room for metadata, and nothing has happened", async () => {
  const f = new OpsFixture({ pages: 2048 });
  const { ino } = await f.create("keep");
  let made = 0;
  while ((await f.call(opcodes.mkdir, 1, { mode: 0o755 }, { name: `d${made}-${longest.slice(12)}` })).error === undefined) made += 1;
  expect(made).toBeGreaterThan(100);
  let links = 0; // which take less each
  while ((await f.call(opcodes.link, 1, { oldnodeid: BigInt(ino) }, { name: `l${links}-${longest.slice(12)}` })).error === undefined) links += 1;
  const before = { names: (await names(f)).length, nlink: (await f.stat(1)).nlink, mtime: (await f.stat(1)).mtime };
  for (const attempt of [
    f.call(opcodes.mkdir, 1, { mode: 0o755 }, { name: longest }),
    f.call(opcodes.create, 1, { mode: 0o644 }, { name: longest }),
    f.call(opcodes.symlink, 1, {}, { name: longest, name2: "t" }),
    f.call(opcodes.link, 1, { oldnodeid: BigInt(ino) }, { name: longest }),
  ]) expect((await attempt).error).toBe("ENOSPC");
  expect({ names: (await names(f)).length, nlink: (await f.stat(1)).nlink, mtime: (await f.stat(1)).mtime }).toEqual(before);
  expect((await f.stat(ino)).nlink).toBe(1 + links);
  await f.ok(opcodes.rmdir, 1, {}, { name: `d0-${longest.slice(12)}` });
});
