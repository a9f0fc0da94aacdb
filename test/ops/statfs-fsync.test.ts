// INIT byte for byte, statfs, fsync, destroy, and what is refused by design.

import { FUSE_INIT_FLAGS } from "#src/wire/abi";
import { dispatch } from "#src/ops/table";
import { opcodes, type Opcode } from "#src/wire/opcodes";
import { encodeRequest } from "#src/wire/request";
import * as golden from "../golden/wire";
import { OpsFixture } from "../support/ops-fixture";

const { bytesOf } = golden;

function silently<T>(action: () => T): { result: T; log: string } {
  const written: string[] = [];
  const spy = jest.spyOn(process.stderr, "write").mockImplementation((text) => written.push(String(text)) > 0);
  try {
    return { result: action(), log: written.join("") };
  } finally {
    spy.mockRestore();
  }
}

test("init: golden", () => {
  const f = new OpsFixture();
  const reply = dispatch(f.fs, bytesOf(golden.init_request)) as Buffer;
  expect(reply.toString("hex")).toBe(bytesOf(golden.init_reply).toString("hex"));
  expect(reply.readUInt32LE(28) & Number(FUSE_INIT_FLAGS.WRITEBACK_CACHE)).toBe(0);
});

test("init: Linux 5.4 gets what it offers, older ones and other majors what they need to know", async () => {
  const f = new OpsFixture();
  const reply = dispatch(f.fs, bytesOf(golden.init_request_7_31)) as Buffer;
  expect([reply.readInt32LE(4), reply.readUInt32LE(28).toString(16), reply.readUInt32LE(16 + 32)]).toEqual([0, "c4e031", 0]);
  expect(await f.ok(opcodes.init, 0, { major: 8, minor: 1 })).toMatchObject({ major: 7 });
  const body = { major: 7, minor: 30, max_readahead: 0, flags: 0, flags2: 0, unused: Buffer.alloc(44) };
  const { result, log } = silently(() => dispatch(f.fs, encodeRequest(opcodes.init, { unique: 2n, nodeid: 0 }, body)));
  expect([(result as Buffer).readInt32LE(4), log]).toEqual([-71, expect.stringContaining("FUSE 7.30, needed is 7.31")]);
});

test("lookup of nothing: golden", () => {
  const reply = dispatch(new OpsFixture().fs, bytesOf(golden.lookup_request)) as Buffer;
  expect(reply.toString("hex")).toBe(bytesOf(golden.negative_lookup_reply).toString("hex"));
});

test("statfs: pages and inodes, free ones follow", async () => {
  const f = new OpsFixture();
  const before = (await f.ok(opcodes.statfs, 1)).st;
  expect(before).toMatchObject({ bsize: 4096, frsize: 4096, namelen: 255, bavail: before.bfree });
  const { ino } = await f.create("a");
  await f.fallocate(ino, 0, 0, 40960);
  const after = (await f.ok(opcodes.statfs, 1)).st;
  expect([before.bfree - after.bfree, before.blocks - after.blocks]).toEqual([10n, 0n]);
});

test("fsync, fsyncdir, syncfs: the device is flushed before the reply", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  for (const [opcode, node] of [[opcodes.fsync, ino], [opcodes.fsyncdir, 1], [opcodes.syncfs, 1]] as [Opcode<any, any>, number][]) {
    const { flushes } = f.device;
    await f.ok(opcode, node);
    expect(f.device.flushes).toBe(flushes + 1);
  }
  f.device.flushesLeft = 0;
  const spy = jest.spyOn(process.stderr, "write").mockImplementation(() => true);
  expect((await f.call(opcodes.fsync, ino)).error).toBe("EIO");
  expect((await f.call(opcodes.mkdir, 1, { mode: 0o755 }, { name: "d" })).error).toBe("EROFS");
  spy.mockRestore();
});

test("destroy: touched times are kept, the volume is clean, the lock is released, then the reply", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  f.port.touched = [{ ino, timeNs: 1_900_000_000_000_000_000n }];
  await f.ok(opcodes.destroy, 0);
  expect(f.destroyed).toBe(1);
  const again = new OpsFixture({ session: 5n }, f);
  expect([again.volume.inode(ino)!.mtime.seconds, again.volume.warnings]).toEqual([1_900_000_000, []]);
});

test("refused by design: the errno that the kernel acts on", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  const refused: [Opcode<any, any>, string][] = [
    [opcodes.flush, "ENOSYS"], [opcodes.access, "ENOSYS"], [opcodes.poll, "ENOSYS"], [opcodes.statx, "ENOSYS"],
    [opcodes.getlk, "ENOSYS"], [opcodes.setlk, "ENOSYS"], [opcodes.setlkw, "ENOSYS"], [opcodes.setupmapping, "ENOSYS"],
    [opcodes.ioctl, "ENOTTY"], [opcodes.read, "EIO"], [opcodes.write, "EIO"],
  ];
  for (const [opcode, error] of refused) expect([opcode.name, (await f.call(opcode, ino)).error]).toEqual([opcode.name, error]);
  expect((await f.call(opcodes.tmpfile, 1, {}, { name: "#1" })).error).toBe("ENOSYS");
  expect((await f.call({ ...opcodes.destroy, code: 99, name: "unknown" }, 1)).error).toBe("ENOSYS");
});

test("no reply: forget, batch_forget, interrupt, notify_reply", async () => {
  const f = new OpsFixture();
  for (const opcode of [opcodes.forget, opcodes.batchForget, opcodes.interrupt, opcodes.notifyReply] as Opcode<any, any>[]) {
    expect(await f.raw(opcode, 1)).toBeUndefined();
  }
});

test("every opcode of the table is answered when its request is broken, and says why in the log", () => {
  const f = new OpsFixture();
  for (const opcode of Object.values(opcodes) as Opcode<any, any>[]) {
    if (opcode.bodyBytesMin === 0 && opcode.trailing === "none") continue;
    if (opcode.trailing === "bytes" && opcode.bodyBytesMin === 0) continue;
    const raw = encodeRequest(opcode, { unique: 4n, nodeid: 1 }, undefined, {});
    const { result, log } = silently(() => dispatch(f.fs, raw));
    if (opcode.reply === "none") expect(result).toBeUndefined();
    else expect([opcode.name, (result as Buffer).readInt32LE(4)]).toEqual([opcode.name, -22]);
    expect(log).toContain(`cannot decode ${opcode.name}`);
  }
});

test("a request without a whole header gets no reply, one of the wrong length EINVAL", () => {
  const f = new OpsFixture();
  const raw = bytesOf(golden.lookup_request);
  expect(silently(() => dispatch(f.fs, raw.subarray(0, 39))).result).toBeUndefined();
  const { result } = silently(() => dispatch(f.fs, raw.subarray(0, 41)));
  expect((result as Buffer).toString("hex")).toBe("10000000eaffffff0400000000000000");
});

test("a bug in a handler is EIO and a line in the log, also when it comes late", async () => {
  const f = new OpsFixture({ activate: () => Promise.reject(new TypeError("late bug")) });
  const written: string[] = [];
  const spy = jest.spyOn(process.stderr, "write").mockImplementation((text) => written.push(String(text)) > 0);
  expect((await f.call(opcodes.bmap, 1, { blocksize: 4096 })).error).toBe("EIO");
  jest.spyOn(f.volume, "statfs").mockImplementation(() => {
    throw new TypeError("bug");
  });
  expect((await f.call(opcodes.statfs, 1)).error).toBe("EIO");
  spy.mockRestore();
  expect(written.join("")).toMatch(/cannot carry out FUSE_BMAP on ino 1: TypeError: late bug[^]*cannot carry out FUSE_STATFS on ino 1: TypeError: bug/);
});
