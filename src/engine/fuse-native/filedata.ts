// READ and WRITE: the mapping says where the bytes lie, and they are moved here, in JavaScript.

import { errno } from "../../base/errno";
import { bytesOfPages, pageSize } from "../../base/units";
import type { BlockDevice } from "../../volume/blockdevice";
import type { Mapping } from "../../blocks/mapping";
import type { Extent } from "../../volume/changes";
import type { MemoryPort } from "./port";

/** What is asked of blocks/mapping.ts. */
export type Mapper = Pick<Mapping, "ask" | "commitWrite">;

export class FileData {
  readonly #mapping: Mapper;
  readonly #device: BlockDevice;
  readonly #port: MemoryPort;

  constructor(mapping: Mapper, device: BlockDevice, port: MemoryPort) {
    this.#mapping = mapping;
    this.#device = device;
    this.#port = port;
  }

  /** Fills `into` from `offset` on; returns how many bytes there were. */
  read(ino: number, into: Buffer, offset: number): Promise<number> {
    return this.#port.during(ino, async () => {
      const answer = await this.#mapping.ask({ ino, offset, length: into.length, write: false, killSuidgid: false });
      if (answer.error) throw answer.error;
      const length = Math.max(0, Math.min(into.length, answer.size - offset));
      fill(this.#device, into.subarray(0, length), offset, answer.extents);
      return length;
    });
  }

  /** Writes all of `from` at `offset`, or throws and nothing of it counts as written. */
  write(ino: number, from: Buffer, offset: number): Promise<number> {
    return this.#port.during(ino, async () => {
      // The kernel takes setuid and setgid away itself for a daemon without FUSE_HANDLE_KILLPRIV_V2 (file_remove_privs).
      const answer = await this.#mapping.ask({ ino, offset, length: from.length, write: true, killSuidgid: false });
      if (answer.error) throw answer.error;
      let error: number = -errno.EIO;
      try {
        for (const extent of answer.extents) put(this.#device, from, offset, extent);
        error = 0;
      } finally {
        await this.#mapping.commitWrite(answer.inFlight, { error, timeNs: BigInt(Date.now()) * 1_000_000n });
      }
      return from.length;
    });
  }
}

/** Copies what extents hold, zeros elsewhere: an unwritten page holds what its block held before. */
function fill(device: BlockDevice, into: Buffer, offset: number, extents: readonly Extent[]): void {
  into.fill(0);
  for (const extent of extents) {
    if (extent.state === "unwritten") continue;
    const { start, end, onDevice } = overlap(extent, offset, into.length);
    if (start < end) device.read(onDevice, end - start).copy(into, start - offset);
  }
}

/** Writes the part of `from` that lies in `extent`; the rest of an unwritten page becomes zeros. */
function put(device: BlockDevice, from: Buffer, offset: number, extent: Extent): void {
  const { start, end, onDevice } = overlap(extent, offset, from.length);
  if (start >= end) return;
  const bytes = from.subarray(start - offset, end - offset);
  if (extent.state !== "unwritten") {
    device.write(onDevice, bytes);
    return;
  }
  const before = start % pageSize;
  const after = (pageSize - (end % pageSize)) % pageSize;
  if (before === 0 && after === 0) device.write(onDevice, bytes);
  else device.write(onDevice - before, Buffer.concat([Buffer.alloc(before), bytes, Buffer.alloc(after)]));
}

/** Bytes [start, end) of the file that lie in the extent and in the request; `onDevice`: where `start` lies. */
function overlap(extent: Extent, offset: number, length: number): { start: number; end: number; onDevice: number } {
  const first = bytesOfPages(extent.filePage);
  const start = Math.max(first, offset);
  const end = Math.min(first + bytesOfPages(extent.count), offset + length);
  return { start, end, onDevice: bytesOfPages(extent.devicePage) + start - first };
}
