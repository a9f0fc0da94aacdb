// Pages that no file uses any more, on their way to being free: no request of the data plane uses them -> the record that
// dropped them is durable -> the device, or the host of an image, has been told -> free. Given out earlier, they would show
// one file's data in another: to a request that is under way, or after a cut that brings the old file back.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { Allocator } from "./allocator";
import type { BlockDevice, DeviceRun } from "./blockdevice";
import { RunSet, pagesOf } from "./runs";

/** Discarded at once: an unmount waits for it, and of a sweep it is not to be had meanwhile. 64 MiB. */
const stepPages = 16384;
/** A discard of one page takes as long as one of so many. */
const callPages = 64;

export type DiscardingDevice = Pick<BlockDevice, "discard" | "discardAsync">;

export class FreedRuns {
  readonly #device: DiscardingDevice;
  readonly #allocator: Allocator;
  readonly #free: (run: DeviceRun) => void;
  /** Requests may still use them. */
  readonly #inUse = new RunSet();
  readonly #released = new RunSet();
  /** Released before the flush that is under way. */
  readonly #flushing = new RunSet();
  /** The record that dropped them is durable: they are discarded, and free then. */
  readonly #durable = new RunSet();
  readonly #all = [this.#inUse, this.#released, this.#flushing, this.#durable];
  /** What is free from here to #sweepEnd may not have been discarded when it became free. */
  #sweepAt = 0;
  #sweepEnd = 0;
  #discarding = false;
  #waiting: (() => void)[] = [];
  #ended = false;

  /** `free` is called with what has been discarded. */
  constructor(device: DiscardingDevice, allocator: Allocator, free: (run: DeviceRun) => void) {
    this.#device = device;
    this.#allocator = allocator;
    this.#free = free;
  }

  /** Pages that are free soon, without anything else happening than a flush. */
  get pages(): number {
    return this.releasedPages + this.#durable.pages;
  }

  get releasedPages(): number {
    return this.#released.pages + this.#flushing.pages;
  }

  get inUsePages(): number {
    return this.#inUse.pages;
  }

  intersects(page: number, count: number): boolean {
    return this.#all.some((set) => set.intersects(page, count));
  }

  /** A commit dropped them. */
  add({ page, count }: DeviceRun): void {
    this.#inUse.add(page, count);
  }

  /** What was added, or is reserved, of [page, page + count) waits for the next flush: no request uses it. Returns how many pages. */
  release({ page, count }: DeviceRun, reserved: RunSet): number {
    return move(this.#inUse, this.#released, page, count) + move(reserved, this.#released, page, count);
  }

  /** They were never a file's, and nobody has written to them. Few are free at once: whoever gives them back asks anew. */
  giveBack(runs: readonly DeviceRun[]): void {
    if (pagesOf(runs) > stepPages) return this.#discardSoon(runs);
    for (const run of runs) {
      this.#device.discard(run.page, run.count);
      this.#free(run);
    }
  }

  flushBegins(): void {
    for (const { page, count } of this.#released.takeAll()) this.#flushing.add(page, count);
  }

  /** The flush ended well. */
  flushEnded(): void {
    this.#discardSoon(this.#flushing.takeAll());
  }

  /** Discards what is free in [page, page + count) and stays so until its turn comes. */
  sweep(page: number, count: number): void {
    this.#sweepAt = page;
    this.#sweepEnd = page + count;
    this.#discardSoon([]);
  }

  /** Resolves when everything that is durable now is free; undefined when it is. */
  done(): Promise<void> | undefined {
    return this.#durable.pages === 0 ? undefined : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /**
   * The end of the mount: everything is discarded before the call returns, `reserved`, what requests used and what was begun in
   * the background as well. To be called when the device is at rest and all records are durable. False: `timeMs` was too short.
   */
  end(reserved: readonly DeviceRun[], timeMs: number): boolean {
    this.#ended = true;
    const end = performance.now() + timeMs;
    for (const { page, count } of [...reserved, ...this.#inUse.takeAll()]) this.#durable.add(page, count);
    for (let run = this.#next(); run !== undefined; run = this.#next()) {
      if (performance.now() >= end) return false;
      this.#device.discard(run.page, run.count);
      this.#discarded(run);
    }
    return true;
  }

  #discardSoon(runs: readonly DeviceRun[]): void {
    for (const { page, count } of runs) this.#durable.add(page, count);
    if (!this.#ended && !this.#discarding) void this.#run();
  }

  /** As much as is left, beside everything else: on another thread, where the device can do that, else in this one's turns. */
  async #run(): Promise<void> {
    const device = this.#device;
    let inThisTurn = 0;
    this.#discarding = true;
    for (let run = this.#next(); run !== undefined; run = this.#next()) {
      if (device.discardAsync !== undefined) await device.discardAsync(run.page, run.count);
      else if (inThisTurn >= stepPages) {
        await nextTurn();
        inThisTurn = 0;
      }
      if (this.#ended) return; // `end` discards it as well
      if (device.discardAsync === undefined) device.discard(run.page, run.count);
      inThisTurn += run.count + callPages;
      this.#discarded(run);
    }
    this.#discarding = false;
  }

  #next(): DeviceRun | undefined {
    const run = this.#durable.firstFit(1) ?? this.#sweepNext();
    return run && { page: run.page, count: Math.min(run.count, stepPages) };
  }

  #sweepNext(): DeviceRun | undefined {
    const page = this.#allocator.firstFree(this.#sweepAt);
    if (page === undefined || page >= this.#sweepEnd) return undefined;
    this.#sweepAt = Math.min(page + stepPages, this.#sweepEnd);
    for (const run of this.#allocator.takeWithin(page, this.#sweepAt - page)) this.#durable.add(run.page, run.count);
    return this.#durable.firstFit(1);
  }

  #discarded(run: DeviceRun): void {
    this.#durable.remove(run.page, run.count);
    this.#free(run);
    if (this.#durable.pages === 0) for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Moves the parts of [page, page + count) that are in `from`. Returns how many pages they are. */
function move(from: RunSet, to: RunSet, page: number, count: number): number {
  const parts = from.takeWithin(page, count);
  for (const part of parts) to.add(part.page, part.count);
  return pagesOf(parts);
}
