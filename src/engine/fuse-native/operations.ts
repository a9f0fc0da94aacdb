// The operations of libfuse's path API, each made of the requests that the kernel would send to us.

import { narrow } from "../../base/units";
import { FATTR, FUSE_FSYNC_FDATASYNC } from "../../wire/abi";
import { decodeDirents } from "../../wire/dirent";
import { opcodes, type Opcode } from "../../wire/opcodes";
import type { fuse_attr, fuse_setattr_in } from "../../wire/structs";
import type { Fields, Values, ValuesOf } from "../../base/struct";
import { CallError, nameOf, type Calls } from "./calls";
import type { FileData } from "./filedata";

type PathStat = ReturnType<typeof pathStat>;

interface OpenFile {
  readonly ino: number;
  readonly fh: bigint;
  readonly flags: number;
}

const readWrite = 2;
const noId = 0xffffffff;
const readdirBytes = 1 << 16;

/** Arguments are those of fuse-native's handlers, in their order. */
export class PathOperations {
  readonly #calls: Calls;
  readonly #data: FileData;
  readonly #open = new Map<number, OpenFile>();
  #lastDescriptor = 0;

  constructor(calls: Calls, data: FileData) {
    this.#calls = calls;
    this.#data = data;
  }

  async getattr(path: string): Promise<PathStat> {
    return this.#stat(await this.#calls.walk(path));
  }

  async fgetattr(path: string, descriptor: number): Promise<PathStat> {
    const file = this.#open.get(descriptor);
    return file ? this.#stat(file.ino) : this.getattr(path);
  }

  async statfs(): Promise<object> {
    const { st } = await this.#calls.call(opcodes.statfs, 1);
    return {
      bsize: st.bsize, frsize: st.frsize, blocks: Number(st.blocks), bfree: Number(st.bfree), bavail: Number(st.bavail),
      files: Number(st.files), ffree: Number(st.ffree), favail: Number(st.ffree), namemax: st.namelen,
    };
  }

  /** All entries at once: the binding cannot go on at an offset. */
  async readdir(path: string): Promise<{ names: string[]; stats: { mode: number; ino: number }[] }> {
    const nodeid = await this.#calls.walk(path);
    const names: string[] = [];
    const stats: { mode: number; ino: number }[] = [];
    for (let offset = 0n; ; ) {
      const body = { fh: 0n, offset, size: readdirBytes, read_flags: 0, lock_owner: 0n, flags: 0, padding: 0 };
      const entries = decodeDirents(await this.#calls.bytes(opcodes.readdir, nodeid, body));
      for (const entry of entries) {
        names.push(Buffer.from(entry.name, "latin1").toString("utf8"));
        stats.push({ mode: entry.type << 12, ino: entry.ino });
      }
      const last = entries.at(-1);
      if (!last) return { names, stats };
      offset = BigInt(last.cookie);
    }
  }

  async open(path: string, flags: number): Promise<number> {
    const ino = await this.#calls.walk(path);
    const { fh } = await this.#calls.call(opcodes.open, ino, { flags, open_flags: 0 });
    return this.#add({ ino, fh, flags });
  }

  /** The flags of the open that creates are not handed over: reading and writing are assumed. */
  async create(path: string, mode: number): Promise<number> {
    const { nodeid, name } = await this.#calls.parent(path);
    const body = { flags: readWrite, mode, umask: 0, open_flags: 0 };
    const { entry, open } = await this.#calls.call(opcodes.create, nodeid, body, { name });
    return this.#add({ ino: narrow(entry.nodeid, "fuse_entry_out.nodeid"), fh: open.fh, flags: readWrite });
  }

  async release(_path: string, descriptor: number): Promise<void> {
    const file = this.#opened(descriptor);
    this.#open.delete(descriptor);
    await this.#calls.call(opcodes.release, file.ino, { fh: file.fh, flags: file.flags, release_flags: 0, lock_owner: 0n });
  }

  async fsync(_path: string, dataOnly: number, descriptor: number): Promise<void> {
    const file = this.#opened(descriptor);
    const fsync_flags = dataOnly === 0 ? 0 : FUSE_FSYNC_FDATASYNC;
    await this.#calls.call(opcodes.fsync, file.ino, { fh: file.fh, fsync_flags, padding: 0 });
  }

  async fsyncdir(path: string): Promise<void> {
    const nodeid = await this.#calls.walk(path);
    await this.#calls.call(opcodes.fsyncdir, nodeid, { fh: 0n, fsync_flags: 0, padding: 0 });
  }

  read(descriptor: number, into: Buffer, offset: number): Promise<number> {
    return this.#data.read(this.#opened(descriptor).ino, into, offset);
  }

  write(descriptor: number, from: Buffer, offset: number): Promise<number> {
    return this.#data.write(this.#opened(descriptor).ino, from, offset);
  }

  truncate(path: string, size: number): Promise<void> {
    return this.#setattr(path, { valid: FATTR.SIZE, size: BigInt(size) });
  }

  async ftruncate(path: string, descriptor: number, size: number): Promise<void> {
    const file = this.#open.get(descriptor);
    if (!file) return this.truncate(path, size);
    const values = setattrBody({ valid: FATTR.SIZE | FATTR.FH, size: BigInt(size), fh: file.fh });
    await this.#calls.call(opcodes.setattr, file.ino, values);
  }

  chmod(path: string, mode: number): Promise<void> {
    return this.#setattr(path, { valid: FATTR.MODE, mode });
  }

  chown(path: string, uid: number, gid: number): Promise<void> {
    const valid = (uid === noId ? 0 : FATTR.UID) | (gid === noId ? 0 : FATTR.GID);
    return this.#setattr(path, { valid, uid, gid });
  }

  /** Milliseconds. The binding gives the access time twice (FUSE_METHOD_VOID(utimens) in fuse-native.c). */
  utimens(path: string, atimeMs: number, mtimeMs: number): Promise<void> {
    return this.#setattr(path, {
      valid: FATTR.ATIME | FATTR.MTIME,
      atime: seconds(atimeMs), atimensec: nanoseconds(atimeMs), mtime: seconds(mtimeMs), mtimensec: nanoseconds(mtimeMs),
    });
  }

  mknod(path: string, mode: number, rdev: number): Promise<void> {
    return this.#inParent(opcodes.mknod, path, { mode, rdev, umask: 0, padding: 0 });
  }

  mkdir(path: string, mode: number): Promise<void> {
    return this.#inParent(opcodes.mkdir, path, { mode, umask: 0 });
  }

  symlink(target: string, path: string): Promise<void> {
    return this.#inParent(opcodes.symlink, path, {}, nameOf(target));
  }

  async readlink(path: string): Promise<string> {
    return (await this.#calls.bytes(opcodes.readlink, await this.#calls.walk(path))).toString("utf8");
  }

  async link(from: string, to: string): Promise<void> {
    await this.#inParent(opcodes.link, to, { oldnodeid: BigInt(await this.#calls.walk(from)) });
  }

  async rename(from: string, to: string): Promise<void> {
    const made = await this.#calls.parent(to);
    await this.#inParent(opcodes.rename, from, { newdir: BigInt(made.nodeid) }, made.name);
  }

  unlink(path: string): Promise<void> {
    return this.#inParent(opcodes.unlink, path, {});
  }

  rmdir(path: string): Promise<void> {
    return this.#inParent(opcodes.rmdir, path, {});
  }

  async setxattr(path: string, name: string, value: Buffer, _position: number, flags: number): Promise<void> {
    const body = { size: value.length, flags };
    await this.#calls.call(opcodes.setxattr, await this.#calls.walk(path), body, { name: nameOf(name), bytes: value });
  }

  /** The value, or with `room` 0 only its length in `length`. Throws CallError ERANGE when it does not fit. */
  async getxattr(path: string, name: string, room: number): Promise<{ length: number; value: Buffer }> {
    const nodeid = await this.#calls.walk(path);
    return sized(await this.#calls.bytes(opcodes.getxattr, nodeid, { size: room, padding: 0 }, { name: nameOf(name) }), room);
  }

  async listxattr(path: string, room: number): Promise<{ length: number; value: Buffer }> {
    const nodeid = await this.#calls.walk(path);
    return sized(await this.#calls.bytes(opcodes.listxattr, nodeid, { size: room, padding: 0 }), room);
  }

  async removexattr(path: string, name: string): Promise<void> {
    await this.#calls.call(opcodes.removexattr, await this.#calls.walk(path), {}, { name: nameOf(name) });
  }

  async #stat(ino: number): Promise<PathStat> {
    return pathStat((await this.#calls.call(opcodes.getattr, ino, { getattr_flags: 0, dummy: 0, fh: 0n })).attr);
  }

  async #setattr(path: string, values: Partial<SetattrIn>): Promise<void> {
    await this.#calls.call(opcodes.setattr, await this.#calls.walk(path), setattrBody(values));
  }

  /** Of the path's last name, in its directory. */
  async #inParent<F extends Fields>(opcode: Opcode<F, any>, path: string, body: Values<F>, name2?: string): Promise<void> {
    const { nodeid, name } = await this.#calls.parent(path);
    await this.#calls.call(opcode, nodeid, body, { name, ...(name2 !== undefined && { name2 }) });
  }

  /** Descriptors are positive int32: fuse-native leaves fi->fh alone when it is given 0, and cuts it to 32 bits. */
  #add(file: OpenFile): number {
    do this.#lastDescriptor = (this.#lastDescriptor % 0x7fffffff) + 1;
    while (this.#open.has(this.#lastDescriptor));
    this.#open.set(this.#lastDescriptor, file);
    return this.#lastDescriptor;
  }

  #opened(descriptor: number): OpenFile {
    const file = this.#open.get(descriptor);
    if (!file) throw new CallError(9, `descriptor ${descriptor}`);
    return file;
  }
}

type SetattrIn = ValuesOf<typeof fuse_setattr_in>;

function setattrBody(values: Partial<SetattrIn>): SetattrIn {
  return {
    valid: 0, padding: 0, fh: 0n, size: 0n, lock_owner: 0n, atime: 0n, mtime: 0n, ctime: 0n, atimensec: 0, mtimensec: 0,
    ctimensec: 0, mode: 0, unused4: 0, uid: 0, gid: 0, unused5: 0, ...values,
  };
}

function seconds(ms: number): bigint {
  return BigInt(Math.floor(ms / 1000));
}

function nanoseconds(ms: number): number {
  return (((ms % 1000) + 1000) % 1000) * 1_000_000;
}

/** Before 1970 the binding's unsigned milliseconds would become a time far away: 0 instead. */
function milliseconds(wholeSeconds: bigint, nanosecondsOfIt: number): number {
  return Math.max(0, Number(wholeSeconds) * 1000 + Math.floor(nanosecondsOfIt / 1_000_000));
}

/** What fuse-native makes a struct stat of; times in milliseconds. */
function pathStat(attr: ValuesOf<typeof fuse_attr>) {
  return {
    mode: attr.mode, uid: attr.uid, gid: attr.gid, size: Number(attr.size), nlink: attr.nlink, ino: Number(attr.ino), rdev: attr.rdev,
    blksize: attr.blksize, blocks: Number(attr.blocks), atime: milliseconds(attr.atime, attr.atimensec),
    mtime: milliseconds(attr.mtime, attr.mtimensec), ctime: milliseconds(attr.ctime, attr.ctimensec),
  };
}

/** The reply of GETXATTR and LISTXATTR: with size 0 a fuse_getxattr_out, else the bytes. */
function sized(reply: Buffer, room: number): { length: number; value: Buffer } {
  return room === 0 ? { length: reply.readUInt32LE(0), value: Buffer.alloc(0) } : { length: reply.length, value: reply };
}
