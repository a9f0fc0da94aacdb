// One operation of the namespace is one transaction, and a transaction is one journal record: all of it or nothing.

import { FsError } from "../base/errors";
import type { Attributes, Change, Time } from "../volume/changes";
import type { Inode } from "../volume/inode";
import { attributesOf } from "./attributes";
import { isDirectory } from "./modes";
import { inodeOf, type Caller, type Space } from "./space";

/** As ext4 (EXT4_LINK_MAX). Subdirectories are not bounded by it, nor are they there (dir_nlink). */
export const linksMax = 65000;

interface Draft {
  attributes: Attributes;
  readonly target?: string;
  parent?: number;
}

export class Transaction {
  readonly now: Time;
  readonly #space: Space;
  readonly #drafts = new Map<number, Draft>();
  readonly #entries: Extract<Change, { kind: "put-entry" | "drop-entry" }>[] = [];
  readonly #dropped: number[] = [];

  constructor(space: Space) {
    this.#space = space;
    this.now = space.now();
  }

  /** A new inode; its number was never used before. */
  make(attributes: Omit<Attributes, "atime" | "mtime" | "ctime">, extra: { target?: string; parent?: number } = {}): number {
    const ino = this.#space.volume.nextIno();
    this.#drafts.set(ino, { attributes: { ...attributes, atime: this.now, mtime: this.now, ctime: this.now }, ...extra });
    return ino;
  }

  change(ino: number, patch: Partial<Attributes>): void {
    const draft = this.#draft(ino);
    draft.attributes = { ...draft.attributes, ...patch };
  }

  /** The parent of a directory. */
  move(ino: number, parent: number): void {
    this.#draft(ino).parent = parent;
  }

  /** The directory's entries change: POSIX asks for its mtime and ctime. `subdirectories`: how many more link to it by "..". */
  touch(ino: number, subdirectories = 0): void {
    const nlink = this.#draft(ino).attributes.nlink + subdirectories;
    this.change(ino, { mtime: this.now, ctime: this.now, nlink });
  }

  enter(parent: number, name: string, ino: number, type: number): void {
    this.#entries.push({ kind: "put-entry", parent, name, ino, type });
  }

  leave(parent: number, name: string): void {
    this.#entries.push({ kind: "drop-entry", parent, name });
  }

  addLink(ino: number): void {
    const { nlink } = this.#draft(ino).attributes;
    if (nlink >= linksMax) throw new FsError("EMLINK");
    this.change(ino, { nlink: nlink + 1, ctime: this.now });
  }

  /** One name less. The last one frees the inode, unless it is open: then it is an orphan until its last release. */
  removeLink(inode: Inode): void {
    const nlink = isDirectory(inode) ? 0 : inode.nlink - 1;
    if (nlink === 0 && !this.#space.isOpen(inode.ino)) this.#dropped.push(inode.ino);
    else this.change(inode.ino, { nlink, ctime: this.now });
  }

  /** `result`: the inode that a reply would name. Throws FsError ENOSPC and nothing has happened. */
  commit(caller: Caller, result = 0): void {
    const changes: Change[] = [];
    for (const [ino, draft] of this.#drafts) changes.push({ kind: "put-inode", ino, ...draft });
    changes.push(...this.#entries);
    for (const ino of this.#dropped) changes.push({ kind: "drop-inode", ino });
    const runs = this.#space.commit(changes, caller.request && { ...caller.request, ino: result });
    for (const entry of this.#entries) if (entry.kind === "put-entry") this.#space.listings.added(entry.parent, entry.name);
    for (const ino of this.#dropped) this.#space.listings.forget(ino);
    // At most one inode of a transaction owns blocks and loses its last name.
    this.#space.deferredFree.free(this.#dropped[0] ?? 0, runs);
  }

  #draft(ino: number): Draft {
    const known = this.#drafts.get(ino);
    if (known) return known;
    const draft: Draft = { attributes: attributesOf(inodeOf(this.#space, ino)) };
    this.#drafts.set(ino, draft);
    return draft;
  }
}
