import { RequestLoop } from "#src/engine/native/requests";
import type { RawReply } from "#src/engine/native/requests";

const resend = 1n << 63n;
const opcode = { getattr: 3, init: 26, destroy: 38 };

function request(unique: bigint, code = opcode.getattr): Buffer {
  const raw = Buffer.alloc(40);
  raw.writeUInt32LE(40, 0);
  raw.writeUInt32LE(code, 4);
  raw.writeBigUInt64LE(unique, 8);
  return raw;
}

/** fuse_out_header alone. */
function headerOnly(unique: bigint, error: number): Buffer {
  const reply = Buffer.alloc(16);
  reply.writeUInt32LE(16, 0);
  reply.writeInt32LE(error, 4);
  reply.writeBigUInt64LE(unique, 8);
  return reply;
}

const uniqueOf = (raw: Buffer): bigint => raw.readBigUInt64LE(8);
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A kernel that knows each request by one name: `kernel` holds the names that it waits for; all, when it is undefined. */
function setUp(dispatch: (raw: Buffer) => RawReply | Promise<RawReply>, destroy = (): void => undefined) {
  const world = { kernel: undefined as Set<bigint> | undefined, replies: [] as Buffer[], answered: [] as number[], dispatched: 0 };
  const loop = new RequestLoop({
    dispatch: (raw) => {
      world.dispatched += 1;
      return dispatch(raw);
    },
    reply: ({ make, written }) => {
      const raw = Buffer.from(make());
      const known = world.kernel === undefined || world.kernel.delete(uniqueOf(raw));
      if (known) world.replies.push(raw);
      written(known);
    },
    replyToDestroy: (raw) => void world.replies.push(raw), destroy, answered: (code) => void world.answered.push(code),
    took: (ns) => expect(ns).toBeGreaterThanOrEqual(0),
  });
  return Object.assign(world, { loop });
}

const ok = (raw: Buffer): Buffer => headerOnly(uniqueOf(raw), 0);

test("RequestLoop: a synchronous reply goes out at once", () => {
  const world = setUp(ok);
  world.loop.receive(request(4n, opcode.init));
  expect(world.replies.map(uniqueOf)).toEqual([4n]);
  expect(world.answered).toEqual([opcode.init]);
});

test("RequestLoop: a copy that comes while the request is carried out gives the reply its new name", async () => {
  let finish!: (reply: Buffer) => void;
  const world = setUp(() => new Promise((resolve) => (finish = resolve)));
  world.loop.receive(request(4n));
  world.loop.receive(request(4n | resend));
  expect([world.dispatched, world.loop.pending]).toEqual([1, 1]);
  finish(headerOnly(4n, 0));
  await nextTurn();
  expect(world.replies.map(uniqueOf)).toEqual([4n | resend]);
  expect(world.loop.pending).toBe(0);
});

test("RequestLoop: a copy that comes after a reply that the kernel did not take gets that reply", () => {
  const world = setUp((raw) => headerOnly(uniqueOf(raw), -world.dispatched));
  world.kernel = new Set([4n | resend]);
  world.loop.receive(request(4n));
  expect(world.replies).toEqual([]);
  world.loop.receive(request(4n | resend));
  expect(world.replies.map((raw) => [uniqueOf(raw), raw.readInt32LE(4)])).toEqual([[4n | resend, -1]]);
  expect(world.dispatched).toBe(1);
});

test("RequestLoop: a second copy, read after the first was answered, is not carried out: the program has gone on", () => {
  const world = setUp(ok);
  world.loop.receive(request(4n | resend));
  world.loop.receive(request(4n | resend));
  expect([world.dispatched, world.replies.length]).toEqual([1, 1]);
});

test("RequestLoop: what the control plane before this one may have done is carried out (the operation knows whether it was)", () => {
  const world = setUp(ok);
  world.loop.receive(request(4n | resend));
  expect([world.dispatched, world.replies.length]).toEqual([1, 1]);
});

test("RequestLoop: a long reply is not kept, its request is carried out again", () => {
  const world = setUp((raw) => Buffer.concat([headerOnly(uniqueOf(raw), 0), Buffer.alloc(5000)]));
  world.kernel = new Set([4n | resend]);
  world.loop.receive(request(4n));
  world.loop.receive(request(4n | resend));
  expect([world.dispatched, world.replies.length]).toEqual([2, 1]);
});

test("RequestLoop: a bug becomes EIO, thrown or rejected, and the loop goes on", async () => {
  const world = setUp((raw) => {
    if (uniqueOf(raw) === 4n) throw new Error("bug");
    return Promise.reject(new Error("bug"));
  });
  world.loop.receive(request(4n));
  world.loop.receive(request(6n));
  await nextTurn();
  expect(world.replies.map((raw) => [uniqueOf(raw), raw.readInt32LE(4)])).toEqual([[4n, -5], [6n, -5]]);
});

test("RequestLoop: no reply where none is due", () => {
  const world = setUp(() => undefined);
  world.loop.receive(request(4n));
  expect([world.replies, world.loop.pending]).toEqual([[], 0]);
});

test("RequestLoop: FUSE_DESTROY closes the volume before its reply, and is answered even when that fails", () => {
  const order: string[] = [];
  const world = setUp(() => undefined, () => void order.push("closed"));
  world.loop.receive(request(4n, opcode.destroy));
  expect([order, world.replies[0]!.readInt32LE(4)]).toEqual([["closed"], 0]);
  const failing = setUp(() => undefined, () => { throw new Error("device gone"); });
  failing.loop.receive(request(6n, opcode.destroy));
  expect(failing.replies[0]!.readInt32LE(4)).toBe(-5);
});
