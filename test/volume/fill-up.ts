// Run by room.test.ts with the heap of a small machine: opens a large volume that holds as much as one may of the smallest
// things of one kind, tries to add one and to take one away, and prints what came out.

import { FsError } from "#src/base/errors";
import { perform } from "#src/volume/blockdevice";
import { S_IFDIR, S_IFREG, type Change } from "#src/volume/changes";
import { checkpointSteps } from "#src/volume/checkpoint";
import { MemoryBlockDevice } from "../support/memory-device";
import { dropReserveBytes, metadataCapacity } from "#src/volume/room";
import { VolumeState, apply } from "#src/volume/state";
import { geometryOf, newSuperblock } from "#src/volume/superblock";
import { Volume } from "#src/volume/volume";
import { attributes, created, uuid } from "./small";

type Kind = "files" | "directories" | "xattrs" | "extents";

/** Of each inode, and names of at most three characters beside it. */
const perInode = 26 ** 3;

/** One thing: its inode is new, unless it is one of many. */
function thing(kind: Kind, n: number, dataStart: number): Change[] {
  const many = kind === "xattrs" || kind === "extents";
  const ino = 2 + (many ? Math.floor(n / perInode) : n);
  const part = many ? n % perInode : 0;
  const time = (): { seconds: number; nanoseconds: number } => ({ seconds: n, nanoseconds: n });
  const times = { atime: time(), mtime: time(), ctime: time(), size: 2 ** 45 + n };
  const changes: Change[] = part > 0 ? [] : [
    { kind: "put-inode", ino, attributes: attributes(kind === "directories" ? S_IFDIR | 0o700 : S_IFREG | 0o600, times), parent: 1 },
    { kind: "put-entry", parent: 1, name: n.toString(36), ino, type: kind === "directories" ? 4 : 8 },
  ];
  if (kind === "xattrs") changes.push({ kind: "put-xattr", ino, name: `user.${part.toString(26)}`, value: Buffer.alloc(0) });
  // Every second page: each extent leaves a free run beside it.
  const extent = { filePage: 2 * part, devicePage: dataStart + 2 * n, count: 1, state: "written" as const };
  if (kind === "extents" || kind === "files") changes.push({ kind: "set-extents", ino, filePage: 2 * part, count: 1, extents: [extent] });
  return changes;
}

/** A volume that was filled before there was a bound may have more. */
function fillUp(device: MemoryBlockDevice, kind: Kind, times: number): number {
  const fields = newSuperblock("test", device.byteLength, uuid, created);
  Volume.format(device, { uuid, created });
  const geometry = geometryOf(fields);
  const state = new VolumeState();
  apply(state, { kind: "put-inode", ino: 1, attributes: attributes(S_IFDIR | 0o755, { nlink: 2 }), parent: 1 });
  const full = times * (metadataCapacity(geometry) - dropReserveBytes) - 100;
  let made = 0;
  for (; state.checkpointBytes < full; made += 1) for (const change of thing(kind, made, geometry.dataStart)) apply(state, change);
  for (const side of [0, 1] as const) perform(device, checkpointSteps(geometry, state, side, { half: 0, sector: 0, sequence: 5, previous: 0 }, 1));
  return made;
}

function errorOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    return error.code;
  }
}

const [kind, times] = [process.argv[2] as Kind, Number(process.argv[3])];
const device = new MemoryBlockDevice(64 * 2 ** 30);
const made = fillUp(device, kind, times);
const volume = Volume.open(device, { boot: 0 });
volume.checkpoint();
const { freeInodes, inodes } = volume.statfs();
const newIno = volume.nextIno();
const added = errorOf(() => volume.commit([
  { kind: "put-inode", ino: newIno, attributes: attributes(S_IFREG | 0o600) }, { kind: "put-entry", parent: 1, name: "new", ino: newIno, type: 8 },
]));
const dropped = errorOf(() => volume.commit([{ kind: "drop-entry", parent: 1, name: "0" }, { kind: "drop-inode", ino: 2 }]));
console.log(JSON.stringify({ made, inodes, freeInodes, added, dropped, heapMiB: Math.round(process.memoryUsage().heapUsed / 2 ** 20) }));
