// READDIR and READDIRPLUS replies: fuse_dirent or fuse_direntplus records up to the size that the kernel asked for.

import { type Answered, outHeaderBytes, withHeader, writeEntry, writeNumber, type WireAttributes } from "./reply";
import { fuse_dirent, fuse_entry_out } from "./structs";

export interface WireDirent {
  readonly ino: number;
  /** where to go on after this entry */
  readonly cookie: number;
  /** raw bytes as latin1 */
  readonly name: string;
  /** DT_* of include/linux/fs_types.h */
  readonly type: number;
}

/** Fills one reply. `add` says false when the record does not fit, and nothing was written. */
export class DirentWriter {
  readonly #buffer: Buffer;
  #end = outHeaderBytes;

  constructor(bytesMax: number) {
    this.#buffer = Buffer.allocUnsafe(outHeaderBytes + bytesMax);
  }

  add(entry: WireDirent): boolean {
    return this.#dirent(entry, this.#end);
  }

  /** `attributes` undefined: nodeid 0, the kernel takes the name alone (fuse_direntplus_link, fs/fuse/readdir.c). */
  addPlus(entry: WireDirent, attributes: WireAttributes | undefined): boolean {
    const at = this.#end;
    if (!this.#dirent(entry, at + fuse_entry_out.size)) return false;
    if (attributes === undefined) this.#buffer.fill(0, at, at + fuse_entry_out.size);
    else writeEntry(this.#buffer, at, attributes);
    return true;
  }

  get length(): number {
    return this.#end;
  }

  /** Takes back what was added after `length` was read. */
  rewind(length: number): void {
    this.#end = length;
  }

  reply(header: Answered): Buffer {
    return withHeader(this.#buffer.subarray(0, this.#end), header);
  }

  #dirent(entry: WireDirent, at: number): boolean {
    const nameAt = at + fuse_dirent.size;
    const end = (nameAt + entry.name.length + 7) & ~7;
    if (end > this.#buffer.length) return false;
    writeNumber(this.#buffer, at, entry.ino);
    writeNumber(this.#buffer, at + 8, entry.cookie);
    this.#buffer.writeUInt32LE(entry.name.length, at + 16);
    this.#buffer.writeUInt32LE(entry.type, at + 20);
    this.#buffer.write(entry.name, nameAt, "latin1");
    this.#buffer.fill(0, nameAt + entry.name.length, end);
    this.#end = end;
    return true;
  }
}

/** The records of a READDIR body, for the fuse-native engine and the tests. */
export function decodeDirents(body: Buffer): WireDirent[] {
  const found: WireDirent[] = [];
  for (let at = 0; at < body.length; ) {
    const head = fuse_dirent.decode(body, at);
    const nameAt = at + fuse_dirent.size;
    const name = body.toString("latin1", nameAt, nameAt + head.namelen);
    found.push({ ino: Number(head.ino), cookie: Number(head.off), name, type: head.type });
    at = (nameAt + head.namelen + 7) & ~7;
  }
  return found;
}
