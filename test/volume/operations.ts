// Random operations on a volume as a filesystem would commit them: each leaves a volume that fsck finds sound.

import type { Attributes, Change, Extent, RequestId } from "#src/volume/changes";
import type { DeviceRun } from "#src/volume/blockdevice";
import { FsError } from "#src/base/errors";
import type { Inode } from "#src/volume/inode";
import type { Volume } from "#src/volume/volume";
import { Model } from "./model";
import type { Random } from "./random";

const dtReg = 8;
const dtDir = 4;
const dtLnk = 10;

/** Drives a volume and the model beside it. */
export class Driver {
  readonly model = new Model();
  readonly #limbo: DeviceRun[] = [];
  #unique = 0n;
  readonly volume: Volume;
  /** Called before each commit: a flush that made room for it may have added records to the journal. */
  beforeCommit: () => void = () => undefined;
  readonly #random: Random;

  constructor(volume: Volume, random: Random) {
    this.volume = volume;
    this.#random = random;
    const root = volume.inode(1)!;
    this.model.apply([{ kind: "put-inode", ino: 1, attributes: with_(root), parent: 1 }]);
  }

  /** Commits something random; ENOSPC is an answer too. */
  step(): void {
    let changes: Change[] = [];
    for (let tries = 0; tries < 20 && changes.length === 0; tries += 1) {
      try {
        changes = this.#random.pick(operations)(this.volume, this.#random);
      } catch (error) {
        if (!(error instanceof FsError) || error.code !== "ENOSPC") throw error;
      }
    }
    if (changes.length > 0) this.commit(changes);
    if (this.#random.chance(0.3)) this.volume.release(this.#limbo.splice(0));
  }

  commit(changes: Change[]): void {
    this.beforeCommit();
    const request: RequestId | undefined = this.#random.chance(0.5)
      ? { session: 7n, unique: (this.#unique += 2n), ino: 1 } : undefined;
    this.#limbo.push(...this.volume.commit(changes, request));
    this.model.apply(changes, request);
  }
}

type Operation = (volume: Volume, random: Random) => Change[];

const create: Operation = (volume, random) => {
  const parent = random.pick(directories(volume));
  const name = nameFor(random);
  if (parent.entries!.has(name)) return [];
  const ino = volume.nextIno();
  const kind = random.below(4);
  if (kind === 0) {
    return [
      { kind: "put-inode", ino, attributes: fresh(random, 0o040755, 2), parent: parent.ino },
      { kind: "put-entry", parent: parent.ino, name, ino, type: dtDir },
      { kind: "put-inode", ino: parent.ino, attributes: with_(parent, { nlink: parent.nlink + 1 }) },
    ];
  }
  const link = kind === 1;
  return [
    { kind: "put-inode", ino, attributes: fresh(random, link ? 0o120777 : 0o100600, 1), target: link ? "to/\xff" : undefined },
    { kind: "put-entry", parent: parent.ino, name, ino, type: link ? dtLnk : dtReg },
    { kind: "put-inode", ino: parent.ino, attributes: with_(parent, { mtime: time(random) }) },
  ];
};

const write: Operation = (volume, random) => {
  const file = random.pick(files(volume));
  if (file === undefined) return [];
  const filePage = random.below(24);
  const count = 1 + random.below(6);
  const extents: Extent[] = [];
  let at = filePage;
  for (const run of volume.allocate(count, { near: 1 + random.below(200) })) {
    extents.push({ filePage: at, devicePage: run.page, count: run.count, state: random.chance(0.5) ? "written" : "unwritten" });
    at += run.count;
  }
  return [
    { kind: "set-extents", ino: file.ino, filePage, count, extents },
    { kind: "put-inode", ino: file.ino, attributes: with_(file, { size: Math.max(file.size, at * 4096), mtime: time(random) }) },
  ];
};

/** Unwritten to written, as the write of a preallocated page does. */
const convert: Operation = (volume, random) => {
  const file = random.pick(files(volume));
  const extent = file && random.pick([...file.extents]);
  if (extent === undefined || extent.state !== "unwritten") return [];
  const { filePage, count } = extent;
  return [{ kind: "set-extents", ino: file!.ino, filePage, count, extents: [{ ...extent, state: "written" }] }];
};

const punch: Operation = (volume, random) => {
  const file = random.pick(files(volume));
  return file === undefined ? [] : [{ kind: "set-extents", ino: file.ino, filePage: random.below(24), count: 1 + random.below(9), extents: [] }];
};

/** What copy_file_range does: both files share the blocks from now on. */
const clone: Operation = (volume, random) => {
  const [from, to] = [random.pick(files(volume)), random.pick(files(volume))];
  const extent = from && random.pick([...from.extents]);
  if (extent === undefined || from === to) return [];
  const shared = { ...extent, state: "shared" as const };
  const range = { filePage: extent.filePage, count: extent.count };
  return [
    { kind: "set-extents", ino: from!.ino, ...range, extents: [shared] },
    { kind: "set-extents", ino: to!.ino, ...range, extents: [shared] },
    { kind: "put-inode", ino: to!.ino, attributes: with_(to!, { size: Math.max(to!.size, from!.size) }) },
  ];
};

const unlink: Operation = (volume, random) => {
  const parent = random.pick(directories(volume));
  const found = random.pick([...parent.entries!]);
  if (found === undefined) return [];
  const [name, { ino }] = found;
  const inode = volume.inode(ino)!;
  const gone: Change = { kind: "drop-entry", parent: parent.ino, name };
  if (inode.entries !== undefined) {
    if (inode.entries.size > 0) return [];
    return [gone, { kind: "drop-inode", ino }, { kind: "put-inode", ino: parent.ino, attributes: with_(parent, { nlink: parent.nlink - 1 }) }];
  }
  if (inode.nlink === 1 && random.chance(0.5)) return [gone, { kind: "drop-inode", ino }];
  return [gone, { kind: "put-inode", ino, attributes: with_(inode, { nlink: inode.nlink - 1 }) }];
};

const dropOrphan: Operation = (volume) => volume.orphans().slice(0, 1).map((ino) => ({ kind: "drop-inode", ino }));

const link: Operation = (volume, random) => {
  const file = random.pick(files(volume).filter((inode) => inode.nlink > 0));
  const parent = random.pick(directories(volume));
  const name = nameFor(random);
  if (file === undefined || parent.entries!.has(name)) return [];
  return [
    { kind: "put-entry", parent: parent.ino, name, ino: file.ino, type: dtReg },
    { kind: "put-inode", ino: file.ino, attributes: with_(file, { nlink: file.nlink + 1 }) },
  ];
};

/** Of a file, within and between directories, onto a name that is free. */
const rename: Operation = (volume, random) => {
  const [from, to] = [random.pick(directories(volume)), random.pick(directories(volume))];
  const found = random.pick([...from.entries!]);
  const name = nameFor(random);
  if (found === undefined || to.entries!.has(name) || volume.inode(found[1].ino)!.entries !== undefined) return [];
  return [
    { kind: "drop-entry", parent: from.ino, name: found[0] },
    { kind: "put-entry", parent: to.ino, name, ...found[1] },
  ];
};

const xattr: Operation = (volume, random) => {
  const inode = random.pick([...volume.inodes()]);
  const name = `user.${random.below(3)}`;
  if (inode.xattrs.has(name) && random.chance(0.5)) return [{ kind: "drop-xattr", ino: inode.ino, name }];
  return [{ kind: "put-xattr", ino: inode.ino, name, value: Buffer.alloc(random.below(900), random.below(256)) }];
};

const operations: readonly Operation[] = [create, create, write, write, write, convert, punch, clone, unlink, dropOrphan, link, rename, xattr];

export function files(volume: Volume): Inode[] {
  return [...volume.inodes()].filter((inode) => (inode.mode & 0o170000) === 0o100000);
}

function directories(volume: Volume): Inode[] {
  return [...volume.inodes()].filter((inode) => inode.entries !== undefined);
}

function nameFor(random: Random): string {
  return random.chance(0.1) ? `${"n".repeat(200)}${random.below(9)}` : `f${random.below(30)}\xe9`;
}

function time(random: Random): Attributes["mtime"] {
  return { seconds: random.below(2 ** 31) * (random.chance(0.2) ? -1 : 4), nanoseconds: random.below(1e9) };
}

function fresh(random: Random, mode: number, nlink: number): Attributes {
  const now = time(random);
  return { mode, uid: random.below(70000), gid: random.below(3), nlink, size: 0, rdev: 0, atime: now, mtime: now, ctime: now };
}

/** A plain copy of an inode's attributes with some changed. */
export function with_(inode: Attributes, changed: Partial<Attributes> = {}): Attributes {
  const { mode, uid, gid, nlink, size, rdev, atime, mtime, ctime } = inode;
  return { mode, uid, gid, nlink, size, rdev, atime, mtime, ctime, ...changed };
}
