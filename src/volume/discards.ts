// Pages that nobody owns any more, on their way to being free: the device, or the host of an image, is told first. That
// may take long, so it happens one run after the other beside everything else, where the device can do that.

import { stepsOf } from "../base/steps";
import type { BlockDevice, DeviceRun } from "./blockdevice";
import type { Space } from "./space";

/** What is not to be had meanwhile: 64 MiB. */
const sweepPages = 16384;

export class Discards {
  readonly #clean: boolean;
  readonly #device: BlockDevice;
  readonly #space: Space;
  #waiting: DeviceRun[] = [];
  /** How many of them have been taken: taking one from the front of 100,000 would move the rest. */
  #taken = 0;
  /** Pages that were free when the volume was opened after a crash, which may not have been discarded before it. */
  readonly #sweep: DeviceRun[] = [];
  #running: Promise<void> | undefined;
  #ended = false;

  /** `clean`: everything that is free was discarded before the volume was closed. */
  constructor(device: BlockDevice, space: Space, clean: boolean) {
    this.#clean = clean;
    this.#device = device;
    this.#space = space;
  }

  add(runs: readonly DeviceRun[]): void {
    // One by one: a call takes about 120,000 arguments, a file may have more extents.
    for (const run of runs) this.#waiting.push(run);
    if (this.#device.discardAsync === undefined) return this.#rest();
    if (this.#waiting.length > 0) this.#running ??= this.#run();
  }

  /** After a crash: discards everything that is free and stays so until its turn comes. Nothing where that would take this thread's time. */
  sweep(): void {
    if (this.#clean || this.#device.discardAsync === undefined) return;
    for (const { page, count } of this.#space.allocator.runs()) {
      for (const [at, pages] of stepsOf(page, count, sweepPages)) this.#sweep.push({ page: at, count: pages });
    }
    if (this.#sweep.length > 0) this.#running ??= this.#run();
  }

  /** Resolves when everything added so far is free; undefined when it is. */
  done(): Promise<void> | undefined {
    return this.#running;
  }

  /** What has not been discarded yet is, before the call returns. To be called when the device is at rest. */
  end(): void {
    this.#ended = true;
    this.#rest();
  }

  async #run(): Promise<void> {
    for (let runs = this.#next(); runs.length > 0; runs = this.#next()) {
      for (const run of runs) {
        await this.#device.discardAsync!(run.page, run.count);
        if (this.#ended) return;
        this.#space.discarded(run);
      }
    }
    this.#running = undefined;
  }

  #next(): DeviceRun[] {
    const waiting = this.#waiting[this.#taken];
    if (waiting !== undefined) {
      this.#taken += 1;
      return [waiting];
    }
    this.#forget();
    for (let piece = this.#sweep.shift(); piece !== undefined; piece = this.#sweep.shift()) {
      const free = this.#space.takeForDiscard(piece);
      if (free.length > 0) return free;
    }
    return [];
  }

  #rest(): void {
    const left = this.#waiting.slice(this.#taken);
    this.#forget();
    for (const run of left) {
      this.#device.discard(run.page, run.count);
      this.#space.discarded(run);
    }
  }

  #forget(): void {
    this.#waiting = [];
    this.#taken = 0;
  }
}
