import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

import { deviceNumberOf } from "#src/sys/blockdevice";
import { lastingName } from "#src/sys/bynames";
import { hostFacts } from "#src/sys/hostfile";
import { holdsSharedWritable, inSwapon, sharedWriters } from "#src/sys/onlookers";

const maps = `55d0c0000000-55d0c0001000 rw-p 00000000 00:2b 5  /mnt/swap/a
7f0000000000-7f0000001000 r--s 00000000 00:2b 6  /mnt/swap/b
7f0000001000-7f0000002000 rw-s 00001000 00:2b 7  /mnt/swap/with space
7f0000002000-7f0000003000 rw-s 00000000 103:02 8  /x
`;

test("holdsSharedWritable: shared and writable, this device, this inode", () => {
  expect([5, 6, 7, 8].map((ino) => holdsSharedWritable(maps, "0:43", ino))).toEqual([false, false, true, false]);
  expect(holdsSharedWritable(maps, "259:2", 8)).toBe(true);
  expect(holdsSharedWritable(maps, "7:2", 7)).toBe(false);
});

test("sharedWriters: finds a process that maps a file, and only it", async () => {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-onlookers-")), "f");
  fs.writeFileSync(file, Buffer.alloc(4096));
  const { dev, ino } = fs.statSync(file);
  const child = spawn("python3", ["-c", "import mmap,sys; f=open(sys.argv[1],'r+b'); m=mmap.mmap(f.fileno(),4096); f.close(); print('mapped',flush=True); sys.stdin.read()", file]);
  try {
    await new Promise((resolve) => child.stdout.once("data", resolve));
    expect(await sharedWriters(deviceNumberOf(dev), ino)).toEqual([child.pid]);
  } finally {
    child.stdin.end();
    await new Promise((resolve) => child.once("exit", resolve));
  }
  expect(await sharedWriters(deviceNumberOf(dev), ino)).toEqual([]);
});

test("inSwapon: who is in another system call, or gone, is not", async () => {
  expect(await inSwapon([process.pid, 1, 2 ** 30])).toEqual([]);
});

test("hostFacts: by the descriptor alone", () => {
  const fd = fs.openSync("/proc/self/status", "r");
  expect(hostFacts(fd)).toMatchObject({ magic: 0x9fa0, flags: 0, options: expect.arrayContaining(["rw"]) });
  fs.closeSync(fd);
});

test("lastingName: PARTUUID before UUID before a path, else the device itself", () => {
  const disk = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-disk-"));
  const link = (folder: string, name: string): void => {
    fs.mkdirSync(path.join(disk, folder), { recursive: true });
    fs.symlinkSync("../../sdb1", path.join(disk, folder, name));
  };
  expect(lastingName("/dev/sdb1", disk)).toBe("/dev/sdb1");
  link("by-id", "ata-X-part1");
  expect(lastingName("/dev/sdb1", disk)).toBe(path.join(disk, "by-id/ata-X-part1"));
  link("by-uuid", "abcd");
  expect(lastingName("/dev/sdb1", disk)).toBe("UUID=abcd");
  link("by-partuuid", "1234-01");
  expect(lastingName("/dev/sdb1", disk)).toBe("PARTUUID=1234-01");
  expect(lastingName("/dev/sdb", disk)).toBe("/dev/sdb");
});
