// The one loader of the native addon (native/addon). Raw system calls: every failure throws an Error with `code`
// ("ENOSPC"), `errno` (negative) and `syscall`; the files beside this one say what it means for a person.

import * as path from "node:path";
import { UserError, exitCode, messageOf } from "../base/errors";

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** An attached loop device; closing `fd` lets it go (autoclear) unless something else, such as a mount, holds it. */
export interface AttachedLoop {
  readonly fd: number;
  readonly device: string;
  /** The backing file is read and written with direct I/O. */
  readonly direct: boolean;
  /** Logical block size in bytes. */
  readonly blockSize: number;
}

/** LOOP_GET_STATUS64: st_dev, st_ino and st_rdev of what a loop device is attached to, and which bytes of it (limit 0: to its end). */
export interface LoopStatus {
  readonly dev: number;
  readonly ino: number;
  readonly rdev: number;
  readonly offset: number;
  readonly sizeLimit: number;
  readonly name: string;
}

/** Mode bits of fallocate(2), include/uapi/linux/falloc.h. */
export const falloc = { keepSize: 1, punchHole: 2, writeZeroes: 128 } as const;

export interface Addon {
  /**
   * Takes the datagrams that are there, at most `lengths.length` (64 at once): the i-th starts at
   * i * floor(buffer.length / lengths.length) and is lengths[i] bytes long. Returns how many; 0: none; -1: the other end is closed.
   */
  recvMessages(fd: number, buffer: Buffer, lengths: Uint32Array): number;
  /** Sends the first `length` bytes as one datagram; waits while the socket is full. */
  sendMessage(fd: number, message: Uint8Array, length?: number): void;
  sendMessages(fd: number, messages: readonly Uint8Array[]): void;
  /** A SOCK_SEQPACKET pair, close-on-exec, with send buffers of `bufferBytes` each. */
  seqpacketPair(bufferBytes: number): [number, number];
  /** Calls back whenever `fd` is readable (level-triggered), with 0 or a negative errno. Keeps the process alive. */
  watch(fd: number, callback: (status: number) => void): void;
  unwatch(fd: number): void;
  peerCredentials(fd: number): PeerCredentials;
  memfdCreate(name: string, byteLength: number): number;
  /** The file's bytes themselves, shared with every process that maps them. */
  mapShared(fd: number, byteLength: number): ArrayBuffer;
  write(fd: number, bytes: Uint8Array): number;
  /** open(2) flags of a descriptor. */
  openFlags(fd: number): number;
  /** fallocate(2); mode 0 lengthens a file that ends before, punchHole with keepSize gives blocks back. */
  fallocate(fd: number, mode: number, offset: number, length: number): void;
  /** On a thread of libuv's pool, as the three below: `length` some MiB, and few at once. */
  fallocateAsync(fd: number, mode: number, offset: number, length: number): Promise<void>;
  /** Writes zeros over bytes [offset, offset + length), in whole pages: `fd` may be O_DIRECT. */
  writeZeroes(fd: number, offset: number, length: number): Promise<void>;
  blockDeviceDiscardAsync(fd: number, offset: number, length: number): Promise<void>;
  /** Copies bytes [from, from + length) to `to`, in whole pages: `fd` may be O_DIRECT. */
  copyWithin(fd: number, from: number, to: number, length: number): Promise<void>;
  /** Returns when no call of these four is under way any more. */
  waitForWork(): void;
  /** FS_*_FL flags, as lsattr(1) shows them. */
  fileFlags(fd: number): number;
  setFileFlags(fd: number, flags: number): void;
  blockDeviceByteLength(fd: number): number;
  blockDeviceReadOnly(fd: number): boolean;
  blockDeviceDiscard(fd: number, offset: number, length: number): void;
  /** `name` is only what LOOP_GET_STATUS shows; sysfs tells the true backing file. `offset`, `sizeLimit`: a part of it, in bytes. */
  loopAttach(backingFd: number, name: string, readOnly: boolean, offset?: number, sizeLimit?: number): AttachedLoop;
  /** ENXIO: nothing is attached to it. */
  loopStatus(fd: number): LoopStatus;
  /** Takes over a new length of the backing file. */
  loopSetCapacity(fd: number): void;
  /** Makes /dev/loopN anew; EBUSY while something is attached to it. */
  loopReset(index: number): void;
  /** `request`: a dm_ioctl with its data (include/uapi/linux/dm-ioctl.h), answered in place; `command`: DM_*_CMD. */
  mapperIoctl(controlFd: number, command: number, request: Buffer): void;
  /** A random key of type "logon" in the keyring of this thread: its serial. Its bytes are never seen here. */
  addRandomKey(description: string, byteLength: number): number;
  unlinkKey(serial: number): void;
  /** Four numbers for each extent: logical, physical, length (bytes) and FIEMAP_EXTENT_ flags. */
  fiemap(fd: number, start: number, length: number, sync: boolean): Float64Array;
}

let loaded: Addon | undefined;

/** The addon, loaded at the first call. */
export function addon(): Addon {
  return (loaded ??= load());
}

function load(): Addon {
  const file = path.join(__dirname, "../../native/build/swapfs.node");
  try {
    return require(file) as Addon;
  } catch (error) {
    throw new UserError(exitCode.internal, `cannot load ${file}: ${messageOf(error)}, run ./mount.sh --setup`);
  }
}
