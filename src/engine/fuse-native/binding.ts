// One mount through the package fuse-native 2.2.6, with the traps of the package sprung:
// - options that it does not know (big_writes, use_ino, attr_timeout=0) go in through _fuseOptions;
// - getxattr and listxattr do not tell the handler how much room there is, and copy or count past it: replaced here;
// - fgetattr calls getattr and forgets the descriptor: replaced here;
// - its timeout answers a slow read with ETIMEDOUT and frees nothing: switched off;
// - its unmount needs fusermount: umount(8) is used;
// - it does not say when the session has ended: the /dev/fuse descriptor disappears then (fuse_kern_unmount of libfuse).

import { execFile } from "node:child_process";
import { readdirSync, readlinkSync } from "node:fs";
import Fuse from "fuse-native";
import { assert } from "../../base/assert";
import { debugLog } from "../../base/log";
import { errnoOf } from "../../base/errors";
import { ifAny } from "../../sys/kernelfiles";
import { CallError } from "./calls";
import type { PathOperations } from "./operations";

const debug = debugLog("engine");
const endPollMs = 100;

export class LibfuseMount {
  readonly #mountpoint: string;
  readonly #fuse: Fuse;
  #descriptor: number | undefined;

  /** `source` is what the mount table shows as its device. */
  constructor(mountpoint: string, source: string, operations: PathOperations) {
    this.#mountpoint = mountpoint;
    this.#fuse = new Bound(mountpoint, source, operations);
  }

  async mount(): Promise<void> {
    const before = new Set(fuseDescriptors());
    await new Promise<void>((resolve, reject) => this.#fuse.mount((error) => (error ? reject(error) : resolve())));
    this.#descriptor = fuseDescriptors().find((descriptor) => !before.has(descriptor));
    assert(this.#descriptor !== undefined, "libfuse holds a /dev/fuse descriptor while it is mounted");
  }

  /** Resolves when the kernel has ended the session, also after umount --lazy and its last user. */
  ended(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setInterval(() => {
        if (fuseDescriptors().includes(this.#descriptor!)) return;
        clearInterval(timer);
        resolve();
      }, endPollMs);
    });
  }

  /** Asks the kernel to unmount; rejects with umount's words when the mount is busy. */
  unmount(): Promise<void> {
    return new Promise((resolve, reject) => {
      execFile("umount", [this.#mountpoint], (error, _stdout, stderr) => (error ? reject(new CallError(16, stderr.trim())) : resolve()));
    });
  }
}

function fuseDescriptors(): number[] {
  return readdirSync("/proc/self/fd").map(Number).filter((descriptor) => ifAny(() => readlinkSync(`/proc/self/fd/${descriptor}`)) === "/dev/fuse");
}

class Bound extends Fuse {
  readonly #source: string;
  readonly #operations: PathOperations;

  constructor(mountpoint: string, source: string, operations: PathOperations) {
    super(mountpoint, handlers(operations), { timeout: false });
    this.#source = source;
    this.#operations = operations;
  }

  override _fuseOptions(): string {
    const fsname = this.#source.replaceAll("\\", "\\\\").replaceAll(",", "\\,");
    // attr_timeout=0: two names of one file are two inodes to the kernel here, and one must see the other's changes.
    return `-oallow_other,default_permissions,big_writes,use_ino,attr_timeout=0,subtype=swapfs,fsname=${fsname}`;
  }

  override _op_getxattr(signal: Signal, path: string, name: string, value: Buffer): void {
    this.#sized(this.#operations.getxattr(path, name, value.length), value, signal);
  }

  override _op_listxattr(signal: Signal, path: string, list: Buffer): void {
    this.#sized(this.#operations.listxattr(path, list.length), list, signal);
  }

  override _op_fgetattr(signal: Signal, path: string, descriptor: number): void {
    // Only _op_getattr reaches the function that packs a stat, and it asks `ops` for one.
    const asked = { ops: { getattr: (of: string, done: Done) => answer(this.#operations.fgetattr(of, descriptor), done) } };
    Fuse.prototype._op_getattr.call(asked as unknown as Fuse, signal, path);
  }

  #sized(found: Promise<{ length: number; value: Buffer }>, into: Buffer, signal: Signal): void {
    found.then(({ length, value }) => {
      value.copy(into);
      signal(length, into.buffer);
    }, (error: unknown) => signal(negative(error), into.buffer));
  }
}

type Signal = (result: number, ...values: unknown[]) => void;
type Done = (error: number, ...results: unknown[]) => void;

/** Operations that take what their handlers are given but for the callback, which comes last. */
const alike = [
  "getattr", "fgetattr", "statfs", "open", "create", "release", "fsync", "fsyncdir", "truncate", "ftruncate", "chmod", "chown", "utimens",
  "mknod", "mkdir", "symlink", "readlink", "link", "rename", "unlink", "rmdir", "setxattr", "removexattr",
] as const satisfies readonly (keyof PathOperations)[];

/** fuse-native's handlers: callbacks that take a negative errno first. */
function handlers(operations: PathOperations): object {
  const handler = (name: (typeof alike)[number]) => (...given: unknown[]): void => {
    const done = given.pop() as Done;
    answer((operations[name] as (...args: unknown[]) => Promise<unknown>).apply(operations, given), done);
  };
  return {
    ...Object.fromEntries(alike.map((name) => [name, handler(name)])),
    readdir: (path: string, done: Done) => void operations.readdir(path).then(({ names, stats }) => done(0, names, stats), failed(done)),
    // The handlers of read and write answer with one number: bytes moved, or a negative errno.
    read: (_path: string, descriptor: number, into: Buffer, length: number, offset: number, done: Done) =>
      moved(() => operations.read(descriptor, into.subarray(0, length), offset), done),
    write: (_path: string, descriptor: number, from: Buffer, length: number, offset: number, done: Done) =>
      moved(() => operations.write(descriptor, from.subarray(0, length), offset), done),
    // Only that they are there counts: Bound has their handlers.
    getxattr: () => undefined,
    listxattr: () => undefined,
  };
}

function answer(result: Promise<unknown>, done: Done): void {
  result.then((value) => done(0, value), failed(done));
}

function moved(move: () => Promise<number>, done: Done): void {
  Promise.resolve().then(move).then((bytes) => done(bytes), failed(done));
}

function failed(done: Done): (error: unknown) => void {
  return (error) => {
    debug("%s", error);
    done(negative(error));
  };
}

function negative(error: unknown): number {
  return -(error instanceof CallError ? error.errno : errnoOf(error));
}
