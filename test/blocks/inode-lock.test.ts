// InodeLocks: what a section waits for, also when requests are dropped meanwhile.

import { activate } from "#src/activation/activate";
import { InodeLocks } from "#src/blocks/inode-lock";
import { opcodes } from "#src/wire/opcodes";
import { MemoryBlockDevice } from "../support/memory-device";
import { OpsFixture } from "../support/ops-fixture";

const page = 4096;

test("a section waits for zeros that a request began while it waited, though the request was dropped", async () => {
  let over: () => void = () => undefined;
  const used = new Promise<void>((resolve) => (over = resolve));
  const locks = new InodeLocks({ quiesce: () => used, left: () => undefined });
  const steps: string[] = [];
  const section = locks.exclusive(5, () => void steps.push("section"));
  let land: () => void = () => undefined;
  const zeros = locks.during(5, { firstPage: 1, endPage: 2 }, () => new Promise((resolve) => (land = resolve)));
  locks.dropRequests();
  over();
  await new Promise(setImmediate);
  expect(steps).toEqual([]);
  steps.push("zeros");
  land();
  await Promise.all([zeros, section]);
  expect(steps).toEqual(["zeros", "section"]);
});

test("sections go one after the other, requests that came meanwhile between them; left is told when none follows", async () => {
  const steps: string[] = [];
  const locks = new InodeLocks({ quiesce: () => undefined, left: (ino) => void steps.push(`left ${ino}`) });
  const first = locks.exclusive(5, async () => void steps.push("first"));
  locks.waitForExclusive(5, { pass: () => void steps.push("request"), drop: () => void steps.push("dropped") });
  const second = locks.exclusive(5, async () => void steps.push("second"));
  expect([locks.isExclusive(5), locks.isFree(5), locks.isFree(6)]).toEqual([true, false, true]);
  await Promise.all([first, second]);
  expect([steps, locks.isFree(5)]).toEqual([["first", "request", "second", "left 5"], true]);
});

test("sharing is settled in a section of its own: ZERO_RANGE that waits for blocks finds what it looked at", async () => {
  const device = new MemoryBlockDevice(8192 * page);
  let go: () => void = () => undefined;
  let slow = false;
  Object.assign(device, { writeBacking: async () => (slow ? new Promise<void>((resolve) => (go = resolve)) : undefined) });
  const f = new OpsFixture({ activate, device });
  const [a, b] = [await f.create("a"), await f.create("b")];
  await f.write(a.ino, 0, Buffer.alloc(4 * page, 7));
  await f.ok(opcodes.copyFileRange64, a.ino, { off_in: 0n, nodeid_out: BigInt(b.ino), off_out: 0n, len: BigInt(4 * page) });
  await f.release(b.fh);
  await f.ok(opcodes.unlink, 1, {}, { name: "b" });
  slow = true;
  const zeroed = f.fallocate(a.ino, 16, 0, 4 * page);
  await new Promise(setImmediate);
  const settled = f.fs.settleSharingAlone(a.ino);
  await new Promise(setImmediate);
  go();
  expect([await zeroed, await settled]).toEqual([undefined, undefined]);
  expect((await f.read(a.ino, 0, 4 * page)).equals(Buffer.alloc(4 * page))).toBe(true);
});
