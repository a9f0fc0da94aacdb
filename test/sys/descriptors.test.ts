import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";

import { addon, falloc } from "#src/sys/addon";
import { peerOf } from "#src/sys/peer";
import { fileExtents } from "../support/hostdevices";

let folder: string;
beforeAll(() => (folder = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-sys-"))));
afterAll(() => fs.rmSync(folder, { recursive: true }));

describe("mapShared", () => {
  test("shows the file's own bytes to every mapping", () => {
    const fd = addon().memfdCreate("swapfs-test", 8192);
    const one = new BigUint64Array(addon().mapShared(fd, 8192));
    const two = new BigUint64Array(addon().mapShared(fd, 8192));
    one[1000] = 42n;
    expect(two[1000]).toBe(42n);
    expect(Atomics.exchange(two, 1000, 0n)).toBe(42n);
    expect(one[1000]).toBe(0n);
    fs.closeSync(fd);
    one[0] = 1n; // the mapping outlives the descriptor
  });

  test("throws for a descriptor that cannot be mapped", () => {
    expect(() => addon().mapShared(-1, 4096)).toThrow(expect.objectContaining({ code: "EBADF", syscall: "mmap" }));
  });
});

test("write and openFlags", () => {
  const fd = fs.openSync(path.join(folder, "w"), fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_APPEND);
  expect(addon().write(fd, Buffer.from("abc"))).toBe(3);
  expect(addon().openFlags(fd) & (fs.constants.O_APPEND | fs.constants.O_WRONLY)).toBe(fs.constants.O_APPEND | fs.constants.O_WRONLY);
  fs.closeSync(fd);
  expect(() => addon().write(fd, Buffer.from("abc"))).toThrow(expect.objectContaining({ code: "EBADF", errno: -9 }));
});

describe("fallocate and fiemap", () => {
  const mib = 2 ** 20;
  let fd: number;
  beforeEach(() => (fd = fs.openSync(path.join(folder, "f"), "w+")));
  afterEach(() => fs.closeSync(fd));
  const pages = (): number => fileExtents(fd, 0, 64 * mib).reduce((sum, extent) => sum + extent.length / 4096, 0);

  test("mode 0 backs and lengthens, punchHole gives back", () => {
    addon().fallocate(fd, 0, 0, mib);
    expect(fs.fstatSync(fd).size).toBe(mib);
    expect(pages()).toBe(256);
    expect(fileExtents(fd, 0, mib).every((extent) => extent.flags.includes("unwritten"))).toBe(true);
    addon().fallocate(fd, falloc.punchHole | falloc.keepSize, 4096, 8192);
    expect(pages()).toBe(254);
    expect(fs.fstatSync(fd).size).toBe(mib);
  });

  test("written extents are not unwritten", () => {
    fs.writeSync(fd, Buffer.alloc(16384, 5), 0, 16384, 0);
    fs.fsyncSync(fd);
    expect(fileExtents(fd, 0, 16384)[0]?.flags).not.toContain("unwritten");
  });

  test("many extents come in order and whole", () => {
    const count = 1500;
    for (let i = 0; i < count; i += 1) fs.writeSync(fd, Buffer.alloc(4096, 1), 0, 4096, i * 8192);
    const extents = fileExtents(fd, 0, count * 8192);
    expect(extents.reduce((sum, extent) => sum + extent.length, 0)).toBe(count * 4096);
    expect(extents.every((extent, i) => i === 0 || extent.logical >= extents[i - 1]!.logical + extents[i - 1]!.length)).toBe(true);
  });

  test("no room: the errno says so", () => {
    const free = fs.statfsSync(folder);
    expect(() => addon().fallocate(fd, 0, 0, free.bsize * (free.blocks + 1))).toThrow(expect.objectContaining({ code: expect.stringMatching(/ENOSPC|EFBIG/) }));
  });
});

test("peerOf tells who connected", async () => {
  const server = net.createServer();
  const socketPath = path.join(folder, "s");
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const accepted = new Promise<net.Socket>((resolve) => server.once("connection", resolve));
  const client = net.connect(socketPath);
  const socket = await accepted;
  expect(peerOf(socket)).toEqual({ pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
  client.destroy();
  socket.destroy();
  expect(() => peerOf(socket)).toThrow(expect.objectContaining({ code: "EBADF" }));
  await new Promise((resolve) => server.close(resolve));
});
