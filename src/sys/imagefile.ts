// The image below a volume, in its host filesystem: backed where files own blocks, punched out where they do not. What
// takes long is done in steps on another thread, one at a time, so that the event loop and the pool's flushes go on.

import * as fs from "node:fs";

import { debugLog } from "../base/log";
import { stepsOf, zeroStep } from "../base/steps";
import { addon } from "./addon";
import { falloc } from "./fallocate";

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

  /** Backs bytes [offset, offset + length). Throws ENOSPC; EIO when the image was truncated. For as much as one write needs. */
  allocate(offset: number, length: number): void {
    this.#requireWhole();
    addon().fallocate(this.fd, falloc.keepSize, offset, length);
  }

  /** The same of any length, with zeros written: the first write of each block needs no transaction of the host. */
  async allocateWritten(offset: number, length: number, signal?: AbortSignal): Promise<void> {
    this.#requireWhole();
    await this.#steps(offset, length, allocateStep, signal, (at, count) => addon().fallocateAsync(this.fd, falloc.keepSize, at, count));
    await this.#steps(offset, length, zeroStep, signal, (at, count) => this.#writeZeroes(at, count));
  }

  punch(offset: number, length: number): void {
    addon().fallocate(this.fd, falloc.punchHole | falloc.keepSize, offset, length);
  }

  punchAsync(offset: number, length: number): Promise<void> {
    return this.#inTurn(() => addon().fallocateAsync(this.fd, falloc.punchHole | falloc.keepSize, offset, length));
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
    offset: number, length: number, step: number, signal: AbortSignal | undefined,
    work: (at: number, count: number) => Promise<void>,
  ): Promise<void> {
    for (const [at, count] of stepsOf(offset, length, step)) {
      await this.#inTurn(() => {
        signal?.throwIfAborted();
        return work(at, count);
      });
    }
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #writeZeroes(offset: number, length: number): Promise<void> {
    if (this.#writesZeroes) {
      try {
        return await addon().fallocateAsync(this.fd, falloc.writeZeroes, offset, length);
      } catch (error) {
        // EOPNOTSUPP: a kernel before 6.17, or a device below that does not write zeros by itself.
        if ((error as NodeJS.ErrnoException).code !== "EOPNOTSUPP") throw error;
        log("the host does not write zeros by itself, we do");
        this.#writesZeroes = false;
      }
    }
    await addon().writeZeroes(this.fd, offset, length);
    if (!this.direct) await flush(this.fd);
  }
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

function flush(fd: number): Promise<void> {
  return new Promise((resolve, reject) => fs.fdatasync(fd, (error) => (error ? reject(error) : resolve())));
}
