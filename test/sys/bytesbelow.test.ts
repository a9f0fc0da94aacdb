// On which bytes of which disks a device lies, from a tree like /sys, and whether two devices have some in common.

import * as fs from "node:fs";

import { bytesBelow, bytesOf, overlap } from "#src/sys/bytesbelow";
import { SysfsTree } from "../support/sysfs-tree";

let tree: SysfsTree;
let sysfs: string;
let image: string;

beforeEach(() => {
  tree = new SysfsTree();
  ({ sysfs, image } = tree);
});
afterEach(() => tree.remove());

const device = (...args: Parameters<SysfsTree["device"]>): void => tree.device(...args);
const meet = (a: string, b: string): boolean => overlap(bytesBelow(a, sysfs), bytesBelow(b, sysfs));

test("a disk and its partitions: each partition shares bytes with the disk, and with no other partition", () => {
  device("8:0", "sda");
  device("8:1", "sda/sda1", { partition: 1, start: 0, size: 300 });
  device("8:2", "sda/sda2", { partition: 2, start: 300, size: 700 });
  device("8:16", "sdb");
  expect(bytesBelow("8:2", sysfs)).toEqual([{ on: "sda", from: 300 * 512, to: 1000 * 512, by: [] }]);
  expect([meet("8:0", "8:1"), meet("8:2", "8:0"), meet("8:1", "8:2"), meet("8:0", "8:16"), meet("8:0", "8:77")]).toEqual([true, true, false, false, false]);
});

test("loop devices over one file, with offsets, and the file itself", () => {
  device("7:0", "loop0", { "loop/backing_file": image, "loop/offset": 0 });
  device("7:1", "loop1", { "loop/backing_file": image, "loop/offset": 1000 * 512 });
  device("7:2", "loop2", { "loop/backing_file": image, "loop/offset": 999 * 512 });
  expect([meet("7:0", "7:1"), meet("7:0", "7:2"), meet("7:1", "7:2")]).toEqual([false, true, true]);
  expect(overlap(bytesOf(fs.statSync(image)), bytesBelow("7:1", sysfs))).toBe(true);
});

test("a loop device over a file that is gone is known by its name", () => {
  const gone = { "loop/backing_file": `${image} (deleted)`, "loop/offset": 0 };
  device("7:0", "loop0", gone);
  device("7:1", "loop1", gone);
  expect([meet("7:0", "7:1"), overlap(bytesOf(fs.statSync(image)), bytesBelow("7:1", sysfs))]).toEqual([true, false]);
});

test("device mapper: it may have any bytes of its disks, but two of it have different ones unless one lies on the other", () => {
  device("8:0", "sda");
  device("8:1", "sda/sda1", { partition: 1, start: 0, size: 300 });
  device("8:2", "sda/sda2", { partition: 2, start: 300, size: 700 });
  device("8:16", "sdb");
  device("253:0", "dm-0", {}, ["sda/sda2", "sdb"]);
  device("253:1", "dm-1", {}, ["sda/sda2"]);
  device("253:2", "dm-2", {}, ["dm-1"]);
  device("253:3", "dm-2/dm-2p1", { partition: 1, start: 8, size: 8 });
  expect(["8:0", "8:2", "8:16", "253:0"].map((other) => meet("253:0", other))).toEqual([true, true, true, true]);
  expect(["8:1", "253:1", "253:2"].map((other) => meet("253:0", other))).toEqual([false, false, false]);
  expect(["8:2", "253:1", "253:3"].map((other) => meet("253:2", other))).toEqual([true, true, true]);
});
