import { headerOnly, RequestLoop } from "#src/engine/native/requests";
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

const uniqueOf = (raw: Buffer): bigint => raw.readBigUInt64LE(8);
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function setUp(dispatch: (raw: Buffer) => RawReply | Promise<RawReply>, destroy = (): void => undefined) {
  const replies: Buffer[] = [];
  const answered: number[] = [];
  const loop = new RequestLoop({
    dispatch, destroy, reply: (raw) => void replies.push(raw), replyToDestroy: (raw) => void replies.push(raw), answered: (code) => void answered.push(code),
  });
  return { loop, replies, answered };
}

test("RequestLoop: a synchronous reply goes out at once", () => {
  const { loop, replies, answered } = setUp((raw) => headerOnly(uniqueOf(raw), 0));
  loop.receive(request(4n, opcode.init));
  expect(replies.map(uniqueOf)).toEqual([4n]);
  expect(answered).toEqual([opcode.init]);
});

test("RequestLoop: a request that is sent again while it is carried out is not carried out twice, and the kernel's new name is answered", async () => {
  let finish!: (reply: Buffer) => void;
  let dispatched = 0;
  const { loop, replies } = setUp(() => {
    dispatched += 1;
    return new Promise((resolve) => (finish = resolve));
  });
  loop.receive(request(4n));
  loop.receive(request(4n | resend));
  expect([dispatched, loop.pending]).toEqual([1, 1]);
  finish(headerOnly(4n, 0));
  await nextTurn();
  expect(replies.map(uniqueOf)).toEqual([4n | resend]);
  expect(loop.pending).toBe(0);
});

test("RequestLoop: a request that is sent again afterwards is carried out again (the operation knows that it was done)", () => {
  let dispatched = 0;
  const { loop } = setUp((raw) => {
    dispatched += 1;
    return headerOnly(uniqueOf(raw), 0);
  });
  loop.receive(request(4n));
  loop.receive(request(4n | resend));
  expect(dispatched).toBe(2);
});

test("RequestLoop: a bug becomes EIO, thrown or rejected, and the loop goes on", async () => {
  const { loop, replies } = setUp((raw) => {
    if (uniqueOf(raw) === 4n) throw new Error("bug");
    return Promise.reject(new Error("bug"));
  });
  loop.receive(request(4n));
  loop.receive(request(6n));
  await nextTurn();
  expect(replies.map((raw) => [uniqueOf(raw), raw.readInt32LE(4)])).toEqual([[4n, -5], [6n, -5]]);
});

test("RequestLoop: no reply where none is due", () => {
  const { loop, replies } = setUp(() => undefined);
  loop.receive(request(4n));
  expect(replies).toEqual([]);
});

test("RequestLoop: FUSE_DESTROY closes the volume before its reply, and is answered even when that fails", () => {
  const order: string[] = [];
  const { loop, replies } = setUp(() => undefined, () => void order.push("closed"));
  loop.receive(request(4n, opcode.destroy));
  expect([order, replies[0]!.readInt32LE(4)]).toEqual([["closed"], 0]);
  const failing = setUp(() => undefined, () => { throw new Error("device gone"); });
  failing.loop.receive(request(6n, opcode.destroy));
  expect(failing.replies[0]!.readInt32LE(4)).toBe(-5);
});
