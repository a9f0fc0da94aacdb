// A data plane that writes under grants: it keeps the granted map, writes into pages that hold nothing, and notes it in a
// ring, as native/dataplane/extent_map_write.cc does.

import { assert } from "#src/base/assert";
import { bytesOfPages, pagesFor, pageSize } from "#src/base/units";
import type { GrantPort } from "#src/dataplane/port";
import type { RingWrite } from "#src/dataplane/ring";
import type { Extent } from "#src/volume/changes";
import { ExtentMap } from "#src/volume/extents";
import type { MemoryBlockDevice } from "./memory-device";

export class GrantedWrites implements GrantPort {
  readonly log: string[] = [];
  readonly maps = new Map<number, { readonly extents: ExtentMap; size: number }>();
  /** While true, a grant that is taken back is still in use: `settle` ends that. */
  busy = false;
  seconds = 1_800_000_000;
  #writes: RingWrite[] = [];
  #gone: (ino: number) => void = () => undefined;
  #ending: (() => void)[] = [];
  readonly #device: () => MemoryBlockDevice;
  readonly #sizeOf: (ino: number) => number;

  constructor(device: () => MemoryBlockDevice, sizeOf: (ino: number) => number) {
    this.#device = device;
    this.#sizeOf = sizeOf;
  }

  readonly ring = {
    pending: 1,
    peek: (count: number): RingWrite[] => this.#writes.slice(0, count),
    drop: (count: number): void => void this.#writes.splice(0, count),
  };

  get pending(): number {
    return this.#writes.length;
  }

  grant(ino: number, extents: readonly Extent[]): void {
    this.log.push(`grant ${ino}`);
    const map = new ExtentMap();
    for (const extent of extents) map.replace(extent.filePage, extent.count, [extent]);
    this.maps.set(ino, { extents: map, size: this.#sizeOf(ino) });
  }

  end(ino: number): Promise<void> {
    this.log.push(`end ${ino}`);
    const over = (): void => {
      this.maps.delete(ino);
      this.#gone(ino);
    };
    if (!this.busy) return Promise.resolve(over());
    return new Promise((resolve) => this.#ending.push(() => resolve(over())));
  }

  settle(): void {
    this.busy = false;
    for (const over of this.#ending.splice(0)) over();
  }

  onGone(gone: (ino: number) => void): void {
    this.#gone = gone;
  }

  committed(ino: number): void {
    this.log.push(`committed ${ino}`);
  }

  /** The data plane has died: its maps with it, the ring not. */
  die(): void {
    const inos = [...this.maps.keys()];
    this.maps.clear();
    for (const ino of inos) this.#gone(ino);
  }

  /** False when the control plane must be asked. */
  write(ino: number, offset: number, bytes: Buffer): boolean {
    const map = this.maps.get(ino);
    if (map === undefined || (offset > map.size && map.size % pageSize !== 0)) return false;
    const first = Math.floor(offset / pageSize);
    const count = pagesFor(offset + bytes.length) - first;
    const old = [...map.extents.range(first, count)];
    if (old.reduce((sum, extent) => sum + extent.count, 0) < count || old.some(({ state }) => state === "shared")) return false;
    for (const extent of old) this.#writePages(extent, offset, bytes);
    const end = offset + bytes.length;
    this.seconds += 1;
    const note = { ino, end, timeNs: BigInt(this.seconds) * 1_000_000_000n };
    const fresh = old.filter(({ state }) => state === "unwritten");
    for (const extent of fresh) {
      this.#writes.push({ ...note, filePage: extent.filePage, devicePage: extent.devicePage, count: extent.count });
      map.extents.replace(extent.filePage, extent.count, [{ ...extent, state: "written" }]);
    }
    if (fresh.length === 0) this.#writes.push({ ...note, filePage: 0, devicePage: 0, count: 0 });
    map.size = Math.max(map.size, end);
    return true;
  }

  #writePages(extent: Extent, offset: number, bytes: Buffer): void {
    for (let n = 0; n < extent.count; n += 1) {
      const at = bytesOfPages(extent.devicePage + n);
      const page = extent.state === "unwritten" ? Buffer.alloc(pageSize) : Buffer.from(this.#device().read(at, pageSize));
      const start = bytesOfPages(extent.filePage + n);
      const from = Math.max(0, offset - start);
      const copied = bytes.copy(page, from, Math.max(0, start - offset), Math.min(bytes.length, start + pageSize - offset));
      assert(copied > 0, "each page of the range gets bytes");
      this.#device().write(at, page);
    }
  }
}
