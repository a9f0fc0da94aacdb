// The format, byte by byte: a superblock, a checkpoint header and a record, annotated; and a whole volume of version 1
// that every later version must open.

import fs from "node:fs";
import path from "node:path";
import { describeBytes } from "../volume/hexdump";
import { MemoryBlockDevice } from "../support/memory-device";
import { checkDevice } from "#src/volume/fsck";
import { Volume } from "#src/volume/volume";
import { attributes, smallAreas, smallDevice } from "../volume/small";
import { dumpVolume } from "../volume/model";

const file = path.resolve(__dirname, "../../test/golden/volume-1.txt");

/** What the golden volume has lived through; the same steps give the same bytes for ever. */
function goldenDevice(): MemoryBlockDevice {
  const device = smallDevice({}, 14);
  const volume = Volume.open(device, { boot: 0 });
  const ino = volume.nextIno();
  const link = volume.nextIno();
  volume.commit([
    { kind: "put-inode", ino, attributes: attributes(0o100600, { size: 10_000 }) },
    { kind: "put-entry", parent: 1, name: "swap", ino, type: 8 },
  ], { session: 0x1122334455667788n, unique: 42n, ino });
  const [run] = volume.allocate(3) as [{ page: number; count: number }];
  volume.commit([{ kind: "set-extents", ino, filePage: 0, count: 3, extents: [
    { filePage: 0, devicePage: run.page, count: 1, state: "written" },
    { filePage: 1, devicePage: run.page + 1, count: 2, state: "unwritten" },
  ] }]);
  volume.checkpoint();
  volume.commit([
    { kind: "put-inode", ino: link, attributes: attributes(0o120777), target: "swap" },
    { kind: "put-entry", parent: 1, name: "li\xf1k", ino: link, type: 10 },
    { kind: "put-xattr", ino, name: "user.note", value: Buffer.from("hello") },
  ]);
  return device;
}

test("a volume of version 1 opens, is sound and holds what it held", () => {
  const device = fromText(fs.readFileSync(file, "utf8"));
  expect(checkDevice(device).findings).toEqual([]);
  const volume = Volume.open(device, { readOnly: true });
  expect([...volume.inode(1)!.entries!]).toEqual([["swap", { ino: 2, type: 8 }], ["li\xf1k", { ino: 3, type: 10 }]]);
  expect(volume.inode(2)).toMatchObject({ mode: 0o100600, size: 10_000, uid: 1000, pages: 3 });
  expect([...volume.inode(2)!.extents].map((extent) => extent.state)).toEqual(["written", "unwritten"]);
  expect(volume.inode(2)!.xattrs.get("user.note")!.toString()).toBe("hello");
  expect(volume.inode(3)!.target).toBe("swap");
  expect(volume.doneRequest(0x1122334455667788n, 42n)).toEqual({ session: 0x1122334455667788n, unique: 42n, ino: 2 });
  expect(dumpVolume(volume)).toBe(dumpVolume(Volume.open(goldenDevice(), { readOnly: true })));
});

test("the same steps give the same bytes", () => {
  const made = describeBytes(goldenDevice(), smallAreas);
  if (process.env["SWAPFS_WRITE_GOLDEN"] !== undefined) fs.writeFileSync(file, made);
  expect(made).toBe(fs.readFileSync(file, "utf8"));
});

/** The device that a golden file describes: "# size N", comments, and "offset: hex" lines. */
function fromText(text: string): MemoryBlockDevice {
  const size = Number(/^# (\d+) bytes/m.exec(text)![1]);
  const device = new MemoryBlockDevice(size);
  for (const [, offset, hex] of text.matchAll(/^([0-9a-f]{8}): ([0-9a-f ]+)/gm)) {
    device.poke(parseInt(offset!, 16), Buffer.from(hex!.replaceAll(" ", ""), "hex"));
  }
  return device;
}
