// What device mapper is asked for, in which order, and what is undone when it refuses; with a kernel that is none. Guests have a real one.

import fs from "node:fs";

import { addon } from "#src/sys/addon";
import { letGo, mapperIdOf, stackMapper, topOf, wayOf } from "#src/sys/mapper";
import * as kernelfiles from "#src/sys/kernelfiles";
import * as tools from "#src/sys/tools";
import { SysfsTree } from "../support/sysfs-tree";

const uuid = Buffer.from("00112233445566778899aabbccddeeff", "hex");
const id = `SWAPFS-${uuid.toString("hex")}-7`;
const name = "swapfs-00112233-7";
const page = 4096;
const parts = [{ offset: 8 * page, length: 16 * page }, { offset: 0, length: 2 * page }];
const node = 1_000_000;
const names: Record<number, string> = { 3: "create", 4: "remove", 6: "resume", 7: "status", 9: "load" };
const deferred = 1 << 17;
const { readText } = kernelfiles;

let asked: string[];
/** What the kernel says to a request; undefined: done. */
let refuse: (what: string, count: number) => { code: string } | undefined;
/** Whose the name is that is taken. */
let taken: string;

const textAt = (request: Buffer, at: number): string => request.toString("latin1", at, request.indexOf(0, at));

/** struct dm_target_spec with what follows, include/uapi/linux/dm-ioctl.h */
function targets(request: Buffer): string[] {
  const found: string[] = [];
  let at = request.readUInt32LE(16);
  for (let n = 0; n < request.readUInt32LE(20); n += 1) {
    found.push(`${request.readBigUInt64LE(at)} ${request.readBigUInt64LE(at + 8)} ${textAt(request, at + 24)} ${textAt(request, at + 40)}`);
    expect(request.readUInt32LE(at + 20) % 8).toBe(0);
    at += request.readUInt32LE(at + 20);
  }
  expect(at).toBe(request.length);
  return found;
}

beforeEach(() => {
  asked = [];
  refuse = () => undefined;
  taken = id;
  const [open, close, stat] = [fs.openSync, fs.closeSync, fs.statSync];
  jest.spyOn(kernelfiles, "readText").mockImplementation((file) => (file === "/proc/devices" ? "253 device-mapper\n" : readText(file)));
  jest.spyOn(fs, "openSync").mockImplementation(((path: string, ...rest: [string]) => {
    if (path === "/dev/mapper/control") return node;
    if (!path.startsWith("/dev/dm-")) return open(path, ...rest);
    asked.push(`open ${path}`);
    return node + Number(path.slice("/dev/dm-".length));
  }) as typeof fs.openSync);
  jest.spyOn(fs, "closeSync").mockImplementation((fd) => (fd < node ? close(fd) : void (fd > node && asked.push(`close ${fd - node}`))));
  jest.spyOn(fs, "statSync").mockImplementation(((path: string, ...rest: [undefined]) =>
    path.startsWith("/dev/dm-") ? { rdev: (253 << 8) | Number(path.slice("/dev/dm-".length)) } : stat(path, ...rest)) as unknown as typeof fs.statSync);
  jest.spyOn(tools, "runTool").mockImplementation((command, args) => (asked.push([command, ...args].join(" ")), { code: 0, stdout: "", stderr: "" }));
  jest.spyOn(addon(), "addRandomKey").mockImplementation((description, length) => (asked.push(`key ${description} of ${length} bytes`), 4711));
  jest.spyOn(addon(), "unlinkKey").mockImplementation((serial) => void asked.push(`unlink ${serial}`));
  let minor = 2;
  jest.spyOn(addon(), "mapperIoctl").mockImplementation((_, command, request) => {
    expect([request.readUInt32LE(0), request.readUInt32LE(12)]).toEqual([4, request.length]);
    const what = [names[command], textAt(request, 48), textAt(request, 176), (request.readUInt32LE(28) & deferred) !== 0 ? "deferred" : "", ...targets(request)]
      .filter((one) => one !== "").join(" ");
    asked.push(what);
    const refused = refuse(what, asked.filter((one) => one === what).length);
    if (refused) throw Object.assign(new Error(refused.code), refused);
    if (command === 6) request.writeBigUInt64LE(BigInt((253 << 8) | (minor += 1)), 40);
    if (command === 7) request.write(`${taken}\0`, 176, "latin1");
  });
});
afterEach(() => jest.restoreAllMocks());

test("several runs: one linear target each, in the order of the file, and the device goes with its last user", () => {
  expect(stackMapper("7:3", { uuid, ino: 7, parts, encrypted: false })).toEqual({ fd: node + 3, device: "/dev/dm-3" });
  expect(asked).toEqual([
    `create ${name} ${id}`, `load ${id} 0 128 linear 7:3 64 128 16 linear 7:3 0`, `resume ${id}`, "open /dev/dm-3", `remove ${id} deferred`,
  ]);
});

test("encrypted: behind the file's header, with a key that is a name here, and gone from the keyring whatever becomes of it", () => {
  const table = { uuid, ino: 7, parts: [parts[0]!], encrypted: true };
  expect(stackMapper("7:3", table).device).toBe("/dev/dm-3");
  const load = `load ${id}-crypt 0 120 crypt aes-xts-plain64 :64:logon:swapfs:${name} 0 7:3 72 1 sector_size:4096`;
  expect(asked).toEqual(["modprobe -q dm_crypt", `key swapfs:${name} of 64 bytes`, `create ${name}-crypt ${id}-crypt`, load,
    `resume ${id}-crypt`, "open /dev/dm-3", `remove ${id}-crypt deferred`, "unlink 4711"]);
  asked = [];
  refuse = (what) => (what === load ? { code: "EINVAL" } : undefined);
  expect(() => stackMapper("7:3", table)).toThrow("device mapper makes no crypt device of it (EINVAL), look at dmesg");
  expect(asked.slice(4)).toEqual([`remove ${id}-crypt deferred`, "unlink 4711", `remove ${id}-crypt deferred`, `remove ${id} deferred`]);
});

test("encrypted over several runs: over the linear one, which nothing but the encrypted one holds", () => {
  expect(stackMapper("7:3", { uuid, ino: 7, parts, encrypted: true }).device).toBe("/dev/dm-4");
  expect(asked).toContain(`load ${id}-crypt 0 136 crypt aes-xts-plain64 :64:logon:swapfs:${name} 0 253:3 8 1 sector_size:4096`);
  expect(asked.at(-1)).toBe("close 3");
});

test("a name that is taken: another's is told and left; what a crash of ours has left is replaced, unless it is in use", () => {
  const table = { uuid, ino: 7, parts, encrypted: false };
  const create = `create ${name} ${id}`;
  refuse = (what) => (what === create ? { code: "EBUSY" } : undefined);
  taken = "LVM-x";
  expect(() => stackMapper("7:3", table)).toThrow(`somebody else's device has the name ${name}`);
  expect(asked.filter((what) => what.startsWith("remove") && !what.includes(id))).toEqual([]);
  taken = id;
  expect(() => stackMapper("7:3", table)).toThrow(`device mapper has ${name} already, in use`);
  asked = [];
  refuse = (what, count) => (what === create && count === 1 ? { code: "EBUSY" } : undefined);
  expect(stackMapper("7:3", table).device).toBe("/dev/dm-3");
  expect(asked.slice(0, 4)).toEqual([create, `status ${name}`, `remove ${id}`, create]);
});

test("letGo: both that a view can have, the upper one first; one that is not there is no error", () => {
  refuse = () => ({ code: "ENXIO" });
  letGo(uuid, 7);
  expect(asked).toEqual([`remove ${id}-crypt deferred`, `remove ${id} deferred`]);
});

test("topOf, wayOf: by their dm uuid, whoever asks; not another's device over the same", () => {
  jest.restoreAllMocks();
  const tree = new SysfsTree();
  try {
    tree.device("7:3", "loop3");
    tree.device("7:4", "loop4");
    tree.device("253:0", "dm-0", { "dm/uuid": id }, ["loop3"]);
    tree.device("253:1", "dm-1", { "dm/uuid": `${id}-crypt` }, ["dm-0"]);
    tree.device("253:2", "dm-2", { "dm/uuid": "LVM-x" }, ["loop4"]);
    expect([topOf("/dev/loop3", tree.sysfs), topOf("/dev/loop4", tree.sysfs)]).toEqual(["/dev/dm-1", "/dev/loop4"]);
    expect(["loop3", "dm-0", "dm-1", "dm-2"].map((one) => wayOf(`/dev/${one}`, tree.sysfs))).toEqual(["loop", "device mapper", "device mapper, encrypted", "loop"]);
    expect(mapperIdOf("/dev/dm-2", tree.sysfs)).toBeUndefined();
  } finally {
    tree.remove();
  }
});

test("a random key is in the keyring of this thread until it is unlinked, and nobody reads it", () => {
  jest.restoreAllMocks();
  const [one, other] = ["swapfs:test-1", "swapfs:test-2"].map((description) => addon().addRandomKey(description, 64));
  expect(one).not.toBe(other);
  expect(fs.readFileSync("/proc/keys", "utf8")).toMatch(/logon +swapfs:test-1: 64/);
  for (const serial of [one!, other!]) addon().unlinkKey(serial);
  expect(() => addon().unlinkKey(one!)).toThrow("ENO");
  expect(() => addon().addRandomKey("without a colon", 64)).toThrow("EINVAL");
  expect(() => addon().addRandomKey("swapfs:long", 8192)).toThrow("EINVAL");
});
