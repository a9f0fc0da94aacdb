// Extended attributes: values, lists, limits and errnos.

import { opcodes } from "#src/wire/opcodes";
import { OpsFixture } from "../support/ops-fixture";

async function fixture() {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  const set = async (name: string, value: Buffer | string, flags = 0) => {
    const bytes = Buffer.from(value);
    return (await f.call(opcodes.setxattr, ino, { size: bytes.length, flags }, { name, bytes })).error;
  };
  const get = async (name: string, size: number) => {
    const answer = await f.call(opcodes.getxattr, ino, { size }, { name });
    return answer.error ?? (size === 0 ? answer.bytes.readUInt32LE(0) : answer.bytes.toString("latin1"));
  };
  const list = async (size: number) => {
    const answer = await f.call(opcodes.listxattr, ino, { size });
    return answer.error ?? (size === 0 ? answer.bytes.readUInt32LE(0) : answer.bytes.toString("latin1"));
  };
  return { f, ino, set, get, list };
}

test("set, get, list, remove; size 0 asks for the length, too little is ERANGE", async () => {
  const { f, ino, set, get, list } = await fixture();
  expect([await set("user.a", "va\0lue"), await set("trusted.b", ""), await set("security.c", "x")]).toEqual([undefined, undefined, undefined]);
  expect([await get("user.a", 0), await get("user.a", 6), await get("user.a", 5), await get("trusted.b", 10)]).toEqual([6, "va\0lue", "ERANGE", ""]);
  expect([await list(0), await list(28), await list(27)]).toEqual([28, "user.a\0trusted.b\0security.c\0", "ERANGE"]);
  expect((await f.call(opcodes.removexattr, ino, {}, { name: "user.a" })).error).toBeUndefined();
  expect((await f.call(opcodes.removexattr, ino, {}, { name: "user.a" })).error).toBe("ENODATA");
  expect(await get("user.a", 0)).toBe("ENODATA");
});

test("XATTR_CREATE, XATTR_REPLACE, unknown flags", async () => {
  const { set } = await fixture();
  expect([await set("user.a", "1", 2), await set("user.a", "1", 1), await set("user.a", "2", 1), await set("user.a", "3", 2), await set("user.a", "4", 4)])
    .toEqual(["ENODATA", undefined, "EEXIST", undefined, "EINVAL"]);
});

test("limits: name 255 bytes, value 64 KiB, an inode 128 KiB and a list of 64 KiB", async () => {
  const { set } = await fixture();
  const name = `user.${"n".repeat(250)}`;
  expect([await set(name, "1"), await set(`${name}n`, "1")]).toEqual([undefined, "ERANGE"]);
  expect([await set("user.big", Buffer.alloc(65536)), await set("user.more", Buffer.alloc(65537))]).toEqual([undefined, "E2BIG"]);
  expect([await set("user.big2", Buffer.alloc(65536)), await set("user.big2", Buffer.alloc(60000))]).toEqual(["ENOSPC", undefined]);
  expect(await set("user.big", Buffer.alloc(65536, 1))).toBeUndefined();
});

test("the list of names stays below what listxattr(2) can give", async () => {
  const { set, list } = await fixture();
  for (let n = 0; n < 256; n += 1) expect(await set(`user.${String(n).padStart(250, "n")}`, "")).toBeUndefined();
  expect([await set("user.one-more", ""), await list(0)]).toEqual(["ENOSPC", 65536]);
});

test("other namespaces are EOPNOTSUPP, a prefix alone is EINVAL", async () => {
  const { set, get } = await fixture();
  expect([await set("system.posix_acl_access", "x"), await get("system.posix_acl_access", 0), await set("foo", "x"), await set("user.", "x")])
    .toEqual(["EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "EINVAL"]);
});

test("a change moves ctime, in the same record", async () => {
  const { f, ino, set } = await fixture();
  const before = await f.stat(ino);
  const { sequence } = f.volume.stats();
  await set("user.a", "1");
  const after = await f.stat(ino);
  expect([after.ctime > before.ctime, after.mtime === before.mtime, f.volume.stats().sequence]).toEqual([true, true, sequence + 1]);
});

test("a value that is not as long as its size says is refused", async () => {
  const { f, ino } = await fixture();
  expect((await f.call(opcodes.setxattr, ino, { size: 5 }, { name: "user.a", bytes: Buffer.from("x") })).error).toBe("EINVAL");
});
