// Requests: golden bytes, and everything that is too short.

import { describeReply, describeRequest } from "#src/wire/describe";
import { opcodeOf, opcodes, type Opcode } from "#src/wire/opcodes";
import { decodeHeader, decodeRequest, encodeRequest, WireError, type WireErrorKind } from "#src/wire/request";
import * as golden from "../golden/wire";

const { bytesOf } = golden;

function kindOf(action: () => unknown): WireErrorKind | "decoded" {
  try {
    action();
    return "decoded";
  } catch (error) {
    expect(error).toBeInstanceOf(WireError);
    expect((error as WireError).code).toBe("EINVAL");
    return (error as WireError).kind;
  }
}

function decode(raw: Buffer) {
  return decodeRequest(opcodeOf(decodeHeader(raw).opcode)!, raw);
}

/** The header's len says how many bytes there are. */
function relengthened(raw: Buffer): Buffer {
  const copy = Buffer.from(raw);
  copy.writeUInt32LE(copy.length, 0);
  return copy;
}

test("lookup: header and name", () => {
  const { header, name } = decode(bytesOf(golden.lookup_request));
  expect(header).toEqual({ opcode: 1, unique: 4n, resent: false, nodeid: 1, uid: 1000, gid: 100, pid: 12345 });
  expect(name).toBe("a");
});

test("lookup: extensions behind the name are not part of it", () => {
  expect(decode(bytesOf(golden.lookup_request_with_extension)).name).toBe("a");
});

test("rename2: two names as raw bytes, and the resend bit apart from the unique", () => {
  const { header, body, name, name2 } = decode(bytesOf(golden.rename2_request));
  expect([header.unique, header.resent]).toEqual([6n, true]);
  expect(body).toEqual({ newdir: 9n, flags: 1, padding: 0 });
  expect([name, name2]).toEqual(["old", "\u00fc"]);
});

test("setxattr: a value may hold NULs", () => {
  const { body, name, bytes } = decode(bytesOf(golden.setxattr_request));
  expect(body).toEqual({ size: 9, flags: 1 });
  expect([name, bytes.toString("latin1")]).toEqual(["user.a", "val\0value"]);
});

test("write: body and data", () => {
  const { body, bytes } = decode(bytesOf(golden.write_request));
  expect(body).toMatchObject({ fh: 4n, offset: 4096n, size: 4, write_flags: 4, flags: 0x8001 });
  expect(bytes.toString()).toBe("data");
});

test("init: the short form of Linux 5.4 has no flags2", () => {
  expect(decode(bytesOf(golden.init_request)).body).toMatchObject({ major: 7, minor: 45, flags2: 0x7ff });
  expect(decode(bytesOf(golden.init_request_7_31)).body).toMatchObject({ major: 7, minor: 31, flags2: 0 });
});

test.each(Object.entries(golden).filter(([name]) => name.endsWith("request")))("%s: encode gives the golden bytes back", (_name, annotated) => {
  const raw = bytesOf(annotated as string);
  const { header, body, name, name2, bytes } = decode(raw);
  const opcode = opcodeOf(header.opcode)!;
  const names = { ...(name && { name }), ...(name2 && { name2 }), bytes };
  expect(encodeRequest(opcode, header, body, names).toString("hex")).toBe(raw.toString("hex"));
});

test("short_header: fewer than 40 bytes", () => {
  const raw = bytesOf(golden.lookup_request);
  for (let length = 0; length < 40; length += 1) expect(kindOf(() => decodeHeader(raw.subarray(0, length)))).toBe("short_header");
});

test("length_mismatch: cut off or too long for its header", () => {
  const raw = bytesOf(golden.write_request);
  for (let length = 40; length < raw.length; length += 1) expect(kindOf(() => decodeHeader(raw.subarray(0, length)))).toBe("length_mismatch");
  expect(kindOf(() => decodeHeader(Buffer.concat([raw, raw])))).toBe("length_mismatch");
});

test("short_body: every opcode, every length below its body", () => {
  for (const opcode of Object.values(opcodes) as Opcode<any, any>[]) {
    if (opcode.body === undefined) continue;
    const whole = encodeRequest(opcode, { unique: 2n, nodeid: 1 }, opcode.body.decode(Buffer.alloc(opcode.body.size)));
    for (let length = 40; length < 40 + opcode.bodyBytesMin; length += 1) {
      expect([opcode.name, kindOf(() => decode(relengthened(whole.subarray(0, length))))]).toEqual([opcode.name, "short_body"]);
    }
  }
});

test("short_body: extensions take the place of the body", () => {
  const raw = encodeRequest(opcodes.getattr, { unique: 2n, nodeid: 1 }, { getattr_flags: 0, dummy: 0, fh: 0n });
  raw.writeUInt16LE(2, 36);
  expect(kindOf(() => decode(raw))).toBe("short_body");
  raw.writeUInt16LE(0xffff, 36);
  expect(kindOf(() => decode(raw))).toBe("short_body");
});

test("unterminated_name: a name without its NUL", () => {
  const raw = bytesOf(golden.rename2_request);
  expect(kindOf(() => decode(relengthened(raw.subarray(0, raw.length - 1))))).toBe("unterminated_name");
  expect(kindOf(() => decode(relengthened(raw.subarray(0, 59))))).toBe("unterminated_name");
  expect(kindOf(() => decode(relengthened(bytesOf(golden.lookup_request).subarray(0, 41))))).toBe("unterminated_name");
});

test("empty_name: a NUL alone", () => {
  expect(kindOf(() => decode(encodeRequest(opcodes.lookup, { unique: 2n, nodeid: 1 }, {}, { name: "" })))).toBe("empty_name");
  expect(kindOf(() => decode(encodeRequest(opcodes.symlink, { unique: 2n, nodeid: 1 }, {}, { name: "a", name2: "" })))).toBe("empty_name");
});

test("extra_bytes: something behind the last name", () => {
  expect(kindOf(() => decode(encodeRequest(opcodes.lookup, { unique: 2n, nodeid: 1 }, {}, { name: "a", name2: "b" })))).toBe("extra_bytes");
});

test("describeRequest: one line for each golden request, also for a broken one", () => {
  expect(describeRequest(bytesOf(golden.rename2_request)))
    .toBe('FUSE_RENAME2 unique=6 resent node=1 uid=0 pid=7 fuse_rename2_in newdir=9 flags=1 padding=0 "old" "\u00fc"');
  expect(describeRequest(bytesOf(golden.setxattr_request)))
    .toBe('FUSE_SETXATTR unique=8 node=2 uid=0 pid=7 fuse_setxattr_in size=9 flags=1 "user.a" +9 bytes');
  expect(describeRequest(bytesOf(golden.lookup_request).subarray(0, 12))).toBe("cannot decode a request: 12 bytes, a header has 40");
});

test("describeReply: errno, struct, bytes", () => {
  expect(describeReply(1, bytesOf("10 00 00 00 fe ff ff ff 04 00 00 00 00 00 00 80"))).toBe("reply unique=4 ENOENT");
  expect(describeReply(37, bytesOf("18 00 00 00 00 00 00 00 04 00 00 00 00 00 00 00 07 00 00 00 00 00 00 00")))
    .toBe("reply unique=4 fuse_bmap_out block=7");
  expect(describeReply(1, bytesOf(golden.entry_reply))).toContain("attr={ino=4294971956 size=8589938689");
  expect(describeReply(28, bytesOf(golden.readdir_reply))).toBe("reply unique=12 +72 bytes");
});
