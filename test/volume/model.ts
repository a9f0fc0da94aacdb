// A naive volume: plain maps, a page at a time. The oracle for commit, replay and checkpoint.

import type { Attributes, Change, Extent, ExtentState, RequestId } from "#src/volume/changes";
import type { Inode } from "#src/volume/inode";
import type { Volume } from "#src/volume/volume";

interface ModelInode {
  attributes: Attributes;
  pages: Map<number, { page: number; state: ExtentState }>;
  entries: Map<string, string>;
  xattrs: Map<string, string>;
  parent: number | undefined;
  target: string | undefined;
}

export class Model {
  readonly inodes = new Map<number, ModelInode>();
  readonly requests: RequestId[] = [];

  apply(changes: readonly Change[], request?: RequestId): void {
    for (const change of changes) this.#apply(change);
    if (request !== undefined) this.requests.push(request);
  }

  /** Everything, in one order: equal volumes have equal dumps. */
  dump(): string {
    return [...this.inodes].sort(([a], [b]) => a - b).map(([ino, inode]) => line(
      ino, inode.attributes, inode.parent, inode.target, [...inode.entries], [...inode.xattrs],
      [...inode.pages].sort(([a], [b]) => a - b).map(([at, { page, state }]) => `${at}@${page}${state[0]}`),
    )).join("\n");
  }

  #apply(change: Change): void {
    if (change.kind === "put-inode") return this.#putInode(change);
    if (change.kind === "drop-inode") return void this.inodes.delete(change.ino);
    const inode = this.inodes.get("parent" in change ? change.parent : change.ino)!;
    if (change.kind === "put-entry") inode.entries.set(change.name, `${change.ino}/${change.type}`);
    if (change.kind === "drop-entry") inode.entries.delete(change.name);
    if (change.kind === "put-xattr") inode.xattrs.set(change.name, change.value.toString("hex"));
    if (change.kind === "drop-xattr") inode.xattrs.delete(change.name);
    if (change.kind !== "set-extents") return;
    for (let page = change.filePage; page < change.filePage + change.count; page += 1) inode.pages.delete(page);
    for (const extent of change.extents) putPages(inode.pages, extent);
  }

  #putInode(change: Extract<Change, { kind: "put-inode" }>): void {
    const { mode, uid, gid, nlink, size, rdev, atime, mtime, ctime } = change.attributes;
    const known = this.inodes.get(change.ino);
    this.inodes.set(change.ino, {
      attributes: { mode, uid, gid, nlink, size, rdev, atime, mtime, ctime },
      pages: known?.pages ?? new Map(), entries: known?.entries ?? new Map(), xattrs: known?.xattrs ?? new Map(),
      parent: change.parent ?? known?.parent, target: change.target ?? known?.target,
    });
  }
}

export function dumpVolume(volume: Volume): string {
  return [...volume.inodes()].sort((a, b) => a.ino - b.ino).map(dumpInode).join("\n");
}

function dumpInode(inode: Inode): string {
  const pages = new Map<number, { page: number; state: ExtentState }>();
  for (const extent of inode.extents) putPages(pages, extent);
  const entries = [...(inode.entries ?? [])].map(([name, { ino, type }]) => [name, `${ino}/${type}`]);
  const xattrs = [...inode.xattrs].map(([name, value]) => [name, value.toString("hex")]);
  return line(inode.ino, inode, inode.parent, inode.target, entries, xattrs,
    [...pages].map(([at, { page, state }]) => `${at}@${page}${state[0]}`));
}

function putPages(pages: Map<number, { page: number; state: ExtentState }>, extent: Extent): void {
  for (let n = 0; n < extent.count; n += 1) pages.set(extent.filePage + n, { page: extent.devicePage + n, state: extent.state });
}

function line(
  ino: number, a: Attributes, parent: number | undefined, target: string | undefined,
  entries: unknown[], xattrs: unknown[], pages: string[],
): string {
  const times = [a.atime, a.mtime, a.ctime].map((time) => `${time.seconds}.${time.nanoseconds}`).join(" ");
  const plain = `${ino} ${a.mode} ${a.uid} ${a.gid} ${a.nlink} ${a.size} ${a.rdev} ${times} ${parent} ${target}`;
  return `${plain} e=${entries.join()} x=${xattrs.join()} p=${pages.join()}`;
}
