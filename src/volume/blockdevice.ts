// What a volume lies on: a block device or an image file. Offsets and lengths are bytes unless they say page.

import { pageSize } from "../base/units";

const zeroPage = Buffer.alloc(pageSize);

export interface BlockDevice {
  readonly byteLength: number;
  /** The path that a person knows it by, for messages. */
  readonly name: string;
  readonly readOnly: boolean;
  /** Throws FsError EIO when not all of it can be read. */
  read(offset: number, length: number): Buffer;
  /** Throws FsError EIO. Nothing is durable before the next flush. */
  write(offset: number, bytes: Uint8Array): void;
  /** Everything written so far is durable. Throws FsError EIO. */
  flush(): void;
  flushAsync(): Promise<void>;
  /** Says that nobody needs the contents any more. Best effort: never throws. */
  discard(page: number, count: number): void;
  /** Makes the host back these pages of an image file. Throws FsError ENOSPC. Nothing to do for a block device. */
  allocateBacking(page: number, count: number): void;
  /** Of an image: the same of any length, with zeros written by the host. Throws FsError ENOSPC, EINTR when `signal` says so. */
  writeBacking?(page: number, count: number, signal?: AbortSignal): Promise<void>;
  /** `discard` that takes its time elsewhere; without it `discard` is quick. Never rejects. */
  discardAsync?(page: number, count: number): Promise<void>;
  /** Writes zeros over pages of the device, durable after the next flush. Throws FsError EIO. */
  zeroPages?(page: number, count: number): Promise<void>;
  /** Copies pages of the device, durable after the next flush. Throws FsError EIO. */
  copyPages?(from: number, to: number, count: number): Promise<void>;
  /** Gives an image another length; of a device, and when undefined, takes over what it is now. Returns it. Throws FsError. */
  resize?(byteLength: number | undefined): number;
  /** Of an image: bytes that its host has left. */
  hostFreeBytes?(): Promise<number>;
  close(): void;
}

/** A run of pages of the device. */
export interface DeviceRun {
  readonly page: number;
  readonly count: number;
}

/** What a device is asked to do. */
export type DeviceStep = { readonly kind: "write"; readonly offset: number; readonly bytes: Uint8Array } | { readonly kind: "flush" };

/** One step of a commit or a checkpoint: what pure functions return and `perform` carries out. */
export type Step =
  | DeviceStep
  /** what is zero already is not written: of an image it is a hole */
  | { readonly kind: "zeros"; readonly offset: number; readonly length: number };

/** Carries out `steps` in order; the first failure ends it. */
export function perform(device: BlockDevice, steps: Iterable<Step>): void {
  for (const step of steps) {
    if (step.kind === "flush") device.flush();
    else if (step.kind === "write") device.write(step.offset, step.bytes);
    else writeZeros(device, step.offset, step.length);
  }
}

/** Pages that are zero stay as they are: written, one below an image's hole would take room of the host, which may be full. */
function writeZeros(device: BlockDevice, offset: number, length: number): void {
  const found = device.read(offset, length);
  for (let at = 0; at < length; ) {
    let end = at;
    while (end < length && !isZero(found.subarray(end, end + pageSize))) end += pageSize;
    if (end > at) device.write(offset + at, Buffer.alloc(Math.min(end, length) - at));
    at = end + pageSize; // the page at `end` is zero
  }
}

function isZero(part: Buffer): boolean {
  return part.equals(zeroPage.subarray(0, part.length));
}
