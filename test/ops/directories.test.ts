// readdir and readdirplus: everything once, whatever happens between two of them.

import { cookieOf } from "#src/namespace/listing";
import { decodeDirents, type WireDirent } from "#src/wire/dirent";
import { decodeDirentsPlus } from "../support/direntplus";
import { opcodes } from "#src/wire/opcodes";
import { OpsFixture } from "../support/ops-fixture";

async function page(f: OpsFixture, ino: number, offset: number, size: number): Promise<WireDirent[]> {
  return decodeDirents((await f.ok(opcodes.readdir, ino, { offset: BigInt(offset), size })).bytes);
}

async function all(f: OpsFixture, ino = 1, size = 300): Promise<WireDirent[]> {
  const found: WireDirent[] = [];
  for (let offset = 0; ; offset = found.at(-1)!.cookie) {
    const entries = await page(f, ino, offset, size);
    if (entries.length === 0) return found;
    found.push(...entries);
  }
}

test("readdir: . and .. first, then each entry once, with its type and inode", async () => {
  const f = new OpsFixture();
  const dir = await f.mkdir("d");
  const made = new Map([[".", dir], ["..", 1]]);
  for (let n = 0; n < 100; n += 1) made.set(`f${n}`, (await f.create(`f${n}`, dir)).ino);
  made.set("sub", await f.mkdir("sub", dir));
  const listed = await all(f, dir);
  expect(listed.slice(0, 2).map(({ name, cookie }) => [name, cookie])).toEqual([[".", 1], ["..", 2]]);
  expect(new Map(listed.map(({ name, ino }) => [name, ino]))).toEqual(made);
  expect([listed.length, listed.find(({ name }) => name === "sub")!.type, listed.find(({ name }) => name === "f1")!.type]).toEqual([103, 4, 8]);
});

test("readdir: the same cookies after a restart, and past the end nothing", async () => {
  const f = new OpsFixture();
  for (let n = 0; n < 50; n += 1) await f.create(`f${n}`);
  const listed = await all(f);
  const restarted = new OpsFixture({}, f);
  expect(await all(restarted)).toEqual(listed);
  expect(await page(restarted, 1, listed[30]!.cookie, 65536)).toEqual(listed.slice(31));
  expect(await page(f, 1, 2 ** 60, 65536)).toEqual([]);
});

test("readdir: entries made and removed between two of them", async () => {
  const f = new OpsFixture();
  for (let n = 0; n < 60; n += 1) await f.create(`f${n}`);
  const first = await page(f, 1, 0, 600);
  const seen = new Set(first.map(({ name }) => name));
  const removed = Array.from({ length: 60 }, (_, n) => `f${n}`).filter((name) => !seen.has(name)).slice(0, 5);
  for (const name of [...removed, first[5]!.name]) await f.ok(opcodes.unlink, 1, {}, { name });
  await f.create("late");
  const rest = await page(f, 1, first.at(-1)!.cookie, 65536);
  const names = [...first, ...rest].map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(removed.filter((name) => names.includes(name))).toEqual([]);
  expect(rest.some(({ name }) => name === "late")).toBe(cookieOf("late") > first.at(-1)!.cookie);
});

test("readdir: a reply is at most as long as asked, and at most 64 KiB", async () => {
  const f = new OpsFixture();
  for (let n = 0; n < 400; n += 1) await f.create(`${"n".repeat(240)}${n}`);
  expect((await f.ok(opcodes.readdir, 1, { size: 2 ** 20 })).bytes.length).toBeLessThanOrEqual(65536);
  expect((await f.ok(opcodes.readdir, 1, { size: 4096 })).bytes.length).toBeLessThanOrEqual(4096);
  expect((await f.ok(opcodes.readdir, 1, { size: 20 })).bytes.length).toBe(0);
  expect((await all(f, 1, 4096)).length).toBe(402);
});

test("readdirplus: attributes with each entry, nodeid 0 for . and ..", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  f.port.touched = [{ ino, timeNs: 1_900_000_000_000_000_000n }];
  const { bytes } = await f.ok(opcodes.readdirplus, 1, { size: 4096 });
  expect(decodeDirentsPlus(bytes).map(({ nodeid, dirent }) => [nodeid, dirent.name, dirent.ino])).toEqual([[0, ".", 1], [0, "..", 1], [ino, "a", ino]]);
  const entry = opcodes.lookup.reply;
  expect(typeof entry === "object" && entry.decode(bytes, 2 * 160).attr).toMatchObject({ ino: BigInt(ino), mtime: 1_900_000_000n });
});

test("readdir: ENOTDIR and ESTALE", async () => {
  const f = new OpsFixture();
  const { ino } = await f.create("a");
  expect((await f.call(opcodes.readdir, ino, { size: 4096 })).error).toBe("ENOTDIR");
  expect((await f.call(opcodes.readdir, 4711, { size: 4096 })).error).toBe("ESTALE");
});
