import { pins } from "#src/activation/handles";
import { readCounters, relayedLatency, touchedTimes } from "#src/dataplane/counters";
import { rootReserve, SharedHandleTable, userShare } from "#src/dataplane/handletable";
import {
  counterShards, CounterShard, handleSlots, makeSession, Session, SessionCounters, sessionLayout,
} from "#src/dataplane/session";

const open = (fh: bigint, ino: number, flags = 2, pid = 10) => ({ fh, ino, flags, pid });

test("Session: refuses a segment without its magic", () => {
  expect(() => new Session(new ArrayBuffer(sessionLayout.size))).toThrow("magic");
  expect(() => new Session(new ArrayBuffer(100))).toThrow("as long as its struct");
});

test("SharedHandleTable: what was opened is found again by the next control plane", () => {
  const session = makeSession();
  const first = new SharedHandleTable(session);
  first.open(open(4n, 7));
  first.open(open(6n, 7, 0, 11));
  first.open(open(8n, 9, 0x8001));
  first.close(6n);
  const second = new SharedHandleTable(session);
  expect(second.of(7)).toEqual([open(4n, 7)]);
  expect(second.get(8n)).toEqual(open(8n, 9, 0x8001));
  expect(second.openCount(7)).toBe(1);
  expect(second.size).toBe(2);
});

test("SharedHandleTable: a resent OPEN and a second RELEASE change nothing", () => {
  const table = new SharedHandleTable(makeSession());
  table.open(open(4n, 7));
  table.open(open(4n, 7));
  expect(table.openCount(7)).toBe(1);
  expect(table.close(4n)).toEqual(open(4n, 7));
  expect(table.close(4n)).toBeUndefined();
});

test("SharedHandleTable: a resent OPEN that is answered otherwise says so in its slot, and stays the kernel's for swap", () => {
  const session = makeSession();
  new SharedHandleTable(session).open(open(4n, 7));
  const next = new SharedHandleTable(session);
  next.setSwapon(4n);
  next.open({ ...open(4n, 7), direct: true });
  expect([next.isDirect(7), next.get(4n)]).toEqual([true, { ...open(4n, 7), swapon: true, direct: true }]);
  expect(new SharedHandleTable(session).isDirect(7)).toBe(true);
  next.open(open(4n, 7));
  expect([next.isDirect(7), next.isSwapon(7), next.size]).toEqual([false, true, 1]);
});

test("SharedHandleTable: a user has a share, all users leave some to root, and the segment tells whose each is", () => {
  const session = makeSession();
  const table = new SharedHandleTable(session);
  const full = expect.objectContaining({ code: "ENFILE" });
  let fh = 0n;
  const openAs = (uid: number): void => table.open({ ...open((fh += 1n), 5), uid });
  for (let uid = 1000; uid < 1003; uid += 1) {
    for (let n = 0; n < userShare; n += 1) openAs(uid);
    expect(() => openAs(uid)).toThrow(full);
  }
  for (let n = 0; n < userShare - rootReserve; n += 1) openAs(1003);
  expect(() => openAs(1003)).toThrow(full);
  const next = new SharedHandleTable(session);
  expect(() => next.open({ ...open(99999n, 5), uid: 1000 })).toThrow(full);
  expect(next.close(1n)).toMatchObject({ uid: 1000 });
  for (let n = 0; n <= rootReserve; n += 1) next.open(open(100000n + BigInt(n), 6));
  expect(() => next.open(open(99999n, 6))).toThrow(full);
});

test("SharedHandleTable: full is ENFILE, and a close makes room", () => {
  const table = new SharedHandleTable(makeSession());
  for (let fh = 1; fh <= handleSlots; fh += 1) table.open(open(BigInt(fh), 5));
  expect(() => table.open(open(99999n, 6))).toThrow(expect.objectContaining({ code: "ENFILE" }));
  table.close(3n);
  table.open(open(99999n, 6));
  expect(table.openCount(6)).toBe(1);
});

test("SharedHandleTable: the pin of a swapon survives a restart and ends with its own handle, whoever else has the file open", () => {
  const session = makeSession();
  const table = new SharedHandleTable(session);
  table.open(open(4n, 7));
  table.setSwapon(4n);
  table.open(open(6n, 7, 0));
  expect(new SharedHandleTable(session).pinned()).toEqual([7]);
  expect(table.get(6n)!.flags).toBe(0);
  expect([table.get(4n)!.swapon, table.get(6n)!.swapon, new SharedHandleTable(session).isSwapon(7)]).toEqual([true, undefined, true]);
  table.close(4n);
  expect([new SharedHandleTable(session).isPinned(7), table.openCount(7)]).toEqual([false, 1]);
  expect(table.pinned()).toEqual([]);
  expect(table.formerlyPinned()).toEqual([7]);
});

test("SharedHandleTable: a former pin is remembered across a restart until its map is forgotten", () => {
  const session = makeSession();
  const table = new SharedHandleTable(session);
  table.open(open(4n, 7));
  table.setSwapon(4n);
  table.close(4n);
  const next = new SharedHandleTable(session);
  expect(next.formerlyPinned()).toEqual([7]);
  expect(next.openCount(7)).toBe(0);
  next.forgetFormerPin(7);
  expect(new SharedHandleTable(session).formerlyPinned()).toEqual([]);
});

test("SharedHandleTable: a pin of its own needs no handle, keeps its mode over a restart, and is revoked when it ends", () => {
  const session = makeSession();
  const table = new SharedHandleTable(session);
  table.setPins(7, pins.pinned);
  table.setPins(7, pins.pinned | pins.activated);
  table.setPins(9, pins.pinned);
  const next = new SharedHandleTable(session);
  expect([next.pinMode(7), next.pinMode(9), next.pinMode(8)]).toEqual(["swap_rw", "pinned", undefined]);
  next.setPins(7, next.pins(7) & ~pins.activated);
  expect([next.pinMode(7), next.pins(9)]).toEqual(["pinned", pins.pinned]);
  expect([next.pinned(), next.isPinned(7), next.openCount(7), next.of(7), next.size]).toEqual([expect.arrayContaining([7, 9]), true, 0, [], 0]);
  next.setPins(7, 0);
  next.setPins(7, 0);
  expect([next.pinned(), next.formerlyPinned()]).toEqual([[9], [7]]);
  const third = new SharedHandleTable(session);
  expect([third.pinned(), third.formerlyPinned()]).toEqual([[9], [7]]);
  third.forgetFormerPin(7);
  expect(new SharedHandleTable(session).formerlyPinned()).toEqual([]);
});

test("SharedHandleTable: the pin of a swapon and a pin of its own end independently", () => {
  const table = new SharedHandleTable(makeSession());
  table.open(open(4n, 7));
  table.setSwapon(4n);
  table.setPins(7, pins.pinned);
  table.setPins(7, 0);
  expect([table.isPinned(7), table.formerlyPinned()]).toEqual([true, []]);
  table.setPins(7, pins.pinned);
  table.close(4n);
  expect([table.isPinned(7), table.formerlyPinned()]).toEqual([true, []]);
  table.open(open(6n, 7)); // a later handle is not that of a swapon
  table.setPins(7, 0);
  expect([table.isPinned(7), table.formerlyPinned()]).toEqual([false, [7]]);
});

test("SharedHandleTable: pins take slots, and a full table says so", () => {
  const table = new SharedHandleTable(makeSession());
  for (let fh = 1; fh <= handleSlots; fh += 1) table.open(open(BigInt(fh), 5));
  expect(() => table.setPins(6, pins.pinned)).toThrow(expect.objectContaining({ code: "ENFILE" }));
  table.close(3n);
  table.setPins(6, pins.pinned);
  expect(table.pinMode(6)).toBe("pinned");
});

test("SharedHandleTable: a random history agrees with a plain map, and with the table rebuilt from the segment", () => {
  const session = makeSession();
  const table = new SharedHandleTable(session);
  const model = new Map<bigint, number>();
  let seed = 12345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (let step = 0; step < 3000; step += 1) {
    const fh = BigInt(1 + random(200));
    if (random(2) === 0 && !model.has(fh)) {
      const ino = 2 + random(20);
      table.open(open(fh, ino));
      model.set(fh, ino);
    } else if (table.close(fh)?.ino !== model.get(fh)) throw new Error(`step ${step}`);
    else model.delete(fh);
  }
  for (const each of [table, new SharedHandleTable(session)]) {
    expect(each.size).toBe(model.size);
    for (let ino = 2; ino < 22; ino += 1) {
      expect(each.openCount(ino)).toBe([...model.values()].filter((other) => other === ino).length);
    }
  }
});

test("touchedTimes: a time is taken once", () => {
  const session = makeSession();
  const slots = new BigInt64Array(session.buffer, sessionLayout.touched, 4);
  slots.set([0n, 0n, 9n, 1_700_000_000_000_000_000n]);
  const take = touchedTimes(session);
  expect(take()).toEqual([{ ino: 9, timeNs: 1_700_000_000_000_000_000n }]);
  expect(take()).toEqual([]);
});

test("readCounters: names and opcodes are where the header says", () => {
  const session = makeSession();
  const words = new BigUint64Array(session.buffer, sessionLayout.counters, SessionCounters.size / 8);
  words[0] = 1n;
  words[12] = 32n;
  expect(readCounters(session).totals).toMatchObject({ resent: 1, in_flight_max: 32, allocations: 0 });
});

test("readCounters: the shards of all threads are added up", () => {
  const session = makeSession();
  const shard = (index: number): BigUint64Array =>
    new BigUint64Array(session.buffer, sessionLayout.shards + index * CounterShard.size, CounterShard.size / 8);
  shard(0)[15] = 3n; // FUSE_READ
  shard(counterShards - 1)[15] = 4n;
  shard(1)[64] = 5n; // mapped
  shard(2)[CounterShard.offsets.latency / 8 + 14] = 8n; // READs that took from 16,384 to 32,768 ns
  relayedLatency(session)(5_000);
  const { requests, totals, latency } = readCounters(session);
  expect(requests[15]).toBe(7);
  expect(totals.mapped).toBe(5);
  expect(latency.read).toMatchObject({ count: 8, p50Ns: 24_576, buckets: [[16_384, 8]] });
  expect(latency.relayed.buckets).toEqual([[4096, 1]]);
  expect(latency.bmap).toEqual({ count: 0, p50Ns: undefined, p99Ns: undefined, buckets: [] });
});
