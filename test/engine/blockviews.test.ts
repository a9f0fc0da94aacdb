// Block views on a volume in memory, with loop devices that are none: who asks for one, what goes when, and what is found gone at which door.

import { activate } from "#src/activation/activate";
import { pins } from "#src/activation/handles";
import { leasedInodes } from "#src/blocks/block-view";
import { BlockViews, type Attached } from "#src/engine/native/blockviews";
import { endLeases, leaseOf } from "#src/volume/lease";
import { Volume } from "#src/volume/volume";
import { opcodes } from "#src/wire/opcodes";
import { FakeLoops } from "../support/fake-loops";
import { OpsFixture } from "../support/ops-fixture";

const page = 4096;

async function setUp(names = ["a"]) {
  const loops = new FakeLoops();
  const f: OpsFixture = new OpsFixture({ activate, endGoneViews: () => views.look() });
  const views: BlockViews = new BlockViews(f.fs, loops);
  const inos: number[] = [];
  for (const name of names) {
    const { ino, fh } = await f.create(name);
    await f.fallocate(ino, 0, 0, 10 * page);
    await f.release(fh);
    inos.push(ino);
  }
  /** As the command does it: resolves when it holds the device; `over` says that it does no more. */
  const ask = (ino: number, encrypted = false) => {
    const over = new AbortController();
    let told: (attached: Attached) => void;
    const attached = new Promise<Attached>((resolve) => (told = resolve));
    const answer = views.make(ino, encrypted, { tell: (event) => told(event as Attached), signal: over.signal });
    return { attached, answer, over: () => over.abort() };
  };
  const swapOn = async (ino: number): Promise<string> => {
    const asked = ask(ino);
    const { device } = await asked.attached;
    loops.hold(device, 1);
    asked.over();
    await asked.answer;
    return device;
  };
  return { f, loops, views, ask, swapOn, ino: inos[0]!, inos };
}

test("make: a device as long as somebody holds it, and a lease as long as the device is there", async () => {
  const { f, loops, views, ask, ino } = await setUp();
  const asked = ask(ino);
  const { device } = await asked.attached;
  expect(views.shown()).toEqual([{ ino, way: "loop", device }]);
  expect(await ask(ino).answer).toEqual({ attached: { device, name: "view-" + ino } }); // there already: it is swapped on as it is
  loops.hold(device, 1);
  asked.over();
  expect(await asked.answer).toMatchObject({ verdict: { accepted: true }, attached: { device } });
  expect([await views.look(), leasedInodes(f.fs)]).toEqual([false, [ino]]);
  loops.hold(device, -1);
  expect([await views.look(), leasedInodes(f.fs), leaseOf(Volume.open(f.device, { readOnly: true }).inode(ino))]).toEqual([true, [], undefined]);
});

test("lookAtTimes: once a second, whoever asks how often; look whenever it is asked for", async () => {
  const { loops, views, swapOn, ino } = await setUp();
  await swapOn(ino);
  const find = jest.spyOn(loops, "find");
  let now = performance.now() + 10_000;
  const clock = jest.spyOn(performance, "now").mockImplementation(() => now);
  const asked = async (look: () => Promise<unknown>): Promise<number> => {
    find.mockClear();
    for (let n = 0; n < 5; n += 1) await look();
    return find.mock.calls.length;
  };
  try {
    expect([await asked(() => views.lookAtTimes()), await asked(() => views.look())]).toEqual([1, 5]);
    now += 999;
    expect(await asked(() => views.lookAtTimes())).toBe(0);
    now += 1;
    expect(await asked(() => views.lookAtTimes())).toBe(1);
  } finally {
    clock.mockRestore();
  }
});

test("make: a device that cannot be attached leaves no lease", async () => {
  const { f, loops, views, ask, ino } = await setUp();
  loops.failure = new Error("EMFILE");
  await expect(ask(ino).answer).rejects.toThrow("EMFILE");
  await views.look();
  expect([leasedInodes(f.fs), await f.truncate(ino, 0)]).toEqual([[], undefined]);
});

test("make: several extents where the kernel has device mapper, in the order of the file; else none, and nothing is leased", async () => {
  const { f, loops, ask, swapOn, ino } = await setUp();
  await f.fallocate((await f.create("between")).ino, 0, 0, page);
  await f.fallocate(ino, 0, 10 * page, page);
  expect([(await ask(ino).answer).attached, leasedInodes(f.fs), loops.attached]).toEqual([undefined, [], []]);
  await expect(ask(ino, true).answer).rejects.toMatchObject({ code: "EOPNOTSUPP", message: expect.stringMatching(/no device mapper/) });
  expect(leasedInodes(f.fs)).toEqual([]);
  loops.runs = Infinity;
  await swapOn(ino);
  const [first, second] = f.volume.inode(ino)!.extents;
  expect(loops.attached).toMatchObject([{ blocks: [{ page: first!.devicePage, count: 10 }, { page: second!.devicePage, count: 1 }],
    part: { offset: first!.devicePage * page, length: (second!.devicePage + 1 - first!.devicePage) * page, span: true } }]);

  // Swapped off, while somebody else has the loop device open, which has blocks of "between" in it.
  loops.bare = true;
  await expect(ask(ino).answer).rejects.toMatchObject({ code: "EBUSY", message: expect.stringMatching(/its loop device is still open/) });
  const asked = ask(ino);
  setTimeout(() => (loops.attached = []), 50);
  setTimeout(() => (loops.bare = false), 50);
  await asked.attached;
  asked.over();
  await asked.answer;
});

test("look: what a maker that was killed has left is let go; not what is being made", async () => {
  const { loops, views, ask, swapOn, inos: [a, b] } = await setUp(["a", "b"]);
  await swapOn(a!);
  const asked = ask(b!);
  await asked.attached;
  loops.letGoOf = [];
  await views.look();
  expect(loops.letGoOf).toEqual([a]);
  asked.over();
  await asked.answer;
});

test("look: what came true while it waited for the file counts: a view that is made anew, by one of two, keeps its lease", async () => {
  const { f, loops, views, ask, swapOn, ino } = await setUp();
  const device = await swapOn(ino);
  let goOn = (): void => undefined;
  const held = f.fs.exclusive(ino, () => new Promise<void>((resolve) => (goOn = resolve)));
  loops.hold(device, -1);
  const look = views.look(); // has seen that it is gone, and waits
  loops.attached.push({ device: "/dev/loop99", part: { ino, offset: leaseOf(f.volume.inode(ino))!.page * page, length: 10 * page, span: false }, blocks: [], holders: 1 });
  goOn();
  await held;
  expect([await look, leasedInodes(f.fs)]).toEqual([false, [ino]]);

  loops.hold("/dev/loop99", -1);
  await views.look();
  const first = ask(ino);
  await first.attached;
  loops.attached.splice(0); // not the kernel's doing: only that there is a maker keeps the lease now
  const second = ask(ino);
  expect(await second.answer).toMatchObject({ verdict: { reasons: [{ kind: "block-view" }] } });
  expect([await views.look(), leasedInodes(f.fs)]).toEqual([false, [ino]]);
});

test("a view that has just gone is in nobody's way: names, truncation, fallocate, clones, opening for writing, swapon", async () => {
  const { f, loops, swapOn, inos } = await setUp(["a", "b", "c", "d", "e", "f", "g"]);
  const [a, b, c, d, e, g, h] = inos as [number, number, number, number, number, number, number];
  const gone = async (ino: number): Promise<void> => loops.hold(await swapOn(ino), -1);
  await gone(a);
  expect((await f.call(opcodes.unlink, 1, {}, { name: "a" })).error).toBeUndefined();
  await gone(b);
  expect((await f.call(opcodes.rename2, 1, { newdir: 1n, flags: 0 }, { name: "b", name2: "z" })).error).toBeUndefined();
  await gone(c);
  expect(await f.truncate(c, page)).toBeUndefined();
  await gone(d);
  expect(await f.fallocate(d, 3, 0, page)).toBeUndefined();
  const device = await swapOn(e);
  const writer = await f.ok(opcodes.open, e, { flags: 1 });
  expect(await f.write(e, 0, "x")).toBe("ETXTBSY");
  loops.hold(device, -1);
  expect(await f.write(e, 0, "x")).toBeUndefined();
  await f.release(writer.fh);
  await gone(g);
  const [from, to] = [await f.ok(opcodes.open, g, { flags: 0 }), await f.create("copy")];
  const clone = { fh_in: from.fh, off_in: 0n, nodeid_out: BigInt(to.ino), fh_out: to.fh, off_out: 0n, len: BigInt(4 * page) };
  expect((await f.call(opcodes.copyFileRange, g, clone)).error).toBeUndefined();
  await gone(h);
  expect((await f.ok(opcodes.bmap, h, { block: 0n, blocksize: 4096 })).block).toBeGreaterThan(0n);
  expect(leasedInodes(f.fs)).toEqual([]);
});

test("a view that is there stays in the way, and what is refused is carried out once", async () => {
  const { f, swapOn, inos: [a, b] } = await setUp(["a", "b"]);
  await swapOn(a!);
  expect([(await f.call(opcodes.unlink, 1, {}, { name: "a" })).error, await f.truncate(a!, 0)]).toEqual(["EPERM", "ETXTBSY"]);
  await swapOn(b!);
  expect((await f.call(opcodes.rename2, 1, { newdir: 1n, flags: 2 }, { name: "a", name2: "b" })).error).toBe("EPERM");
  expect(leasedInodes(f.fs)).toEqual([a, b]);
});

test("a refusal that has nothing to do with a block view costs no look at loop devices; one by a view does, which says what to do", async () => {
  const { f, loops, swapOn, inos: [a, b] } = await setUp(["a", "b"]);
  await swapOn(a!);
  const find = jest.spyOn(loops, "find");
  expect((await f.call(opcodes.setxattr, b!, { size: 0, flags: 0 }, { name: "user.swapfs.mode", bytes: Buffer.alloc(0) })).error).toBe("EPERM");
  f.handles.setPins(b!, pins.pinned);
  expect([await f.truncate(b!, 0), (await f.call(opcodes.rename2, 1, { newdir: 1n, flags: 0 }, { name: "b", name2: "z" })).error]).toEqual(["ETXTBSY", "EPERM"]);
  expect(find).not.toHaveBeenCalled();
  const rename = f.call(opcodes.rename2, 1, { newdir: 1n, flags: 0 }, { name: "a", name2: "z" });
  expect([(await rename).error, find.mock.calls.length]).toEqual(["EPERM", 1]);
});

test("endGone: a mount that ends just after swapoff leaves no lease behind; one with a view leaves that", async () => {
  const { f, loops, views, swapOn, inos: [a, b] } = await setUp(["a", "b"]);
  loops.hold(await swapOn(a!), -1);
  await swapOn(b!);
  views.endGone();
  f.fs.destroy();
  const next = Volume.open(f.device, { boot: 0 });
  expect([leaseOf(next.inode(a!)), leaseOf(next.inode(b!))]).toEqual([undefined, expect.anything()]);
  endLeases(next); // who is sure that there are no views: an engine or command that knows none
  next.commit([{ kind: "drop-entry", parent: 1, name: "b" }, { kind: "drop-inode", ino: b! }]);
});
