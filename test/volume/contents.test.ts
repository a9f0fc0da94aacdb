// What lies on a device that holds a volume, and is not to be taken for somebody else's: and what must be.

import { isContent } from "#src/volume/contents";
import { checkDevice } from "#src/volume/fsck";
import { MemoryBlockDevice, cut } from "../support/memory-device";
import { Volume } from "#src/volume/volume";
import { Random, Turns } from "./random";
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

test.each(["at once", "in steps"])("a checkpoint that is cut short while it is written, %s, is a volume's own at every moment", async (how) => {
  const { device, volume } = made();
  const ino = newFile(volume, "a");
  for (const name of ["user.a", "user.b"]) volume.commit([{ kind: "put-xattr", ino, name, value: Buffer.alloc(60_000, "_BHRfS_M") }]);
  volume.close();
  const recorded = device.clone({ record: true });
  const turns = new Turns();
  const opened = Volume.open(recorded, { boot: 0, ...(how === "in steps" && { steps: { bytes: 1000, turn: turns.turn } }) });
  const base = recorded.clone();
  recorded.steps = [];
  if (how === "at once") opened.checkpoint();
  else for (const before = opened.stats().checkpoints; opened.stats().checkpoints === before; await turns.take()) {
    for (let n = 0; n < 99; n += 1) opened.commit([{ kind: "put-xattr", ino, name: "user.c", value: Buffer.alloc(20_000, `_BHRfS_M${n}`) }]);
  }
  let short = 0;
  for (const [index] of recorded.steps.entries()) {
    for (const seed of [1, 2]) {
      const after = cut(base, recorded.steps.slice(0, index + 1), new Random(seed * 1000 + index).next);
      short += checkDevice(after).findings.length;
      for (const at of opened.geometry.checkpoint.flatMap((start) => [(start + 3) * page, (start + 20) * page])) {
        if (after.read(at, page).includes("_BHRfS_M") && !isContent(after, at)) throw new Error(`after ${index + 1} steps byte ${at} is somebody else's`);
      }
    }
  }
  expect(short).toBeGreaterThan(0);
});
