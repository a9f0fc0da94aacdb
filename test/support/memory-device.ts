// A device in memory for tests. It is sparse, remembers every step when asked to, fails when told to, and `cut` gives
// what a device would hold after a power cut: writes that were not flushed are lost, torn and reordered by a seed.

import { assert } from "#src/base/assert";
import { FsError } from "#src/base/errors";
import { pageSize, sectorSize } from "#src/base/units";
import type { BlockDevice, DeviceRun, DeviceStep } from "#src/volume/blockdevice";

export interface MemoryDeviceOptions {
  readonly name?: string;
  readonly readOnly?: boolean;
  /** Keep every write and flush in `steps`. */
  readonly record?: boolean;
}

const zeros = Buffer.alloc(pageSize);

export class MemoryBlockDevice implements BlockDevice {
  byteLength: number;
  readonly name: string;
  readonly readOnly: boolean;
  /** Since the device was made, or since it was emptied by the test. */
  steps: DeviceStep[] = [];
  readonly discarded: DeviceRun[] = [];
  /** Writes that still succeed; the next one fails with EIO. */
  writesLeft = Infinity;
  flushesLeft = Infinity;
  /** Pages that the host of the image can still back. */
  backingLeft = Infinity;
  flushes = 0;
  readonly #record: boolean;
  readonly #pages = new Map<number, Buffer>();

  constructor(byteLength: number, options: MemoryDeviceOptions = {}) {
    this.byteLength = byteLength;
    this.name = options.name ?? "memory";
    this.readOnly = options.readOnly ?? false;
    this.#record = options.record ?? false;
  }

  read(offset: number, length: number): Buffer {
    assert(offset >= 0 && offset + length <= this.byteLength, "reads stay inside the device");
    const into = Buffer.alloc(length);
    this.#each(offset, length, (page, start, at, count) => this.#pages.get(page)?.copy(into, at, start, start + count));
    return into;
  }

  write(offset: number, bytes: Uint8Array): void {
    assert(!this.readOnly && offset + bytes.length <= this.byteLength, "writes stay inside the device");
    if (this.writesLeft === 0) throw new FsError("EIO", "a write fails, as the test wants it");
    this.writesLeft -= 1;
    if (this.#record) this.steps.push({ kind: "write", offset, bytes: Uint8Array.prototype.slice.call(bytes) });
    this.poke(offset, bytes);
  }

  /** Writes without failing, counting or recording: damage. */
  poke(offset: number, bytes: Uint8Array): void {
    this.#each(offset, bytes.length, (page, start, at, count) => {
      let held = this.#pages.get(page);
      if (held === undefined) this.#pages.set(page, (held = Buffer.alloc(pageSize)));
      held.set(bytes.subarray(at, at + count), start);
    });
  }

  flush(): void {
    if (this.flushesLeft === 0) throw new FsError("EIO", "a flush fails, as the test wants it");
    this.flushesLeft -= 1;
    this.flushes += 1;
    if (this.#record) this.steps.push({ kind: "flush" });
  }

  async flushAsync(): Promise<void> {
    await Promise.resolve();
    this.flush();
  }

  discard(page: number, count: number): void {
    this.discarded.push({ page, count });
    const few = count < this.#pages.size ? Array.from({ length: count }, (_, n) => page + n) : [...this.#pages.keys()];
    for (const held of few) if (held >= page && held < page + count) this.#pages.delete(held);
  }

  allocateBacking(_page: number, count: number): void {
    if (count > this.backingLeft) throw new FsError("ENOSPC", "the host is full, as the test wants it");
    this.backingLeft -= count;
  }

  async zeroPages(page: number, count: number): Promise<void> {
    for (let at = page; at < page + count; at += 1) {
      this.write(at * pageSize, zeros);
      if (at % 256 === 255) await new Promise(setImmediate); // other requests are waiting
    }
  }

  async copyPages(from: number, to: number, count: number): Promise<void> {
    await Promise.resolve();
    this.write(to * pageSize, this.read(from * pageSize, count * pageSize));
  }

  resize(byteLength: number | undefined): number {
    return (this.byteLength = byteLength ?? this.byteLength);
  }

  close(): void {}

  /** A copy that shares nothing, of a class of the test's own when given. */
  clone<D extends MemoryBlockDevice = MemoryBlockDevice>(
    options: MemoryDeviceOptions = {},
    Made: new (byteLength: number, options: MemoryDeviceOptions) => D = MemoryBlockDevice as never,
  ): D {
    const copy = new Made(this.byteLength, { name: this.name, ...options });
    for (const [page, held] of this.#pages) copy.poke(page * pageSize, held);
    return copy;
  }

  /** `pieces(page, offset in page, offset in buffer, bytes)` for every page that [offset, offset + length) touches. */
  #each(offset: number, length: number, piece: (page: number, start: number, at: number, count: number) => void): void {
    for (let at = 0; at < length; ) {
      const page = Math.floor((offset + at) / pageSize);
      const start = (offset + at) % pageSize;
      const count = Math.min(pageSize - start, length - at);
      piece(page, start, at, count);
      at += count;
    }
  }
}

/**
 * What `base` holds after `steps` and a power cut: everything before the last flush, and of what came later each
 * sector or not, as `random` (0 to 1) decides.
 */
export function cut(base: MemoryBlockDevice, steps: readonly DeviceStep[], random: () => number): MemoryBlockDevice {
  const device = base.clone();
  const flushed = steps.findLastIndex((step) => step.kind === "flush");
  for (const [index, step] of steps.entries()) {
    if (step.kind === "flush") continue;
    const survives = index < flushed ? 1 : random();
    for (let at = 0; at < step.bytes.length; at += sectorSize) {
      if (survives === 1 || random() < survives) device.poke(step.offset + at, step.bytes.subarray(at, at + sectorSize));
    }
  }
  return device;
}
