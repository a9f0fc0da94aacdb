// What lies on a device that holds a volume, and is not to be taken for somebody else's: and what must be.

import { isContent } from "#src/volume/contents";
import { MemoryBlockDevice } from "../support/memory-device";
import { Volume } from "#src/volume/volume";
import { newFile } from "./small";

const page = 4096;

function made(): { device: MemoryBlockDevice; volume: Volume } {
  const device = new MemoryBlockDevice(64 * 2 ** 20);
  Volume.format(device, { force: true });
  return { device, volume: Volume.open(device, { boot: 0 }) };
}

test("isContent: over a superblock, behind a checkpoint and in a damaged one it is somebody else's", () => {
  const { device, volume } = made();
  const [a] = volume.geometry.checkpoint;
  volume.close();
  expect(isContent(device, 32 * 1024 + 1)).toBe(false); // UDF, ISO 9660: nothing of ours is overwritten
  expect(isContent(device, (a + 1) * page)).toBe(true);
  const overwritten = device.clone();
  overwritten.poke((a + 1) * page + 10, Buffer.alloc(page, "x"));
  expect(isContent(overwritten, (a + 1) * page + 10)).toBe(false);
  device.poke(1024, Buffer.alloc(1024, "x"));
  expect(isContent(device, 1024)).toBe(false);
});

test("a checkpoint leaves zeros behind its payload, where a longer one had an attribute", () => {
  const { device, volume } = made();
  const ino = newFile(volume, "a");
  for (const name of ["user.a", "user.b"]) volume.commit([{ kind: "put-xattr", ino, name, value: Buffer.alloc(60_000, "_BHRfS_M") }]);
  for (let n = 0; n < 2; n += 1) volume.checkpoint();
  const places = volume.geometry.checkpoint.map((start) => (start + 10) * page);
  for (const at of places) expect([device.read(at, page).includes("_BHRfS_M"), isContent(device, at)]).toEqual([true, true]);
  for (const name of ["user.a", "user.b"]) volume.commit([{ kind: "drop-xattr", ino, name }]);
  for (let n = 0; n < 2; n += 1) volume.checkpoint();
  for (const at of places) expect(device.read(at, page)).toEqual(Buffer.alloc(page));
  volume.close();
});
