// A volume as naive as it can be: a file is its bytes and, page by page, the block below it. A block is an object: two
// pages share it when they have the same one.

import type { PageRange, Reason } from "#src/activation/verdict";

export const page = 4096;

export interface Block {
  /** false: it reads as zeros, whatever it holds */
  written: boolean;
  users: number;
}

export interface ModelFile {
  name: string;
  data: Buffer;
  /** by page */
  readonly blocks: Map<number, Block>;
  /** pages of the area while it is swapped on */
  area: number | undefined;
}

export type Result = number | string;

const pagesFor = (bytes: number): number => Math.ceil(bytes / page);

export class ModelVolume {
  readonly files: ModelFile[] = [];
  /** Pages that were copied because another file, or another page, had them too. */
  copied = 0;

  find(name: string): ModelFile | undefined {
    return this.files.find((file) => file.name === name);
  }

  create(name: string): Result {
    if (this.find(name)) return "EEXIST";
    this.files.push({ name, data: Buffer.alloc(0), blocks: new Map(), area: undefined });
    return 0;
  }

  /** Blocks that files use. */
  used(): number {
    return new Set(this.files.flatMap((file) => [...file.blocks.values()])).size;
  }

  write(file: ModelFile, offset: number, bytes: Buffer): Result {
    if (file.area !== undefined) return "ETXTBSY"; // generic_write_checks, fs/read_write.c
    this.#written(file, offset, bytes);
    return bytes.length;
  }

  truncate(file: ModelFile, size: number): Result {
    const old = file.data.length;
    // inode_newsize_ok (fs/attr.c) lets an active one grow; swapfs, where that touches no page that it has.
    if (file.area !== undefined && (size <= old || old % page !== 0)) return "ETXTBSY";
    if (size > old) this.#ownTail(file);
    for (const at of [...file.blocks.keys()]) if (size <= old && at >= pagesFor(size)) this.#drop(file, at);
    this.#resize(file, size);
    return 0;
  }

  /** Modes 0, KEEP_SIZE 1, PUNCH_HOLE|KEEP_SIZE 3, ZERO_RANGE 16 (|1). */
  fallocate(file: ModelFile, mode: number, offset: number, length: number): Result {
    if (file.area !== undefined) return "ETXTBSY"; // vfs_fallocate, fs/open.c
    const end = offset + length;
    const inside = (at: number): boolean => at * page >= offset && (at + 1) * page <= end;
    const grows = (mode & 1) === 0 && end > file.data.length;
    if (grows) this.#ownTail(file);
    for (let at = Math.floor(offset / page); at < pagesFor(end); at += 1) {
      const block = file.blocks.get(at);
      if ((mode & 2) !== 0 && inside(at)) this.#drop(file, at);
      else if ((mode & 16) !== 0 && inside(at)) this.#put(file, at, block?.users === 1 ? Object.assign(block, { written: false }) : newBlock(false));
      else if ((mode & 18) !== 0 && block?.written) this.#own(file, at);
      else if ((mode & 2) === 0 && block === undefined) this.#put(file, at, newBlock(false));
    }
    if (grows) this.#resize(file, end);
    if ((mode & 18) !== 0) file.data.fill(0, Math.min(offset, file.data.length), Math.min(end, file.data.length));
    return 0;
  }

  /** Of more than there is. A last page that was about to become zeros behind the old end has been copied already. */
  fallocateTooMuch(file: ModelFile, mode: number): Result {
    if ((mode & 1) === 0) this.#ownTail(file);
    return "ENOSPC";
  }

  /** Blocks that a fallocate without PUNCH_HOLE takes. */
  missing(file: ModelFile, mode: number, offset: number, length: number): number {
    let count = (mode & 1) === 0 && file.data.length % page !== 0 ? 1 : 0; // the last page, when it is shared
    for (let at = Math.floor(offset / page); at < pagesFor(offset + length); at += 1) {
      const block = file.blocks.get(at);
      if (block === undefined || ((mode & 16) !== 0 && block.users > 1)) count += 1;
    }
    return count;
  }

  /** copy_file_range(2), once: whole pages are cloned, what cannot be cloned the kernel copies. */
  copy(from: ModelFile, offsetIn: number, to: ModelFile, offsetOut: number, length: number): Result {
    if (from.area !== undefined || to.area !== undefined) return "ETXTBSY"; // generic_copy_file_checks, fs/read_write.c
    const bytes = Math.max(0, Math.min(length, from.data.length - offsetIn));
    if (from === to && offsetOut + bytes > offsetIn && offsetOut < offsetIn + bytes) return "EINVAL";
    if (bytes === 0) return 0;
    const ends = offsetIn + bytes === from.data.length && offsetOut + bytes >= to.data.length;
    const whole = ends ? bytes : bytes - (bytes % page);
    const contents = Buffer.from(from.data.subarray(offsetIn, offsetIn + bytes));
    if (offsetIn % page !== 0 || offsetOut % page !== 0 || whole === 0) return this.write(to, offsetOut, contents);
    if (from === to || offsetOut > to.data.length) this.#ownTail(to);
    const found = Array.from({ length: pagesFor(whole) }, (_, at) => from.blocks.get(offsetIn / page + at));
    for (const [at, block] of found.entries()) {
      if (block?.written) this.#put(to, offsetOut / page + at, block);
      else this.#drop(to, offsetOut / page + at);
    }
    this.#resize(to, Math.max(to.data.length, offsetOut + whole));
    contents.copy(to.data, offsetOut, 0, whole);
    return whole;
  }

  unlink(file: ModelFile): Result {
    if (file.area !== undefined) return "EPERM"; // vfs_unlink, fs/namei.c
    for (const at of [...file.blocks.keys()]) this.#drop(file, at);
    this.files.splice(this.files.indexOf(file), 1);
    return 0;
  }

  rename(file: ModelFile, name: string): Result {
    const target = this.find(name);
    if (target === file) return 0;
    if (file.area !== undefined || target?.area !== undefined) return "EPERM"; // vfs_rename, fs/namei.c
    if (target) this.unlink(target);
    file.name = name;
    return 0;
  }

  swapon(file: ModelFile): Result {
    if (file.area !== undefined) return "EBUSY";
    if (this.reasons(file).length > 0) return "EINVAL";
    file.area = headerOf(file)!.pages;
    return 0;
  }

  /** What `swapfs check` must say, in its order. */
  reasons(file: ModelFile): Reason[] {
    const header = headerOf(file);
    const found = this.gateReasons(file, header === undefined ? 10 : 2); // what mkswap(8) takes, and what swapon(2) does
    if (file.data.length < page) return found;
    const filePages = Math.floor(file.data.length / page);
    if (header === undefined) found.push({ kind: "no-header" });
    else if (header.pages > filePages) found.push({ kind: "header-larger-than-file", headerPages: header.pages, filePages });
    return found;
  }

  /** What stands in the way of the file's pages: all that the gate says when swapon(2) asks, which has read the header before. */
  gateReasons(file: ModelFile, pagesMin = 2): Reason[] {
    const pages = Math.floor(file.data.length / page);
    const holes = runsOf(pages, (at) => !file.blocks.has(at));
    const shared = runsOf(pages, (at) => (file.blocks.get(at)?.users ?? 0) > 1);
    return [
      ...(holes.length > 0 ? [{ kind: "hole", layer: "file", ranges: holes } as const] : []),
      ...(shared.length > 0 ? [{ kind: "shared", layer: "file", ranges: shared } as const] : []),
      ...(pages < pagesMin ? [{ kind: "too-small", pages } as const] : []),
    ];
  }

  #written(file: ModelFile, offset: number, bytes: Buffer): void {
    if (offset > file.data.length) this.#ownTail(file);
    for (let at = Math.floor(offset / page); at < pagesFor(offset + bytes.length); at += 1) {
      if (file.blocks.has(at)) this.#own(file, at).written = true;
      else this.#put(file, at, newBlock(true));
    }
    this.#resize(file, Math.max(file.data.length, offset + bytes.length));
    bytes.copy(file.data, offset);
  }

  /** The last page gets zeros behind the end: it must not be shared, unless it reads as zeros anyway. */
  #ownTail(file: ModelFile): void {
    const at = pagesFor(file.data.length) - 1;
    if (file.data.length % page !== 0 && file.blocks.get(at)?.written) this.#own(file, at);
  }

  #own(file: ModelFile, at: number): Block {
    const block = file.blocks.get(at)!;
    if (block.users === 1) return block;
    const made = newBlock(block.written);
    this.copied += 1;
    this.#put(file, at, made);
    return made;
  }

  #put(file: ModelFile, at: number, block: Block): void {
    if (file.blocks.get(at) === block) return;
    this.#drop(file, at);
    block.users += 1;
    file.blocks.set(at, block);
  }

  #drop(file: ModelFile, at: number): void {
    const block = file.blocks.get(at);
    if (block !== undefined) block.users -= 1;
    file.blocks.delete(at);
  }

  #resize(file: ModelFile, size: number): void {
    const made = Buffer.alloc(size);
    file.data.copy(made);
    file.data = made;
  }
}

function newBlock(written: boolean): Block {
  return { written, users: 0 };
}

function runsOf(pages: number, holds: (at: number) => boolean): PageRange[] {
  const runs: { page: number; count: number }[] = [];
  for (let at = 0; at < pages; at += 1) {
    if (!holds(at)) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.page + last.count === at) last.count += 1;
    else runs.push({ page: at, count: 1 });
  }
  return runs;
}

/** union swap_header, include/linux/swap.h: what mkswap wrote there. */
export function headerOf(file: ModelFile): { readonly pages: number } | undefined {
  const { data } = file;
  if (data.length < page || data.toString("latin1", page - 10, page) !== "SWAPSPACE2") return undefined;
  return { pages: data.readUInt32LE(1028) + 1 };
}
