// What is said of a network block device, from a tree of files.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

import { connectedNbds, nbdWarning } from "#src/sys/nbd";

let root: string;
beforeEach(() => (root = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-nbd-"))));
afterEach(() => fs.rmSync(root, { recursive: true }));

function put(name: string, text: string): void {
  fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
  fs.writeFileSync(path.join(root, name), text);
}

test("connectedNbds: those with a pid", () => {
  put("sys/block/nbd0/pid", "41\n");
  put("sys/block/nbd1/size", "0\n");
  put("sys/block/sda/pid", "1\n");
  expect(connectedNbds(root)).toEqual(["nbd0"]);
});

test.each<[string, string, string | undefined, readonly string[], RegExp | undefined]>([
  ["by ioctl", "nbd0", "nbd_start_device_ioctl", ["nbd-client"], /^\/dev\/nbd0 is connected by ioctl/],
  ["a partition", "nbd0p1", "nbd_start_device_ioctl", ["nbd-client"], /^\/dev\/nbd0 is connected by ioctl/],
  ["by netlink, and its client has ended", "nbd0", undefined, [], /dead_conn_timeout cannot be seen/],
  ["by nbd-keep.py", "nbd0", "do_poll", ["python3", "/opt/swapfs/docs/nbd-keep.py", "server"], undefined],
  ["not connected", "nbd1", undefined, [], undefined],
  ["another device", "sda", undefined, [], undefined],
])("nbdWarning: %s", (_, name, wchan, words, found) => {
  put("sys/block/nbd0/pid", "41\n");
  if (wchan !== undefined) put("proc/41/wchan", wchan);
  const warning = nbdWarning(name, root, () => [...words]);
  if (found === undefined) expect(warning).toBeUndefined();
  else expect(warning).toMatchObject({ found: expect.stringMatching(found), remedy: expect.stringContaining("nbd-keep.py") });
});
