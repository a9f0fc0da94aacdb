// How much metadata a volume may hold: never more than the control plane can open again on a small machine, whatever it is made of.

import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { controlPlaneArgv } from "#src/engine/native/environment";
import { FsError } from "#src/base/errors";
import { MemoryBlockDevice } from "../support/memory-device";
import { Volume } from "#src/volume/volume";
import { fill, newFile } from "./small";

jest.setTimeout(300_000);

/** What V8 takes for itself on a machine of 1 GiB, with what the control plane is started with. */
const flags = ["--max-old-space-size=512", ...controlPlaneArgv({ cow: false, unmapped: false }).filter((one) => one.startsWith("--"))];

test.each([
  ["of what takes most memory for its bytes", "xattrs", 1],
  ["of a volume that was filled before there was a bound", "files", 1.5],
])("a full volume opens with the heap of a machine of 1 GiB: %s", async (_, kind, times) => {
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, path.join(__dirname, "fill-up.js"), kind, `${times}`]);
  const { heapMiB, ...found } = JSON.parse(stdout) as { heapMiB: number };
  expect(found).toMatchObject({ freeInodes: 0, added: "ENOSPC" });
  expect(Object.keys(found)).not.toContain("dropped");
  expect(heapMiB).toBeLessThan(400);
});

function untilFull(work: (n: number) => void): number {
  for (let n = 0; ; n += 1) {
    try {
      work(n);
    } catch (error) {
      expect(error).toBeInstanceOf(FsError);
      expect((error as FsError).message).toContain("room for metadata is full, delete files");
      return n;
    }
  }
}

test("what statfs says is what a commit may add; punching holes is no way around it, and deleting always goes", () => {
  const device = new MemoryBlockDevice(64 * 2 ** 30);
  Volume.format(device);
  const volume = Volume.open(device, { boot: 0 });
  const [big, punched] = [newFile(volume, "big"), newFile(volume, "punched")];
  fill(volume, punched, 0, 100_000);
  const value = Buffer.alloc(2 ** 16);
  untilFull((n) => volume.commit([{ kind: "put-xattr", ino: big, name: `user.${n}`, value }]));
  const { freeInodes } = volume.statfs();
  expect(untilFull((n) => newFile(volume, `${n}`.padStart(8, "0")))).toBe(freeInodes);
  expect(volume.statfs().freeInodes).toBe(0);
  const holes = untilFull((n) => volume.release(volume.commit([{ kind: "set-extents", ino: punched, filePage: 2 * n + 1, count: 1, extents: [] }])));
  expect([holes > 2000, holes < 3000]).toEqual([true, true]);
  for (const [name, ino] of [["big", big], ["punched", punched]] as const) {
    volume.release(volume.commit([{ kind: "drop-entry", parent: 1, name }, { kind: "drop-inode", ino }]));
  }
  expect(volume.statfs().freeInodes).toBeGreaterThan(300_000);
});
