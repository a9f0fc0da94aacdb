// An inode in memory. Only `apply` changes it; everyone else sees `Inode`.

import { S_IFDIR, S_IFMT, type Attributes, type Time } from "./changes";
import { ExtentMap } from "./extents";

export interface DirectoryEntry {
  readonly ino: number;
  /** DT_* */
  readonly type: number;
}

/** The read-only face of an extent map. */
export type ReadonlyExtentMap = Omit<ExtentMap, "replace">;

export interface Inode extends Attributes {
  readonly ino: number;
  readonly extents: ReadonlyExtentMap;
  readonly xattrs: ReadonlyMap<string, Buffer>;
  /** of a directory; keys are latin1 strings of the raw bytes, in the order in which they were made */
  readonly entries?: ReadonlyMap<string, DirectoryEntry> | undefined;
  /** of a directory */
  readonly parent?: number | undefined;
  /** of a symlink, latin1 */
  readonly target?: string | undefined;
  /** that have a block */
  readonly pages: number;
}

const noXattrs: ReadonlyMap<string, Buffer> = new Map();

export class InodeRecord implements Inode {
  readonly ino: number;
  readonly extents = new ExtentMap();
  mode = 0;
  uid = 0;
  gid = 0;
  nlink = 0;
  size = 0;
  rdev = 0;
  atime: Time;
  mtime: Time;
  ctime: Time;
  entries: Map<string, DirectoryEntry> | undefined;
  parent: number | undefined;
  target: string | undefined;
  #xattrs: Map<string, Buffer> | undefined;

  constructor(ino: number, attributes: Attributes) {
    this.ino = ino;
    this.atime = attributes.atime;
    this.mtime = attributes.mtime;
    this.ctime = attributes.ctime;
    this.setAttributes(attributes);
    if ((attributes.mode & S_IFMT) === S_IFDIR) this.entries = new Map();
  }

  get pages(): number {
    return this.extents.pages;
  }

  get xattrs(): ReadonlyMap<string, Buffer> {
    return this.#xattrs ?? noXattrs;
  }

  setAttributes(attributes: Attributes): void {
    this.mode = attributes.mode;
    this.uid = attributes.uid;
    this.gid = attributes.gid;
    this.nlink = attributes.nlink;
    this.size = attributes.size;
    this.rdev = attributes.rdev;
    this.atime = attributes.atime;
    this.mtime = attributes.mtime;
    this.ctime = attributes.ctime;
  }

  setXattr(name: string, value: Buffer): void {
    (this.#xattrs ??= new Map()).set(name, value);
  }

  dropXattr(name: string): void {
    this.#xattrs?.delete(name); // the map stays: a checkpoint that is under way may be going through it
  }
}
