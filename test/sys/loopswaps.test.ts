// Loop devices over files of a mount, from a tree like /sys.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

import { loopsOverFilesOf } from "#src/sys/loopswaps";
import { parseMountInfo } from "#src/sys/mounttable";
import { parseSwaps } from "#src/sys/procswaps";

let sysfs: string;

beforeEach(() => {
  sysfs = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-sysfs-"));
  fs.mkdirSync(path.join(sysfs, "block/sda"), { recursive: true });
  fs.mkdirSync(path.join(sysfs, "block/loop9"));
});
afterEach(() => fs.rmSync(sysfs, { recursive: true }));

function loop(name: string, file: string, autoclear = 1): void {
  const folder = path.join(sysfs, "block", name, "loop");
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, "backing_file"), `${file}\n`);
  fs.writeFileSync(path.join(folder, "autoclear"), `${autoclear}\n`);
}

const areas = parseSwaps("Filename Type Size Used Priority\n/dev/loop1 partition 1020 0 7\n/mnt/swap/b file 1020 0 3\n");

const mounts = parseMountInfo(["8:1 / /", "7:3 / /mnt/swap", "7:3 /folder /elsewhere"]
  .map((what) => `1 1 ${what} rw - fuseblk /dev/x rw\n`).join(""));

test("loopsOverFilesOf: those over files of a volume through any mount, with their swap areas; unlinked files as well", () => {
  loop("loop0", "/mnt/swap2/a");
  loop("loop1", "/mnt/swap/a");
  loop("loop2", "/mnt/swap/gone (deleted)", 0);
  loop("loop3", "/elsewhere/c");
  expect(loopsOverFilesOf("7:3", areas, mounts, sysfs)).toEqual([
    { device: "/dev/loop1", file: "/mnt/swap/a", autoclear: true, area: expect.objectContaining({ priority: 7 }) },
    { device: "/dev/loop2", file: "/mnt/swap/gone", autoclear: false, area: undefined },
    { device: "/dev/loop3", file: "/elsewhere/c", autoclear: true, area: undefined },
  ]);
});
