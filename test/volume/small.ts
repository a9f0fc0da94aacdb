// Small volumes in memory: short journals, so that a history of a few commits meets checkpoints too.

import { MemoryBlockDevice, type MemoryDeviceOptions } from "../support/memory-device";
import type { Attributes, Change } from "#src/volume/changes";
import { Volume } from "#src/volume/volume";

export const smallAreas = { checkpointBlocks: 72, journalBlocks: 2 };
export const dataStart = 2 + 2 * 72 + 2 * 2;
export const uuid = Buffer.from("00112233445566778899aabbccddeeff", "hex");
export const created = 1_700_000_000;

/** Pages of a data area of which files may have `pages`. */
export function withKeptBack(pages: number): number {
  const all = Math.min(pages + 512, Math.floor((pages * 7) / 6));
  return all - Math.min(512, Math.floor(all / 7)) < pages ? all + 1 : all;
}

/** Files may have `dataPages` of it. */
export function smallDevice(options: MemoryDeviceOptions = {}, dataPages = 192): MemoryBlockDevice {
  const device = new MemoryBlockDevice((dataStart + withKeptBack(dataPages)) * 4096, options);
  Volume.format(device, { uuid, created, areas: smallAreas });
  return device;
}

export const epoch = { seconds: created, nanoseconds: 5 };

export function attributes(mode: number, changed: Partial<Attributes> = {}): Attributes {
  return { mode, uid: 1000, gid: 100, nlink: 1, size: 0, rdev: 0, atime: epoch, mtime: epoch, ctime: epoch, ...changed };
}

/** Makes the empty file `name` in the root directory. */
export function newFile(volume: Volume, name: string): number {
  const ino = volume.nextIno();
  const changes: Change[] = [
    { kind: "put-inode", ino, attributes: attributes(0o100600) },
    { kind: "put-entry", parent: 1, name, ino, type: 8 },
  ];
  volume.commit(changes);
  return ino;
}

/** Allocates and maps `count` pages from `filePage`. */
export function fill(volume: Volume, ino: number, filePage: number, count: number): void {
  let at = filePage;
  const extents = volume.allocate(count).map((run) => {
    const extent = { filePage: at, devicePage: run.page, count: run.count, state: "written" as const };
    at += run.count;
    return extent;
  });
  volume.release(volume.commit([{ kind: "set-extents", ino, filePage, count, extents }]));
}
