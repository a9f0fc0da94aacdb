// Pins without swapon: what they refuse, what they keep, and the assertion that holds it for every commit.

import { activate } from "#src/activation/activate";
import type { Change } from "#src/volume/changes";
import { pin, unpin } from "#src/blocks/pin";
import { pinCommands } from "#src/engine/native/pincommands";
import { setXattr } from "#src/namespace/xattrs";
import { opcodes } from "#src/wire/opcodes";
import { MemoryBlockDevice } from "../support/memory-device";
import { OpsFixture } from "../support/ops-fixture";

const page = 4096;
const KEEP_CACHE = 2;
const DIRECT_IO = 1;
const PARALLEL_DIRECT_WRITES = 64;

async function setUp(device?: MemoryBlockDevice) {
  const f = new OpsFixture({ activate, ...(device && { device }) });
  const { ino, fh } = await f.create("a");
  await f.fallocate(ino, 0, 0, 10 * page);
  await f.write(ino, 2 * page, "data");
  await f.release(fh);
  return { f, ino };
}

test("pin: after it writes, truncation, fallocate and renames are refused, growing and chmod are not", async () => {
  const { f, ino } = await setUp();
  await f.create("b");
  expect(await pin(f.fs, ino, "pinned")).toMatchObject({ mode: "pinned", already: false, pagesLeft: 0 });
  expect(await pin(f.fs, ino, "pinned")).toMatchObject({ mode: "pinned", already: true });
  expect([await f.write(ino, 0, "x"), await f.truncate(ino, page), await f.truncate(ino, 10 * page)]).toEqual(["ETXTBSY", "ETXTBSY", "ETXTBSY"]);
  for (const mode of [0, 1, 3, 16]) expect([mode, await f.fallocate(ino, mode, 0, page)]).toEqual([mode, "ETXTBSY"]);
  const rename = async (from: string, to: string, flags: number) =>
    (await f.call(opcodes.rename2, 1, { newdir: 1n, flags }, { name: from, name2: to })).error;
  expect([await rename("b", "a", 0), await rename("a", "c", 0), await rename("a", "b", 2), await rename("b", "a", 2)]).toEqual(["EPERM", "EPERM", "EPERM", "EPERM"]);
  expect((await f.setattr(ino, { valid: 1, mode: 0o100600 })).error).toBeUndefined();
  expect(await f.truncate(ino, 12 * page)).toBeUndefined();
  expect((await f.read(ino, 2 * page, 4)).toString()).toBe("data");
});

test("swapped on: what swapon(2) writes back before its end is taken, where pages are and nowhere else, and nothing after it", async () => {
  let inSwapon: number[] = [100];
  const f = new OpsFixture({ activate, inSwapon: async (pids) => inSwapon.filter((pid) => pids.includes(pid)) });
  const { ino, fh } = await f.create("a");
  await f.fallocate(ino, 0, 0, 10 * page);
  expect((await f.call(opcodes.bmap, ino, { block: 0n, blocksize: page })).error).toBeUndefined();
  expect(f.handles.isSwapon(ino)).toBe(true);
  const where = f.volume.inode(ino)!.extents.find(2)!;
  expect([await f.write(ino, 2 * page, "data"), await f.write(ino, 10 * page, "x"), await f.truncate(ino, page)]).toEqual([undefined, "ETXTBSY", "ETXTBSY"]);
  expect(f.volume.inode(ino)!.extents.find(2)).toMatchObject({ devicePage: where.devicePage + 2 - where.filePage, state: "written" });
  inSwapon = [];
  expect(await f.write(ino, 2 * page, "late")).toBe("ETXTBSY");
  expect((await f.read(ino, 2 * page, 4)).toString()).toBe("data");
  await f.release(fh);
  expect(await f.write(ino, 2 * page, "free")).toBeUndefined();
});

test("pin: a writer opens past the page cache, a reader with it", async () => {
  const { f, ino } = await setUp();
  await pin(f.fs, ino, "pinned");
  expect((await f.ok(opcodes.open, ino, { flags: 2 })).open_flags).toBe(DIRECT_IO);
  expect((await f.ok(opcodes.open, ino, { flags: 0 })).open_flags).toBe(KEEP_CACHE);
});

// Through FOPEN_DIRECT_IO the kernel sends no FSYNC after an O_DSYNC write, whatever the file has become meanwhile.
test("unpin: who opened it for writing before has synchronous writes that are durable when they are answered", async () => {
  const { f, ino } = await setUp();
  await pin(f.fs, ino, "pinned");
  const direct = await f.ok(opcodes.open, ino, { flags: 2 });
  await unpin(f.fs, ino);
  const flushesOf = async (sync: boolean): Promise<number> => {
    const before = f.device.flushes;
    const mapped = await f.fs.mapping.ask({ ino, offset: 0, length: page, write: true, killSuidgid: false, sync });
    if (mapped.error) throw mapped.error;
    await f.fs.mapping.commitWrite(mapped.inFlight, { error: 0, timeNs: 1n });
    return f.device.flushes - before;
  };
  expect(await flushesOf(false)).toBe(0);
  expect(await flushesOf(true)).toBeGreaterThan(0);
  await f.release(direct.fh);
  expect(await flushesOf(true)).toBe(0); // through the page cache: the kernel's FSYNC follows
});

test("activate: what says where its pages lie is durable before the first write", async () => {
  const { f, ino } = await setUp(new MemoryBlockDevice(8192 * page, { record: true }));
  await pin(f.fs, ino, "swap_rw");
  expect(f.device.steps.at(-1)!.kind).toBe("flush");
});

test("pin: unlinked, the file stays until unpin, also in the next control plane, but not in the next session", async () => {
  const { f, ino } = await setUp();
  await pin(f.fs, ino, "pinned");
  const { freePages } = f.volume.statfs();
  await f.ok(opcodes.unlink, 1, {}, { name: "a" });
  const next = new OpsFixture({ activate }, f);
  expect([next.volume.inode(ino)?.pages, next.volume.statfs().freePages]).toEqual([10, freePages]);
  expect(unpin(next.fs, ino)).toBe("pinned");
  expect([next.volume.inode(ino), next.volume.statfs().freePages, unpin(next.fs, ino)]).toEqual([undefined, freePages + 10, undefined]);
});

test("pin: the gate's refusal pins nothing", async () => {
  const { f, ino } = await setUp();
  await f.fallocate(ino, 3, 0, page);
  expect(await pin(f.fs, ino, "pinned")).toMatchObject({ mode: undefined, verdict: { accepted: false, reasons: [{ kind: "hole" }] } });
  expect([!f.fs.leases.mayMove(ino), await f.write(ino, 0, "x")]).toEqual([false, undefined]);
});

test("unpin: a file that is swapped on stays pinned for that", async () => {
  const { f, ino } = await setUp();
  const opened = await f.ok(opcodes.open, ino, { flags: 2 });
  f.handles.setSwapon(opened.fh);
  expect(await pin(f.fs, ino, "pinned")).toMatchObject({ mode: "pinned" });
  unpin(f.fs, ino);
  expect([!f.fs.leases.mayMove(ino), await f.truncate(ino, 0), f.port.log.includes(`revoke ${ino}`)]).toEqual([true, "ETXTBSY", false]);
  await f.release(opened.fh);
  expect(await f.truncate(ino, 0)).toBeUndefined();
});

test("activate: refused while it is swapped on, whether it is pinned as well or not", async () => {
  const { f, ino } = await setUp();
  f.handles.setSwapon((await f.ok(opcodes.open, ino, { flags: 2 })).fh);
  await expect(pin(f.fs, ino, "swap_rw")).rejects.toMatchObject({ code: "EBUSY" });
  await pin(f.fs, ino, "pinned");
  await expect(pin(f.fs, ino, "swap_rw")).rejects.toMatchObject({ code: "EBUSY" });
  expect(f.handles.pinMode(ino)).toBe("pinned");
});

test("activate: zeros are written where nothing was, in parts, and the blocks stay", async () => {
  const { f, ino } = await setUp();
  const place = () => [...f.volume.inode(ino)!.extents].map(({ devicePage, count }) => [devicePage, count]).flat();
  const [first] = place();
  for (const extent of f.volume.inode(ino)!.extents) {
    if (extent.state === "unwritten") f.device.write(extent.devicePage * page, Buffer.alloc(extent.count * page, "secret"));
  }
  expect(await pin(f.fs, ino, "swap_rw", { pagesMax: 4 })).toMatchObject({ mode: "pinned", pagesLeft: 5 });
  expect(await pin(f.fs, ino, "swap_rw", { pagesMax: 4 })).toMatchObject({ mode: "pinned", pagesLeft: 1 });
  expect(await pin(f.fs, ino, "swap_rw", { pagesMax: 4 })).toMatchObject({ mode: "swap_rw", pagesLeft: 0 });
  expect([...f.volume.inode(ino)!.extents].map(({ state }) => state)).toEqual(["written"]);
  expect(place()).toEqual([first, 10]);
  const bytes = f.device.read(first! * page, 10 * page);
  expect(bytes.subarray(2 * page, 2 * page + 4).toString()).toBe("data");
  expect(bytes.filter((byte) => byte !== 0).length).toBe(4);
});

test("activate: opened for direct I/O; what asks is answered as by a block device", async () => {
  const { f, ino } = await setUp();
  await f.setattr(ino, { valid: 1, mode: 0o104755 });
  await pin(f.fs, ino, "swap_rw");
  expect((await f.stat(ino)).mode & 0o7777).toBe(0o755);
  const opened = await f.ok(opcodes.open, ino, { flags: 2 });
  expect(opened.open_flags).toBe(DIRECT_IO | PARALLEL_DIRECT_WRITES);
  expect([await f.write(ino, 1, "x"), await f.write(ino, 10 * page, Buffer.alloc(page))]).toEqual(["EINVAL", "ENOSPC"]);
  await expect(async () => unpin(f.fs, ino)).rejects.toMatchObject({ code: "EBUSY" });
  await f.release(opened.fh);
  expect(unpin(f.fs, ino)).toBe("swap_rw");
  expect(await f.write(ino, 1, "x")).toBeUndefined();
});

test("activate: an activated file that is open for writing is no file to swap on, whatever pid asks", async () => {
  const { f, ino } = await setUp();
  await pin(f.fs, ino, "swap_rw");
  await f.ok(opcodes.open, ino, { flags: 2 });
  const second = await f.ok(opcodes.open, ino, { flags: 2 }); // of the same pid
  const bmap = async () => (await f.ok(opcodes.bmap, ino, { block: 0n, blocksize: page })).block;
  expect(await bmap()).toBe(0n);
  expect(f.fs.refusals.textOf(ino)).toMatch(/open for writing/);
  await f.release(second.fh);
  expect([await bmap() !== 0n, f.fs.handles.isSwapon(ino)]).toEqual([true, true]);
});

test("activate: without room for its map the file is left as it was", async () => {
  const { f, ino } = await setUp();
  f.port.room = false;
  await expect(pin(f.fs, ino, "swap_rw")).rejects.toMatchObject({ code: "ENOMEM" });
  expect(!f.fs.leases.mayMove(ino)).toBe(false);
  await pin(f.fs, ino, "pinned");
  await expect(pin(f.fs, ino, "swap_rw")).rejects.toMatchObject({ code: "ENOMEM" });
  expect(f.handles.pinMode(ino)).toBe("pinned");
});

test("the xattr activates and deactivates, for root alone; the mode can be read and not set", async () => {
  const { f, ino } = await setUp();
  const set = async (name: string, value: string) =>
    (await f.call(opcodes.setxattr, ino, { size: value.length }, { name, bytes: Buffer.from(value) })).error;
  f.uid = 1000;
  expect(await set("user.swapfs.activate", "1")).toBe("EPERM");
  f.uid = 0;
  expect([await set("user.swapfs.activate", "yes"), await set("user.swapfs.mode", "swap_rw")]).toEqual(["EINVAL", "EPERM"]);
  expect(await set("user.swapfs.activate", "1")).toBeUndefined();
  expect(f.fs.handles.pinMode(ino)).toBe("swap_rw");
  const names = (await f.ok(opcodes.listxattr, ino, { size: 1000 })).bytes.toString().split("\0");
  expect(names.sort()).toEqual(["", "user.swapfs.activate"]);
  expect((await f.ok(opcodes.getxattr, ino, { size: 1000 }, { name: "user.swapfs.mode" })).bytes.toString()).toMatch(/^swap_rw/);
  expect((await f.call(opcodes.removexattr, ino, {}, { name: "user.swapfs.activate" })).error).toBeUndefined();
  expect(!f.fs.leases.mayMove(ino)).toBe(false);
  expect((await f.call(opcodes.getxattr, ino, { size: 1000 }, { name: "user.swapfs.mode" })).error).toBe("ENODATA");
});

test("a refused xattr is EINVAL, sets nothing, and the reason can be read", async () => {
  const { f, ino } = await setUp();
  await f.fallocate(ino, 3, 0, page);
  const answer = await f.call(opcodes.setxattr, ino, { size: 1 }, { name: "user.swapfs.activate", bytes: Buffer.from("1") });
  expect([answer.error, f.volume.inode(ino)!.xattrs.size, f.fs.refusals.textOf(ino)]).toEqual(["EINVAL", 0, expect.stringMatching(/not allocated/)]);
});

test("commit: no change may move, drop or share a block of a pinned file, or free the file", async () => {
  const { f, ino } = await setUp();
  await pin(f.fs, ino, "pinned");
  const [extent] = [...f.volume.inode(ino)!.extents];
  const moved = f.volume.allocate(1)[0]!.page;
  const replace = (extents: Extract<Change, { kind: "set-extents" }>["extents"]): Change => ({ kind: "set-extents", ino, filePage: 0, count: 1, extents });
  const bad: Change[] = [
    replace([]), replace([{ filePage: 0, devicePage: moved, count: 1, state: "written" }]),
    replace([{ ...extent!, count: 1, state: "shared" }]), { kind: "drop-inode", ino },
  ];
  for (const change of bad) expect(() => f.fs.commit([change])).toThrow(/is leased/);
  f.fs.commit([replace([{ ...extent!, count: 1, state: "written" }])]);
});

test("two activations at once: what was acknowledged is not zeroed by the slower one", async () => {
  const { f, ino } = await setUp();
  const first = pin(f.fs, ino, "swap_rw");
  const second = pin(f.fs, ino, "swap_rw");
  expect([(await Promise.race([first, second])).mode]).toEqual(["swap_rw"]);
  const opened = await f.ok(opcodes.open, ino, { flags: 2 });
  expect(await f.write(ino, 0, Buffer.alloc(10 * page, "w"))).toBeUndefined();
  expect((await Promise.all([first, second])).map(({ mode }) => mode)).toEqual(["swap_rw", "swap_rw"]);
  expect((await f.read(ino, 0, 10 * page)).equals(Buffer.alloc(10 * page, "w"))).toBe(true);
  await f.release(opened.fh);
});

test("unpin, unlink and truncate in the middle of an activation: no zeros in blocks of another file", async () => {
  for (const meanwhile of ["unpin", "unlink", "truncate"] as const) {
    const { f, ino } = await setUp();
    await f.release((await f.ok(opcodes.open, ino, { flags: 0 })).fh);
    const activation = pin(f.fs, ino, "swap_rw").catch((error: unknown) => error);
    for (let n = 0; n < 3; n += 1) await Promise.resolve();
    const others = meanwhile === "unpin" ? unpin(f.fs, ino)
      : meanwhile === "unlink" ? f.ok(opcodes.unlink, 1, {}, { name: "a" }) : f.truncate(ino, 0);
    const other = await f.create("b");
    await f.write(other.ino, 0, Buffer.alloc(20 * page, "o"));
    await Promise.all([activation, others]);
    await new Promise(setImmediate);
    expect((await f.read(other.ino, 0, 20 * page)).equals(Buffer.alloc(20 * page, "o"))).toBe(true);
    expect(f.volume.check().findings).toEqual([]);
  }
});

test("an activated file that has lost its name and its last handle is freed", async () => {
  const { f, ino } = await setUp();
  const { freePages } = f.volume.statfs();
  await pin(f.fs, ino, "swap_rw");
  const opened = await f.ok(opcodes.open, ino, { flags: 2 });
  await f.ok(opcodes.unlink, 1, {}, { name: "a" });
  expect(f.volume.inode(ino)!.pages).toBe(10);
  await f.release(opened.fh);
  await new Promise(setImmediate);
  expect([f.volume.inode(ino), f.volume.statfs().freePages]).toEqual([undefined, freePages + 10]);
});

test("the xattr's stored value restores the mark and pins nothing: a copy may be renamed", async () => {
  const { f, ino } = await setUp();
  const set = (value: string) => f.call(opcodes.setxattr, ino, { size: value.length }, { name: "user.swapfs.activate", bytes: Buffer.from(value) });
  expect((await set("1")).error).toBeUndefined();
  const stored = (await f.ok(opcodes.getxattr, ino, { size: 100 }, { name: "user.swapfs.activate" })).bytes.toString();
  await unpin(f.fs, ino);
  expect([(await set(stored)).error, f.handles.pinMode(ino), stored]).toEqual([undefined, undefined, "marked"]);
});

test("an activation that fails in a later step leaves no pin that nobody asked for", async () => {
  const f = new OpsFixture({ activate, pages: 65536 });
  const { ino, fh } = await f.create("a");
  await f.fallocate(ino, 0, 0, 20_000 * page);
  await f.release(fh);
  f.port.room = false;
  await expect(pin(f.fs, ino, "swap_rw")).rejects.toMatchObject({ code: "ENOMEM" });
  expect([f.handles.pinMode(ino), await f.truncate(ino, page)]).toEqual([undefined, undefined]);
});

/** An activation of several steps, and the commands of the control socket that ask about its file. */
async function setUpSteps() {
  const f = new OpsFixture({ activate, pages: 65536 });
  const { ino, fh } = await f.create("a");
  await f.fallocate(ino, 0, 0, 20_000 * page);
  await f.release(fh);
  const commands = pinCommands(f.fs, () => ino);
  const command = (name: string) => commands[name]!({}, undefined as never) as Promise<{ mode: string | null; pagesLeft: number; already: boolean }>;
  return { f, ino, command };
}

test("an activation that is cancelled ends its own lease: who had pinned the file, before it or meanwhile, keeps the pin", async () => {
  for (const moment of ["before", "meanwhile", "never"]) {
    const { f, ino, command } = await setUpSteps();
    if (moment === "before") await command("pin");
    expect((await command("activate")).pagesLeft).toBeGreaterThan(0);
    expect(await f.truncate(ino, page)).toBe("ETXTBSY");
    if (moment === "meanwhile") expect((await command("pin")).already).toBe(false);
    await command("cancel");
    expect([moment, f.handles.pinMode(ino), await f.truncate(ino, page)]).toEqual(moment === "never" ? [moment, undefined, undefined] : [moment, "pinned", "ETXTBSY"]);
  }
});

test("cancel leaves alone what has been activated meanwhile", async () => {
  const { f, ino, command } = await setUpSteps();
  while ((await command("activate")).pagesLeft > 0);
  await command("cancel");
  expect(f.handles.pinMode(ino)).toBe("swap_rw");
});

test("a pin that somebody takes between two steps of an activation outlives its failure", async () => {
  const { f, ino } = await setUpSteps();
  const activation = pin(f.fs, ino, "swap_rw").catch((error: Error) => error);
  while (f.handles.pinMode(ino) === undefined) await new Promise(setImmediate);
  expect(await pin(f.fs, ino, "pinned")).toMatchObject({ mode: "pinned", already: false });
  f.port.room = false;
  expect([await activation, f.handles.pinMode(ino), await f.truncate(ino, page)]).toEqual([expect.objectContaining({ code: "ENOMEM" }), "pinned", "ETXTBSY"]);
});

test("deactivate leaves the pin of before, also in the next control plane and without a name", async () => {
  const { f, ino } = await setUp();
  await pin(f.fs, ino, "pinned");
  await pin(f.fs, ino, "swap_rw");
  const next = new OpsFixture({ activate }, f);
  const { deactivate } = pinCommands(next.fs, () => ino);
  expect([await deactivate!({}, undefined as never), next.handles.pinMode(ino)]).toEqual([{ mode: "swap_rw" }, "pinned"]);
  await pin(next.fs, ino, "swap_rw");
  await next.ok(opcodes.unlink, 1, {}, { name: "a" }); // nobody can reach what is activated: that ends
  await new Promise(setImmediate);
  expect([next.handles.pinMode(ino), next.volume.inode(ino)?.pages]).toEqual(["pinned", 10]);
  await unpin(next.fs, ino);
  expect([next.handles.pinMode(ino), next.volume.inode(ino)]).toEqual([undefined, undefined]);
});

test("a mark of an older volume is shown as one that a copy may have", async () => {
  const { f, ino } = await setUp();
  setXattr(f.fs, { uid: 0, gid: 0 }, ino, "user.swapfs.activate", Buffer.from("1"), 0);
  expect((await f.ok(opcodes.getxattr, ino, { size: 100 }, { name: "user.swapfs.activate" })).bytes.toString()).toBe("marked");
});

test("an activation and its mark are one: who comes right behind it finds both, or neither", async () => {
  for (const [next, mode, marked] of [["unpin", undefined, true], ["deactivate", undefined, false], ["pin", "pinned", true]] as const) {
    const { f, ino, command } = await setUpSteps();
    while ((await command("activate")).pagesLeft > 5000);
    const both = [command("activate"), command(next)];
    await Promise.all(both);
    expect([next, f.handles.pinMode(ino), f.volume.inode(ino)!.xattrs.has("user.swapfs.activate")]).toEqual([next, mode, marked]);
  }
});
