// The image below a volume, in its host filesystem: backed where files own blocks, punched out where they do not. What
// takes long is done in steps on another thread, one at a time, so that the event loop and the pool's flushes go on.

import * as fs from "node:fs";
import { promisify } from "node:util";
import { debugLog } from "../base/log";
import { stepsOf, zeroStep } from "../base/steps";
import { pageSize } from "../base/units";
import { addon, falloc } from "./addon";

const log = debugLog("sys");

const MiB = 2 ** 20;
/** What a host allocates in milliseconds. */
const allocateStep = 1024 * MiB;

/** FS_NOCOW_FL (include/uapi/linux/fs.h): btrfs overwrites in place, without a copy and without a checksum. */
const FS_NOCOW_FL = 0x00800000;
/** statfs(2) f_type of btrfs. */
const BTRFS_SUPER_MAGIC = 0x9123683e;

/** Of a new, empty file: asks btrfs to overwrite it in place. Other filesystems do so anyway, or not at all. */
export function overwriteInPlace(fd: number): void {
  if (fs.statfsSync(descriptorPath(fd)).type !== BTRFS_SUPER_MAGIC) return;
  addon().setFileFlags(fd, addon().fileFlags(fd) | FS_NOCOW_FL);
}

/** Of an image as it is, without a loop device (FileDeviceOptions). */
export const imageFileHooks = {
  allocate: (fd: number, offset: number, length: number): void => back(fd, 0, offset, length, fd),
  punch: (fd: number, offset: number, length: number): void => addon().fallocate(fd, falloc.punchHole | falloc.keepSize, offset, length),
};

/**
 * fallocate(2) of the image `fd`. A host without it (ext3, NFS before version 4.2, many FUSE filesystems) gets zeros wherever zeros
 * are read: all else has blocks. `through`: by which the volume is written, so that both see one page cache. Flushed, since only
 * then a full host says so; a loop device makes EIO of it.
 */
function back(fd: number, mode: number, offset: number, length: number, through: number): void {
  try {
    return addon().fallocate(fd, mode, offset, length);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EOPNOTSUPP") throw error;
  }
  const zeros = Buffer.alloc(pageSize);
  const read = Buffer.alloc(pageSize);
  for (const [at, count] of stepsOf(offset, length, pageSize)) {
    const got = fs.readSync(through, read, 0, count, at);
    if (zeros.equals(read.fill(0, got))) fs.writeSync(through, zeros, 0, count, at);
  }
  try {
    fs.fdatasyncSync(through);
  } catch (error) {
    const { bavail, bsize } = fs.statfsSync(descriptorPath(fd));
    throw bavail * bsize < length ? Object.assign(new Error("the host is full"), { code: "ENOSPC" }) : error;
  }
}

/** Whoever asked wants an end of it, or the image may be somebody else's by now: nothing more may begin. */
type Signal = Pick<AbortSignal, "throwIfAborted">;

export class ImageFile {
  /** Of our own, for direct I/O where the host can: what we write is then never in its page cache. */
  readonly fd: number;
  readonly direct: boolean;
  /** What it had when it was opened, or was given by `resize`. */
  #byteLength: number;
  /** False once the host has said that it cannot write zeros by itself. */
  #writesZeroes = true;
  #turn: Promise<void> = Promise.resolve();

  /** `fd` stays the caller's. */
  constructor(fd: number) {
    const opened = reopen(fd);
    this.fd = opened.fd;
    this.direct = opened.direct;
    this.#byteLength = fs.fstatSync(this.fd).size;
  }

  /**
   * Backs bytes [offset, offset + length), for as much as one write needs. `device`: the loop device over the image. Throws ENOSPC; EIO
   * when the image was truncated.
   */
  allocate(device: number, offset: number, length: number): void {
    this.#requireWhole();
    back(this.fd, falloc.keepSize, offset, length, device);
  }

  /** The same of any length, with zeros written: the first write of each block needs no transaction of the host. */
  async allocateWritten(offset: number, length: number, signal: Signal): Promise<void> {
    this.#requireWhole();
    await this.#steps(offset, length, allocateStep, signal, (at, count) => this.#reserve(at, count));
    await this.#steps(offset, length, zeroStep, signal, (at, count) => this.#writeZeroes(at, count, signal));
  }

  punch(offset: number, length: number): void {
    imageFileHooks.punch(this.fd, offset, length);
  }

  punchAsync(offset: number, length: number, signal: Signal): Promise<void> {
    return this.#inTurn(signal, () => addon().fallocateAsync(this.fd, falloc.punchHole | falloc.keepSize, offset, length));
  }

  resize(byteLength: number): void {
    this.#requireWhole();
    fs.ftruncateSync(this.fd, byteLength);
    this.#byteLength = byteLength;
  }

  /** Bytes that the host has left for us. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await fs.promises.statfs(descriptorPath(this.fd));
    return bavail * bsize;
  }

  /** Writing behind its new end would make it as long as it was, with zeros where data has been. */
  #requireWhole(): void {
    const { size } = fs.fstatSync(this.fd);
    if (size >= this.#byteLength) return;
    throw Object.assign(new Error(`the image was truncated from outside, to ${size} bytes of ${this.#byteLength}`), { code: "EIO" });
  }

  async #steps(
    offset: number, length: number, step: number, signal: Signal, work: (at: number, count: number) => Promise<void>,
  ): Promise<void> {
    for (const [at, count] of stepsOf(offset, length, step)) await this.#inTurn(signal, () => work(at, count));
  }

  #inTurn(signal: Signal, work: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(() => {
      signal.throwIfAborted();
      return work();
    });
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /** A host without fallocate says that it is full when the zeros are written. */
  async #reserve(offset: number, length: number): Promise<void> {
    await supported(addon().fallocateAsync(this.fd, falloc.keepSize, offset, length));
  }

  /** Not by itself: a kernel before 6.17, or a device below that does not. */
  async #writeZeroes(offset: number, length: number, signal: Signal): Promise<void> {
    if (this.#writesZeroes) {
      if (await supported(addon().fallocateAsync(this.fd, falloc.writeZeroes, offset, length))) return;
      log("the host does not write zeros by itself, we do");
      this.#writesZeroes = false;
      signal.throwIfAborted();
    }
    await addon().writeZeroes(this.fd, offset, length);
    if (!this.direct) await promisify(fs.fdatasync)(this.fd);
  }
}

/** False: the host cannot. */
function supported(work: Promise<void>): Promise<boolean> {
  return work.then(() => true, (error: NodeJS.ErrnoException) => {
    if (error.code !== "EOPNOTSUPP") throw error;
    return false;
  });
}

function reopen(fd: number): { fd: number; direct: boolean } {
  const { O_RDWR, O_DIRECT } = fs.constants;
  try {
    return { fd: fs.openSync(descriptorPath(fd), O_RDWR | O_DIRECT), direct: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error;
    return { fd: fs.openSync(descriptorPath(fd), O_RDWR), direct: false };
  }
}

function descriptorPath(fd: number): string {
  return `/proc/self/fd/${fd}`;
}
