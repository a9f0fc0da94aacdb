// FileBlockDevice on a real image file: contents survive, errors name the path, the hooks are asked.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { addon } from "#src/sys/addon";
import { ImageFile } from "#src/sys/imagefile";
import { FileBlockDevice } from "#src/volume/file-device";
import { Volume } from "#src/volume/volume";
import { fill, newFile } from "./small";

let folder: string;
beforeAll(() => void (folder = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-file-device-"))));
afterAll(() => fs.rmSync(folder, { recursive: true }));

function image(name: string, byteLength: number): string {
  const file = path.join(folder, name);
  fs.writeFileSync(file, "");
  fs.truncateSync(file, byteLength);
  return file;
}

test("FileBlockDevice: a volume in an image file, closed and opened again", async () => {
  const file = image("a.img", 16 * 2 ** 20);
  const punched: number[] = [];
  const options = { punch: (_fd: number, offset: number, length: number) => void punched.push(offset, length), allocate: () => {} };
  Volume.format(new FileBlockDevice(file, options));
  let volume = Volume.open(new FileBlockDevice(file, options), { boot: 0 });
  const ino = newFile(volume, "a");
  fill(volume, ino, 0, 10);
  await volume.flush();
  volume.release(volume.commit([{ kind: "set-extents", ino, filePage: 0, count: 4, extents: [] }]));
  await volume.flush();
  expect(punched.slice(-2)).toEqual([expect.any(Number), 4 * 4096]);
  volume.close();
  volume = Volume.open(new FileBlockDevice(file, { readOnly: true }), { readOnly: true });
  expect(volume.inode(ino)!.pages).toBe(6);
  expect(volume.check().findings).toEqual([]);
  volume.close();
});

test("FileBlockDevice: a host without room is ENOSPC, whatever the hook throws else is EIO", () => {
  const fail = (code: string) => (): never => { throw Object.assign(new Error(code), { code }); };
  const device = (code: string): FileBlockDevice => new FileBlockDevice(image("b.img", 8192), { allocate: fail(code), punch: fail("EOPNOTSUPP") });
  expect(() => device("ENOSPC").allocateBacking(1, 1)).toThrow(expect.objectContaining({ code: "ENOSPC" }));
  expect(() => device("EPERM").allocateBacking(1, 1)).toThrow(expect.objectContaining({ code: "EIO" }));
  expect(() => device("EPERM").discard(1, 1)).not.toThrow();
});

test("FileBlockDevice: what cannot be opened or read is named", async () => {
  expect(() => new FileBlockDevice(path.join(folder, "none"))).toThrow("none: no such file or device");
  expect(() => new FileBlockDevice(image("empty.img", 0))).toThrow("its size is 0");
  const device = new FileBlockDevice(image("c.img", 8192), { byteLength: 16384 });
  expect(() => device.read(8192, 4096)).toThrow("c.img: it ends at byte 8192");
  device.close();
  device.close();
  expect(() => device.write(0, Buffer.alloc(512))).toThrow(/cannot write .*c\.img: .*EBADF/);
  await expect(device.flushAsync()).rejects.toMatchObject({ code: "EIO" });
});

test("FileBlockDevice: after close no step of an allocation begins, and no discard that waited for its turn", async () => {
  const file = image("closing.img", 64 * 2 ** 20);
  const lock = fs.openSync(file, "r+");
  const below = new ImageFile(lock);
  const device = new FileBlockDevice(file, {
    settle: () => addon().waitForWork(),
    allocateWritten: (_, offset, length, signal) => below.allocateWritten(offset, length, signal),
    punchAsync: (_, offset, length, signal) => below.punchAsync(offset, length, signal),
  });
  const allocation = device.writeBacking!(0, 8192).then(() => "went on", (error: Error) => error.message);
  const discarded = device.discardAsync!(8192, 4096);
  await new Promise(setImmediate); // the first step is under way
  device.close();
  const data = Buffer.alloc(4096, "d"); // of the next mount
  const places = [31 * 2 ** 20, 32 * 2 ** 20];
  for (const at of places) fs.writeSync(lock, data, 0, data.length, at);
  expect(await allocation).toMatch(/it is closed/);
  await discarded;
  for (const at of places) {
    const read = Buffer.alloc(4096);
    fs.readSync(lock, read, 0, read.length, at);
    expect([at, read.equals(data)]).toEqual([at, true]);
  }
  fs.closeSync(lock);
  fs.closeSync(below.fd);
});

test("FileBlockDevice: zeros and copies of another thread: in bytes, errors named, and none after close", async () => {
  const asked: number[][] = [];
  const fail = (): Promise<void> => Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" }));
  const device = new FileBlockDevice(image("d.img", 65536), {
    zero: (...bytes) => (asked.push(bytes), Promise.resolve()), copy: (...bytes) => (bytes[0] === 0 ? fail() : (asked.push(bytes), Promise.resolve())),
  });
  await device.zeroPages!(2, 3);
  await device.copyPages!(1, 5, 2);
  expect(asked).toEqual([[8192, 12288], [4096, 20480, 8192]]);
  await expect(device.copyPages!(0, 5, 2)).rejects.toMatchObject({ code: "EIO", message: expect.stringContaining("cannot copy pages of") });
  device.close();
  await expect(device.zeroPages!(2, 3)).rejects.toMatchObject({ code: "EIO", message: expect.stringContaining("it is closed") });
  await expect(device.copyPages!(1, 5, 2)).rejects.toMatchObject({ code: "EIO" });
  expect(asked).toHaveLength(2);
});
