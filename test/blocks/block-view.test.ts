// The lease of a block view in a FileSystem: what takes one, what it refuses, that it outlives handles, control plane and mount, and
// that a file is given out by nothing while it lasts.

import { activate } from "#src/activation/activate";
import { adoptLeases, endLease, leaseBlocks, leasedInodes } from "#src/blocks/block-view";
import { pin, unpin } from "#src/blocks/pin";
import { prepare } from "#src/blocks/prepare/prepare";
import { getXattr, listXattrs, setXattr } from "#src/namespace/xattrs";
import { leaseOf, leaseXattr } from "#src/volume/lease";
import { Volume } from "#src/volume/volume";
import { opcodes } from "#src/wire/opcodes";
import { FakeHandles, OpsFixture } from "../support/ops-fixture";

const page = 4096;
const one = (): number => 1;

async function setUp() {
  const f = new OpsFixture({ activate });
  const { ino, fh } = await f.create("a");
  await f.fallocate(ino, 0, 0, 10 * page);
  await f.write(ino, 2 * page, "data");
  await f.release(fh);
  const { devicePage } = f.volume.inode(ino)!.extents.find(0)!;
  return { f, ino, run: { page: devicePage, count: 10 } };
}

test("leaseBlocks: durable when it resolves, and pinned for it", async () => {
  const { f, ino, run } = await setUp();
  expect(await leaseBlocks(f.fs, ino, one)).toMatchObject({ verdict: { accepted: true, extents: 1 }, runs: [run] });
  expect([leasedInodes(f.fs), leaseOf(f.volume.inode(ino)), f.handles.pinMode(ino)]).toEqual([[ino], run, "pinned"]);
  expect(leaseOf(Volume.open(f.device, { readOnly: true }).inode(ino))).toEqual(run);
  expect(f.port.log).toContain(`install ${ino}`);
});

test("a leased file is answered for as one that is swapped on: by writes, truncation, fallocate, names and clones", async () => {
  const { f, ino } = await setUp();
  await f.create("b");
  await leaseBlocks(f.fs, ino, one);
  const rename = async (from: string, to: string, flags = 0) =>
    (await f.call(opcodes.rename2, 1, { newdir: 1n, flags }, { name: from, name2: to })).error;
  expect([await rename("b", "a"), await rename("a", "c"), await rename("a", "b", 2)]).toEqual(["EPERM", "EPERM", "EPERM"]);
  expect((await f.call(opcodes.unlink, 1, {}, { name: "a" })).error).toBe("EPERM");
  await f.ok(opcodes.link, 1, { oldnodeid: BigInt(ino) }, { name: "second" });
  expect((await f.call(opcodes.unlink, 1, {}, { name: "second" })).error).toBe("EPERM");
  expect([await f.write(ino, 0, "x"), await f.truncate(ino, page), await f.write(ino, 10 * page, "x")]).toEqual(["ETXTBSY", "ETXTBSY", "ETXTBSY"]);
  for (const mode of [0, 1, 3, 16]) expect([mode, await f.fallocate(ino, mode, 0, page)]).toEqual([mode, "ETXTBSY"]);
  const [from, to] = [await f.ok(opcodes.open, ino, { flags: 0 }), await f.create("copy")];
  const clone = { fh_in: from.fh, off_in: 0n, nodeid_out: BigInt(to.ino), fh_out: to.fh, off_out: 0n, len: BigInt(4 * page) };
  expect((await f.call(opcodes.copyFileRange, ino, clone)).error).toBe("ETXTBSY");
  expect(await f.truncate(ino, 12 * page)).toBeUndefined(); // longer goes, as for swapon: no block is touched
  await expect(prepare(f.fs, ino, { contiguous: true, signal: new AbortController().signal, progress: () => undefined })).rejects.toMatchObject({ code: "ETXTBSY" });
  expect((await f.read(ino, 2 * page, 4)).toString()).toBe("data");
});

test("refused, with nothing left: what the gate refuses, several extents, activated, swapped on; and neither with a lease", async () => {
  const { f, ino } = await setUp();
  const left = () => [leasedInodes(f.fs), f.handles.pinMode(ino), leaseOf(f.volume.inode(ino))];
  const writer = await f.ok(opcodes.open, ino, { flags: 1 });
  expect(await leaseBlocks(f.fs, ino, one)).toMatchObject({ verdict: { reasons: [{ kind: "open-for-writing" }] }, runs: undefined });
  f.handles.setSwapon(writer.fh);
  await expect(leaseBlocks(f.fs, ino, one)).rejects.toMatchObject({ code: "EBUSY" });
  await f.release(writer.fh);
  expect(left()).toEqual([[], undefined, undefined]);
  await pin(f.fs, ino, "swap_rw");
  await expect(leaseBlocks(f.fs, ino, one)).rejects.toMatchObject({ code: "EBUSY" });
  await unpin(f.fs, ino);
  await f.fallocate((await f.create("between")).ino, 0, 0, page);
  await f.fallocate(ino, 0, 10 * page, page);
  expect(await leaseBlocks(f.fs, ino, one)).toMatchObject({ verdict: { accepted: true, extents: 2 }, runs: undefined });
  expect(left()).toEqual([[], undefined, undefined]);
  await f.truncate(ino, 10 * page);
  expect((await leaseBlocks(f.fs, ino, one)).runs).toBeDefined();
  await expect(pin(f.fs, ino, "swap_rw")).rejects.toMatchObject({ code: "EBUSY" });
  expect(await leaseBlocks(f.fs, ino, one)).toMatchObject({ verdict: { reasons: [{ kind: "block-view" }] }, runs: undefined });
  expect(await f.fs.activate(ino, 4711)).toMatchObject({ accepted: false, reasons: [{ kind: "block-view" }] });
  expect(leasedInodes(f.fs)).toEqual([ino]); // the refusals have ended nothing
});

test("a journal that fails leases nothing", async () => {
  const { f, ino } = await setUp();
  await f.volume.flush();
  f.device.writesLeft = 0;
  await expect(leaseBlocks(f.fs, ino, one)).rejects.toMatchObject({ code: "EIO" });
  expect([leasedInodes(f.fs), leaseOf(f.volume.inode(ino))]).toEqual([[], undefined]);
});

test("unpin ends a person's pin and not the lease; endLease ends the lease and not the pin", async () => {
  const { f, ino } = await setUp();
  await pin(f.fs, ino, "pinned");
  expect((await leaseBlocks(f.fs, ino, one)).runs).toBeDefined();
  await unpin(f.fs, ino);
  expect(await f.write(ino, 0, "x")).toBe("ETXTBSY");
  await endLease(f.fs, ino, () => true);
  expect(await f.write(ino, 0, "x")).toBeUndefined();
  await leaseBlocks(f.fs, ino, one);
  expect(await pin(f.fs, ino, "pinned")).toMatchObject({ mode: undefined, verdict: { reasons: [{ kind: "block-view" }] } });
  await endLease(f.fs, ino, () => true);
  await pin(f.fs, ino, "pinned");
  expect((await leaseBlocks(f.fs, ino, one)).runs).toBeDefined();
  await endLease(f.fs, ino, () => true);
  expect(await f.write(ino, 0, "x")).toBe("ETXTBSY");
  await unpin(f.fs, ino);
  expect(await endLease(f.fs, ino, () => true)).toBe(false); // there is none
  expect(await f.write(ino, 0, "x")).toBeUndefined();
});

test("the next control plane, and the next mount, hold the file before their first request; without a lease nothing is held", async () => {
  const { f, ino, run } = await setUp();
  await leaseBlocks(f.fs, ino, one);
  for (const handles of [f.handles, new FakeHandles()]) {
    const next = new OpsFixture({ activate }, Object.assign(Object.create(f) as OpsFixture, { handles }));
    adoptLeases(next.fs);
    expect([leasedInodes(next.fs), await next.write(ino, 0, "x")]).toEqual([[ino], "ETXTBSY"]);
    const all = next.volume.allocate(next.volume.statfs().freePages);
    expect(all.some((given) => given.page < run.page + run.count && run.page < given.page + given.count)).toBe(false);
  }
  const last = new OpsFixture({ activate }, f);
  last.volume.commit([{ kind: "drop-xattr", ino, name: leaseXattr }]); // died before it let the pin go
  adoptLeases(last.fs);
  expect([leasedInodes(last.fs), await last.write(ino, 0, "x")]).toEqual([[], undefined]);
});

test("no program sees or sets the lease", async () => {
  const { f, ino } = await setUp();
  await leaseBlocks(f.fs, ino, one);
  expect(listXattrs(f.fs, ino).toString()).toBe("");
  expect(() => getXattr(f.fs, ino, leaseXattr)).toThrow("EOPNOTSUPP");
  expect(() => setXattr(f.fs, { uid: 0, gid: 0 }, ino, leaseXattr, Buffer.alloc(16), 0)).toThrow("EOPNOTSUPP");
});
