// Where a device lies, from a tree like /sys: through partitions, loop devices and device mapper.

import * as fs from "node:fs";
import * as path from "node:path";

import { openImage } from "#src/engine/native/surroundings";
import { discardBytesMax, placeOf, shareBytes, wholeFile } from "#src/sys/imagebelow";
import { SysfsTree } from "../support/sysfs-tree";

let tree: SysfsTree;
let root: string;
let sysfs: string;
let image: string;

beforeEach(() => {
  tree = new SysfsTree();
  ({ root, sysfs, image } = tree);
});
afterEach(() => tree.remove());

const device = (...args: Parameters<SysfsTree["device"]>): void => tree.device(...args);
const slave = (mapper: string, name: string): void => tree.slave(mapper, name);
const loop = (offset = 0, file = image): Record<string, string | number> => ({ "loop/backing_file": file, "loop/offset": offset });

test("placeOf: a disk, its partition, and neither", () => {
  device("8:0", "sda", {});
  device("8:1", "sda/sda1", { partition: 1, start: 2048, size: 300 });
  expect(placeOf("8:0", sysfs)).toEqual({ disk: "sda", offset: 0, length: 512_000, file: undefined, mapper: undefined });
  expect(placeOf("8:1", sysfs)).toEqual({ disk: "sda", offset: 2048 * 512, length: 300 * 512, file: undefined, mapper: undefined });
  expect(placeOf("8:2", sysfs)).toBeUndefined();
  expect(openImage("8:1", sysfs)).toBeUndefined();
  expect(openImage("8:2", sysfs)).toMatchObject({ kind: "unreachable-image", file: "8:2" });
});

test("placeOf: a partition of a loop device with an offset of its own lies in the file below it", () => {
  device("7:3", "loop3", loop(8192));
  device("259:1", "loop3/loop3p1", { partition: 1, start: 2048, size: 300 });
  expect(placeOf("7:3", sysfs)).toMatchObject({ file: image, offset: 8192, length: 512_000 });
  expect(placeOf("259:1", sysfs)).toMatchObject({ file: image, offset: 8192 + 2048 * 512, length: 300 * 512 });
  expect(openImage("259:1", sysfs)).toEqual({ fd: expect.any(Number), offset: 8192 + 2048 * 512 });
});

test("placeOf: a file below somebody's loop device that cannot be looked at (a disk that fails) is still a file", () => {
  const unreachable = path.join(root, "unreachable");
  fs.symlinkSync(unreachable, unreachable); // ELOOP, as EIO is no ENOENT
  device("7:4", "loop4", loop(0, unreachable));
  expect(placeOf("7:4", sysfs)).toMatchObject({ file: unreachable, offset: 0 });
  expect(openImage("7:4", sysfs)).toMatchObject({ kind: "unreachable-image" });
});

test("a device of the mapper over a partition of a loop device is refused with the names of both, and through another device as well", () => {
  device("7:3", "loop3", loop());
  device("259:1", "loop3/loop3p1", { partition: 1, start: 2048 });
  device("253:0", "dm-0", {});
  slave("dm-0", "loop3/loop3p1");
  device("253:1", "dm-1", {});
  slave("dm-1", "dm-0");
  expect(placeOf("253:1", sysfs)).toMatchObject({ file: image, mapper: "dm-1", offset: 0, length: Infinity });
  expect(openImage("253:0", sysfs)).toEqual({
    kind: "unreachable-image", file: image, why: "dm-0 lies between, and where that has put its pages is not known",
  });
});

test("a device of the mapper over disks is no image", () => {
  device("8:0", "sda", {});
  device("253:0", "dm-0", {});
  slave("dm-0", "sda");
  expect(openImage("253:0", sysfs)).toBeUndefined();
});

test.each([["(deleted)", (): string => `${image} (deleted)`], ["a folder", (): string => root]])("a file that cannot be opened is refused: %s", (_name, file) => {
  device("7:3", "loop3", loop(0, file()));
  expect(openImage("7:3", sysfs)).toMatchObject({ kind: "unreachable-image", file: file() });
});

test("discardBytesMax: 0 wherever a discard would punch a hole into a file", () => {
  device("8:0", "sda", {});
  device("8:1", "sda/sda1", { partition: 1, start: 2048 });
  device("7:3", "loop3", loop());
  device("253:0", "dm-0", {});
  slave("dm-0", "loop3");
  expect(["8:0", "8:1", "7:3", "253:0", "9:9"].map((number) => discardBytesMax(number, sysfs))).toEqual([4096, 4096, 0, 0, 0]);
});

test("shareBytes: twins below partitions, not neighbours", () => {
  device("7:3", "loop3", { ...loop(), size: 4000 });
  device("259:1", "loop3/loop3p1", { partition: 1, start: 2048, size: 300 });
  device("259:2", "loop3/loop3p2", { partition: 2, start: 2348, size: 300 });
  device("7:4", "loop4", { ...loop(2048 * 512), size: 300 });
  device("8:1", "sda", {});
  fs.linkSync(image, `${image}.link`);
  const shared = (one: string, other: string): boolean => shareBytes(placeOf(one, sysfs), placeOf(other, sysfs));
  expect([shared("259:1", "7:4"), shared("259:1", "7:3"), shared("259:1", "259:2"), shared("259:2", "7:4"), shared("8:1", "7:4")])
    .toEqual([true, true, false, false, false]);
  expect(shareBytes(wholeFile(`${image}.link`), placeOf("259:2", sysfs))).toBe(true);
  expect(shareBytes(wholeFile(`${image}.other`), placeOf("259:2", sysfs))).toBe(false);
});
