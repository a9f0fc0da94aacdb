// A volume as naive as it can be: a file is its bytes and, page by page, the block below it. A block is an object: two
// pages share it when they have the same one.

export const page = 4096;

export interface Block {
  /** false: it reads as zeros, whatever it holds */
  written: boolean;
  users: number;
}

/** What was in a file, and where. */
export interface Moment {
  readonly data: Buffer;
  /** those that were written */
  readonly blocks: ReadonlyMap<number, Block>;
}

/** As of `swapfs pin` and `swapfs activate`. */
export type Mode = "pinned" | "swap_rw";

/** A descriptor that the process of the system calls keeps. */
export interface Held {
  readonly fd: number;
  readonly writes: boolean;
}

export interface ModelFile {
  /** given by the volume, and never another one */
  ino: number;
  /** none: its last name is gone, and it is held open or has a mode */
  readonly names: string[];
  data: Buffer;
  /** by page */
  readonly blocks: Map<number, Block>;
  /** pages of the area while it is swapped on */
  area: number | undefined;
  mode: Mode | undefined;
  /** activated over a pin, which is left when that ends */
  pinnedToo: boolean;
  /** has the xattr user.swapfs.activate */
  marked: boolean;
  readonly held: Held[];
}

export type Result = number | string;

const pagesFor = (bytes: number): number => Math.ceil(bytes / page);

/** Its blocks stay where they are. */
export const isKept = ({ area, mode }: ModelFile): boolean => area !== undefined || mode !== undefined;

/** All its names, for people. */
export function label({ names, ino }: ModelFile): string {
  return names.length > 0 ? names.join("=") : `ino ${ino}`;
}

export function momentOf({ data, blocks }: ModelFile): Moment {
  return { data: Buffer.from(data), blocks: new Map([...blocks].filter(([, { written }]) => written)) };
}

export class ModelVolume {
  readonly files: ModelFile[] = [];
  /** Pages that were copied because another file, or another page, had them too. */
  copied = 0;
  /** Those that an area had which is swapped off: what they hold is known only from reading them. */
  readonly swapped = new Set<Block>();

  /** The same again, so that something can be tried on it. */
  twin(): ModelVolume {
    const made = new ModelVolume();
    const blocks = new Map<Block, Block>();
    const twinOf = (block: Block): Block => blocks.get(block) ?? (blocks.set(block, { ...block }), blocks.get(block)!);
    for (const file of this.files) {
      made.files.push({
        ...file, names: [...file.names], held: [...file.held], data: Buffer.from(file.data),
        blocks: new Map([...file.blocks].map(([at, block]) => [at, twinOf(block)])),
      });
    }
    for (const block of this.swapped) made.swapped.add(twinOf(block));
    made.copied = this.copied;
    return made;
  }

  find(name: string): ModelFile | undefined {
    return this.files.find((file) => file.names.includes(name));
  }

  create(name: string): Result {
    if (this.find(name)) return "EEXIST";
    this.files.push({ ino: 0, names: [name], data: Buffer.alloc(0), blocks: new Map(), area: undefined, mode: undefined, pinnedToo: false, marked: false, held: [] });
    return 0;
  }

  /** Blocks that files use. */
  used(): number {
    return new Set(this.files.flatMap((file) => [...file.blocks.values()])).size;
  }

  write(file: ModelFile, offset: number, bytes: Buffer): Result {
    if (file.area !== undefined || file.mode === "pinned") return "ETXTBSY"; // generic_write_checks, fs/read_write.c
    if (file.mode === "swap_rw") {
      if (offset % page !== 0 || bytes.length % page !== 0) return "EINVAL";
      const beyond = offset + bytes.length > file.data.length || this.#holes(file, offset / page, bytes.length / page);
      if (beyond) return "ENOSPC";
    }
    this.#written(file, offset, bytes);
    return bytes.length;
  }

  /** In calls of a page each, up to the first that fails. */
  writeByPage(file: ModelFile, offset: number, bytes: Buffer): Result {
    for (let at = 0; at < bytes.length; at += page) {
      const done = this.write(file, offset + at, bytes.subarray(at, at + page));
      if (typeof done === "string") return done;
    }
    return bytes.length;
  }

  /** Inside the file, through a shared mapping. */
  writeMapped(file: ModelFile, offset: number, bytes: Buffer): Result {
    if (file.area === undefined && file.mode !== undefined) return "ENODEV"; // fuse_file_mmap, fs/fuse/file.c; do_mmap asks before
    return this.write(file, offset, bytes);
  }

  truncate(file: ModelFile, size: number): Result {
    const old = file.data.length;
    // inode_newsize_ok (fs/attr.c) lets an active one grow; swapfs, where that touches no page that it has.
    if (isKept(file) && (size <= old || old % page !== 0)) return "ETXTBSY";
    if (size > old) this.#ownTail(file);
    for (const at of [...file.blocks.keys()]) if (size <= old && at >= pagesFor(size)) this.#drop(file, at);
    this.#resize(file, size);
    return 0;
  }

  /** Modes 0, KEEP_SIZE 1, PUNCH_HOLE|KEEP_SIZE 3, ZERO_RANGE 16 (|1). */
  fallocate(file: ModelFile, mode: number, offset: number, length: number): Result {
    if (isKept(file)) return "ETXTBSY"; // vfs_fallocate, fs/open.c
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
    if (isKept(from) || isKept(to)) return "ETXTBSY";
    const ends = offsetIn + bytes === from.data.length && offsetOut + bytes >= to.data.length;
    const whole = ends ? bytes : bytes - (bytes % page);
    const contents = Buffer.from(from.data.subarray(offsetIn, offsetIn + bytes));
    if (offsetIn % page !== 0 || offsetOut % page !== 0 || whole === 0) return this.write(to, offsetOut, contents);
    if (from === to || offsetOut > to.data.length) this.#ownTail(to);
    const found = Array.from({ length: pagesFor(whole) }, (_, at) => from.blocks.get(offsetIn / page + at));
    for (const [at, block] of found.entries()) this.#clone(to, offsetOut / page + at, block);
    this.#resize(to, Math.max(to.data.length, offsetOut + whole));
    contents.copy(to.data, offsetOut, 0, whole);
    return whole;
  }

  /**
   * A copy of all of `from`, made while its pages were written, one by one: `before` is how it was, `found` what the copy reads
   * as. Returns of each page whether it was cloned before, among or after the writes to it; "untouched": there was none.
   */
  copiedMeanwhile(from: ModelFile, before: Moment, to: ModelFile, found: Buffer): string[] {
    this.#resize(to, Math.max(to.data.length, from.data.length));
    found.copy(to.data);
    return Array.from({ length: pagesFor(from.data.length) }, (_, at) => {
      const [was, is, got] = [before.data, from.data, found].map((data) => data.subarray(at * page, (at + 1) * page)) as [Buffer, Buffer, Buffer];
      const moment = was.equals(is) ? "untouched" : got.equals(is) ? "after" : got.equals(was) ? "before" : "among";
      const [old, now] = [before.blocks.get(at), from.blocks.get(at)];
      // What was then written in place, in the model, went elsewhere: the clone had it.
      const cloned = { untouched: now, after: now, among: newBlock(true), before: old && old === now ? newBlock(true) : old };
      this.#clone(to, at, cloned[moment]);
      return moment;
    });
  }

  /** SystemCalls.inheritTails */
  inheritTails(file: ModelFile, rounds: number, bytes: Buffer, again: Buffer): void {
    const start = page * pagesFor(file.data.length);
    for (let at = start; at < start + rounds * 4 * page; at += 4 * page) {
      this.write(file, at, bytes);
      this.write(file, at + 2 * page, bytes);
      this.write(file, at, again);
    }
  }

  /** What the area's pages hold now is what swap wrote there. */
  swapoff(file: ModelFile): Result {
    if (file.area === undefined) return "EINVAL";
    for (const [at, block] of file.blocks) if (at > 0 && at < file.area && block.written) this.swapped.add(block);
    file.area = undefined;
    return 0;
  }

  /** `swapfs prepare`: whole pages get blocks, each its own. */
  prepare(file: ModelFile): Result {
    for (let at = 0; (at + 1) * page <= file.data.length; at += 1) {
      if (file.blocks.has(at)) this.#own(file, at);
      else this.#put(file, at, newBlock(false));
    }
    return 0;
  }

  link(file: ModelFile, name: string): Result {
    if (this.find(name)) return "EEXIST";
    file.names.push(name);
    return 0;
  }

  unlink(file: ModelFile, name: string): Result {
    if (file.area !== undefined) return "EPERM"; // may_delete, fs/namei.c
    file.names.splice(file.names.indexOf(name), 1);
    this.settle(file);
    return 0;
  }

  rename(file: ModelFile, from: string, to: string): Result {
    const target = this.find(to);
    if (target === file) return 0; // two names of one file: nothing happens
    if (isKept(file) || (target && isKept(target))) return "EPERM"; // may_delete, fs/namei.c
    if (target) this.unlink(target, to);
    file.names[file.names.indexOf(from)] = to;
    return 0;
  }

  /** renameat2(2) with RENAME_EXCHANGE. */
  exchange(file: ModelFile, from: string, to: string): Result {
    const target = this.find(to);
    if (target === undefined) return "ENOENT";
    if (target === file) return 0;
    if (isKept(file) || isKept(target)) return "EPERM";
    file.names[file.names.indexOf(from)] = to;
    target.names[target.names.indexOf(to)] = from;
    return 0;
  }

  close(file: ModelFile, held: Held): void {
    file.held.splice(file.held.indexOf(held), 1);
    this.settle(file);
  }

  /** A file is gone when nothing names it, holds it open or pins it: activated it can be reached by nobody then. */
  settle(file: ModelFile): void {
    if (file.names.length > 0 || file.held.length > 0 || file.area !== undefined) return;
    if (file.pinnedToo) [file.mode, file.pinnedToo] = ["pinned", false];
    if (file.mode === "pinned") return;
    for (const at of [...file.blocks.keys()]) this.#drop(file, at);
    this.files.splice(this.files.indexOf(file), 1);
  }

  /** A mount's end: pins and open files end with it. */
  unmounted(): void {
    for (const file of [...this.files]) {
      file.held.splice(0);
      file.mode = undefined;
      file.pinnedToo = false;
      this.settle(file);
    }
  }

  #holes(file: ModelFile, from: number, count: number): boolean {
    return Array.from({ length: count }, (_, at) => from + at).some((at) => !file.blocks.has(at));
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

  /** What reads as zeros anyway becomes a hole. */
  #clone(file: ModelFile, at: number, block: Block | undefined): void {
    if (block?.written) this.#put(file, at, block);
    else this.#drop(file, at);
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
