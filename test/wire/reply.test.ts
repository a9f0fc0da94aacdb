// Replies: golden bytes, and the fast encoders against the structs.

import { decodeDirents, DirentWriter } from "#src/wire/dirent";
import { decodeDirentsPlus } from "../support/direntplus";
import {
  attrReply, bytesReply, createReply, emptyReply, entryReply, errorReply, negativeEntryReply, openReply, writeNumber,
  type WireAttributes,
} from "#src/wire/reply";
import { fuse_attr_out, fuse_create_out, fuse_entry_out, fuse_open_out } from "#src/wire/structs";
import * as golden from "../golden/wire";

const { bytesOf } = golden;

const attributes: WireAttributes = {
  ino: 0x100001234, size: 2 ** 33 + 4097, pages: 2, atime: { seconds: -1, nanoseconds: 999_999_999 },
  mtime: { seconds: 946_684_800, nanoseconds: 1 }, ctime: { seconds: 2 ** 32, nanoseconds: 0 }, mode: 0o100644, nlink: 2,
  uid: 1000, gid: 100, rdev: 0x103,
};
const header = { unique: 4n, resent: false };

test("entryReply: golden", () => {
  expect(entryReply(header, attributes).toString("hex")).toBe(bytesOf(golden.entry_reply).toString("hex"));
});

test("negativeEntryReply: golden", () => {
  expect(negativeEntryReply(header).toString("hex")).toBe(bytesOf(golden.negative_lookup_reply).toString("hex"));
});

test("entryReply, attrReply, createReply, openReply: as the structs would write them", () => {
  const attr = {
    ino: BigInt(attributes.ino), size: BigInt(attributes.size), blocks: 16n, atime: -1n, mtime: 946_684_800n, ctime: 2n ** 32n,
    atimensec: 999_999_999, mtimensec: 1, ctimensec: 0, mode: 0o100644, nlink: 2, uid: 1000, gid: 100, rdev: 0x103,
    blksize: 4096, flags: 0,
  };
  const entry = {
    nodeid: attr.ino, generation: 0n, entry_valid: 86400n, attr_valid: 86400n, entry_valid_nsec: 0, attr_valid_nsec: 0, attr,
  };
  const open = { fh: 2n ** 62n + 2n, open_flags: 2, backing_id: 0 };
  expect(fuse_entry_out.decode(entryReply(header, attributes), 16)).toEqual(entry);
  expect(fuse_attr_out.decode(attrReply(header, attributes), 16)).toEqual({ attr_valid: 86400n, attr_valid_nsec: 0, dummy: 0, attr });
  expect(fuse_create_out.decode(createReply(header, attributes, open.fh, 2), 16)).toEqual({ entry, open });
  expect(fuse_open_out.decode(openReply(header, open.fh, 2), 16)).toEqual(open);
});

test("a resent request is answered with its resend bit", () => {
  expect(emptyReply({ unique: 6n, resent: true }).toString("hex")).toBe("10000000000000000600000000000080");
});

test("errorReply: the errno is negative on the wire", () => {
  expect(errorReply(header, "ENOSPC").toString("hex")).toBe("10000000e4ffffff0400000000000000");
  expect(errorReply(header, 95).readInt32LE(4)).toBe(-95);
  expect(() => errorReply(header, 0)).toThrow(/positive/);
});

test("bytesReply: length and bytes", () => {
  expect(bytesReply(header, Buffer.from("target")).toString("latin1")).toBe("\x16\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0target");
});

test.each([0, 1, -1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, -(2 ** 31), -(2 ** 32), -(2 ** 33) - 5, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER])(
  "writeNumber: %d as 64 bits", (value) => {
    const to = Buffer.alloc(8);
    writeNumber(to, 0, value);
    expect(to.readBigInt64LE(0)).toBe(BigInt(value));
  },
);

test("DirentWriter: golden, and what does not fit is left out", () => {
  const writer = new DirentWriter(72);
  expect(writer.add({ ino: 1, cookie: 1, name: ".", type: 4 })).toBe(true);
  expect(writer.add({ ino: 2, cookie: 2 ** 52 - 1, name: "ninechars", type: 8 })).toBe(true);
  expect(writer.add({ ino: 3, cookie: 5, name: "x", type: 8 })).toBe(false);
  expect(writer.reply({ unique: 12n, resent: false }).toString("hex")).toBe(bytesOf(golden.readdir_reply).toString("hex"));
});

test("DirentWriter: rewind takes the last records back", () => {
  const writer = new DirentWriter(1000);
  writer.add({ ino: 1, cookie: 1, name: ".", type: 4 });
  const { length } = writer;
  writer.add({ ino: 2, cookie: 9, name: "a", type: 8 });
  writer.rewind(length);
  expect(decodeDirents(writer.reply(header).subarray(16))).toEqual([{ ino: 1, cookie: 1, name: ".", type: 4 }]);
});

test("DirentWriter: entries with and without attributes", () => {
  const writer = new DirentWriter(1000);
  const dot = { ino: 1, cookie: 1, name: ".", type: 4 };
  const file = { ino: attributes.ino, cookie: 77, name: "\u00fcber", type: 8 };
  expect([writer.addPlus(dot, undefined), writer.addPlus(file, attributes)]).toEqual([true, true]);
  const body = writer.reply(header).subarray(16);
  expect(decodeDirentsPlus(body)).toEqual([{ nodeid: 0, dirent: dot }, { nodeid: attributes.ino, dirent: file }]);
  expect(body.subarray(160, 160 + 128).equals(entryReply(header, attributes).subarray(16))).toBe(true);
  expect(new DirentWriter(128 + 24).addPlus(dot, attributes)).toBe(false);
});
