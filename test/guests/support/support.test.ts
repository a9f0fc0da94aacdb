// The parts of the guests' framework that need no guest.

import { cpio } from "./cpio";
import { packagesOf } from "./kernels";
import { complaintsIn } from "./scenario";

test("packagesOf: the release's stock packages, the newest first", () => {
  const names = [
    "linux-image-6.1.0-9-amd64", "linux-image-6.1.0-47-amd64", "linux-image-6.1.0-47-amd64-unsigned", "linux-image-6.1.0-47-cloud-amd64",
    "linux-image-6.12.107+deb12-amd64", "linux-image-6.12.99+deb12-amd64", "linux-image-6.12.107+deb12-rt-amd64", "linux-image-6.12-amd64-dbg",
  ];
  expect(packagesOf("6.1", names)).toEqual(["linux-image-6.1.0-47-amd64", "linux-image-6.1.0-9-amd64"]);
  expect(packagesOf("6.12", names)).toEqual(["linux-image-6.12.107+deb12-amd64", "linux-image-6.12.99+deb12-amd64"]);
});

test("cpio: newc headers of 110 bytes, names and contents padded to 4", () => {
  const archive = cpio([{ name: "bin", folder: true }, { name: "init", contents: "hello", executable: true }]);
  expect(archive.length % 4).toBe(0);
  const magics = [...archive.toString("latin1").matchAll(/070701/g)].map((match) => match.index);
  // 110 + "bin\0" is 114, padded to 116; 110 + "init\0" is 115, padded to 116; "hello" is padded to 8.
  expect(magics).toEqual([0, 116, 116 + 116 + 8]);
  expect(archive.subarray(232, 240).toString()).toBe("hello\0\0\0");
});

test("complaintsIn: what a kernel says of a fault, without what was expected", () => {
  const log = "[1.0] BUG: kernel NULL pointer dereference\n[2.0] I/O error, dev vda, sector 8\n[3.0] EXT4-fs (vdb): mounted\n";
  expect(complaintsIn(log)).toHaveLength(2);
  expect(complaintsIn(log, /dev vda/)).toEqual(["[1.0] BUG: kernel NULL pointer dereference"]);
});
