// The data port of an engine whose file data moves in this process.

import type { DataPort } from "../../dataplane/port";
import { stepsOf } from "../../base/steps";
import { bytesOfPages } from "../../base/units";
import type { BlockDevice } from "../../volume/blockdevice";

/** As much as the native data plane copies in one step. */
const copyPages = 256;

export class MemoryPort implements DataPort {
  readonly #device: BlockDevice;
  readonly #moving = new Map<number, Set<Promise<unknown>>>();

  constructor(device: BlockDevice) {
    this.#device = device;
  }

  /** Runs `move`, which reads or writes blocks of `ino`; `revoke` waits for it. */
  async during<T>(ino: number, move: () => Promise<T>): Promise<T> {
    const moved = move();
    const ours = this.#moving.get(ino) ?? new Set();
    ours.add(moved);
    this.#moving.set(ino, ours);
    try {
      return await moved;
    } finally {
      ours.delete(moved);
      if (ours.size === 0 && this.#moving.get(ino) === ours) this.#moving.delete(ino);
    }
  }

  async revoke(ino: number): Promise<void> {
    await Promise.allSettled(this.#moving.get(ino) ?? []);
  }

  inUse(ino: number): boolean {
    return this.#moving.has(ino);
  }

  async zero(devicePage: number, from: number, length: number): Promise<void> {
    this.#device.write(bytesOfPages(devicePage) + from, Buffer.alloc(length));
  }

  async copy(fromPage: number, toPage: number, count: number): Promise<void> {
    for (const [done, pages] of stepsOf(0, count, copyPages)) {
      this.#device.write(bytesOfPages(toPage + done), this.#device.read(bytesOfPages(fromPage + done), bytesOfPages(pages)));
    }
  }

  /** The path API has no BMAP, so no file is ever activated here. */
  installPinned(): void {}

  async whenInstalled(): Promise<boolean> {
    return false;
  }

  /** The path API has no notifications; libfuse drops cached pages at each open instead. */
  async invalidate(): Promise<void> {}

  async invalidateAttributes(): Promise<void> {}

  takeTouched(): { ino: number; timeNs: bigint }[] {
    return [];
  }
}
