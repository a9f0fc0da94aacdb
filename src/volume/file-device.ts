// A block device or image file by its path. Metadata goes through the page cache and fdatasync(2): a killed control
// plane loses nothing that it wrote, and the data plane's direct I/O touches other blocks.

import fs from "node:fs";
import { assert } from "../base/assert";
import { FsError, UserError, exitCode, messageOf } from "../base/errors";
import { bytesOfPages } from "../base/units";
import type { BlockDevice } from "./blockdevice";

/** Asked before each step of what takes several, and before what waited for its turn: throws when the device is closed. */
export type StepSignal = Pick<AbortSignal, "throwIfAborted">;

export interface FileDeviceOptions {
  readonly readOnly?: boolean;
  /** Size of a block device (BLKGETSIZE64); of a regular file it is taken from stat(2). */
  readonly byteLength?: number;
  /** fallocate(2) FALLOC_FL_PUNCH_HOLE or BLKDISCARD; src/volume has no system calls beyond Node's. */
  readonly punch?: (fd: number, offset: number, length: number) => void;
  /** The same elsewhere than in this thread. */
  readonly punchAsync?: (fd: number, offset: number, length: number, signal: StepSignal) => Promise<void>;
  /** fallocate(2) mode 0 for an image; throws an error with code ENOSPC. */
  readonly allocate?: (fd: number, offset: number, length: number) => void;
  /** The same, and zeros are written there. */
  readonly allocateWritten?: (fd: number, offset: number, length: number, signal: StepSignal) => Promise<void>;
  readonly hostFreeBytes?: () => Promise<number>;
  /** Writes zeros over bytes of the device, in whole pages, elsewhere than in this thread. */
  readonly zero?: (offset: number, length: number) => Promise<void>;
  /** Copies bytes of the device to another place of it; both in whole pages. */
  readonly copy?: (from: number, to: number, length: number) => Promise<void>;
  /** BlockDevice.resize. */
  readonly resize?: (fd: number, byteLength: number | undefined) => number;
  /** Returns when none of the calls above is under way any more: nothing of ours may happen after close. */
  readonly settle?: () => void;
}

export class FileBlockDevice implements BlockDevice {
  readonly name: string;
  readonly readOnly: boolean;
  readonly fd: number;
  readonly writeBacking?: (page: number, count: number, signal?: AbortSignal) => Promise<void>;
  readonly discardAsync?: (page: number, count: number) => Promise<void>;
  readonly hostFreeBytes?: () => Promise<number>;
  readonly zeroPages?: (page: number, count: number) => Promise<void>;
  readonly copyPages?: (from: number, to: number, count: number) => Promise<void>;
  readonly resize?: (byteLength: number | undefined) => number;
  readonly #options: FileDeviceOptions;
  #byteLength: number;
  #closed = false;

  /** Throws a UserError that names `path` when it cannot be opened. Never O_EXCL: the mount itself claims the device. */
  constructor(path: string, options: FileDeviceOptions = {}) {
    this.name = path;
    this.#options = options;
    this.readOnly = options.readOnly ?? false;
    this.fd = openPath(path, this.readOnly);
    const size = options.byteLength ?? fs.fstatSync(this.fd).size;
    if (size === 0) {
      fs.closeSync(this.fd);
      throw new UserError(exitCode.mountFailed, `cannot open ${path}: its size is 0, give it a size first`);
    }
    this.#byteLength = size;
    const { copy, resize, zero } = options;
    if (zero) this.zeroPages = (page, count) => this.#elsewhere("write zeros to", () => zero(bytesOfPages(page), bytesOfPages(count)));
    if (copy) {
      this.copyPages = (from, to, count) =>
        this.#elsewhere("copy pages of", () => copy(bytesOfPages(from), bytesOfPages(to), bytesOfPages(count)));
    }
    if (resize) this.resize = (byteLength) => (this.#byteLength = this.#resized(() => resize(this.fd, byteLength)));
    if (options.allocateWritten) this.writeBacking = (page, count, signal) => this.#writeBacking(page, count, signal);
    if (options.punchAsync) this.discardAsync = (page, count) => this.#discardAsync(page, count);
    if (options.hostFreeBytes) this.hostFreeBytes = options.hostFreeBytes;
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  read(offset: number, length: number): Buffer {
    const into = Buffer.allocUnsafe(length);
    for (let done = 0; done < length; ) {
      const got = this.#io("read", () => fs.readSync(this.fd, into, done, length - done, offset + done));
      if (got === 0) throw new FsError("EIO", `cannot read ${this.name}: it ends at byte ${offset + done}`);
      done += got;
    }
    return into;
  }

  write(offset: number, bytes: Uint8Array): void {
    assert(offset + bytes.length <= this.byteLength, "writes stay inside the device");
    for (let done = 0; done < bytes.length; ) {
      const put = this.#io("write", () => fs.writeSync(this.fd, bytes, done, bytes.length - done, offset + done));
      if (put === 0) throw new FsError("EIO", `cannot write ${this.name}: nothing written at byte ${offset + done}`);
      done += put;
    }
  }

  flush(): void {
    this.#io("flush", () => fs.fdatasyncSync(this.fd));
  }

  flushAsync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.fd, (error) => (error ? reject(this.#failure("flush", error)) : resolve()));
    });
  }

  discard(page: number, count: number): void {
    try {
      this.#options.punch?.(this.fd, bytesOfPages(page), bytesOfPages(count));
    } catch {
      // A device or host filesystem without discard: the blocks keep their old contents, which no extent shows.
    }
  }

  allocateBacking(page: number, count: number): void {
    try {
      this.#options.allocate?.(this.fd, bytesOfPages(page), bytesOfPages(count));
    } catch (error) {
      throw this.#refused(`back ${count} pages`, error);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.settle?.();
    fs.closeSync(this.fd);
  }

  /** What another thread does with a descriptor of its own: never after close, when the device may be somebody else's. */
  async #elsewhere(verb: string, work: () => Promise<void>): Promise<void> {
    if (this.#closed) throw new FsError("EIO", `cannot ${verb} ${this.name}: it is closed`);
    try {
      await work();
    } catch (error) {
      throw this.#failure(verb, error);
    }
  }

  #signal(asker?: AbortSignal): StepSignal {
    return {
      throwIfAborted: () => {
        if (this.#closed) throw new FsError("EIO", "it is closed");
        asker?.throwIfAborted();
      },
    };
  }

  async #writeBacking(page: number, count: number, signal?: AbortSignal): Promise<void> {
    try {
      await this.#options.allocateWritten?.(this.fd, bytesOfPages(page), bytesOfPages(count), this.#signal(signal));
    } catch (error) {
      throw signal?.aborted === true ? new FsError("EINTR", "interrupted") : this.#refused(`back ${count} pages`, error);
    }
  }

  async #discardAsync(page: number, count: number): Promise<void> {
    try {
      if (!this.#closed) await this.#options.punchAsync?.(this.fd, bytesOfPages(page), bytesOfPages(count), this.#signal());
    } catch {
      // As in discard.
    }
  }

  /** A full or read-only host is the caller's to know; it is no fault of what is stored already. */
  #refused(what: string, error: unknown): FsError {
    const { code } = error as NodeJS.ErrnoException;
    const known = code === "ENOSPC" || code === "EDQUOT" ? "ENOSPC" : code === "EROFS" || code === "EFBIG" ? code : "EIO";
    return new FsError(known, `cannot ${what} of ${this.name}: ${messageOf(error)}`);
  }

  #resized(resize: () => number): number {
    try {
      return resize();
    } catch (error) {
      throw this.#refused("change the length", error);
    }
  }

  #io<T>(verb: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.#failure(verb, error);
    }
  }

  #failure(verb: string, error: unknown): FsError {
    return new FsError("EIO", `cannot ${verb} ${this.name}: ${messageOf(error)}`);
  }
}

function openPath(path: string, readOnly: boolean): number {
  try {
    return fs.openSync(path, readOnly ? "r" : "r+");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    const next =
      code === "ENOENT" ? "no such file or device"
      : code === "EACCES" || code === "EPERM" ? "permission denied, run as root"
      : code === "EROFS" ? "it is read-only"
      : code;
    throw new UserError(exitCode.mountFailed, `cannot open ${path}: ${next}`);
  }
}
