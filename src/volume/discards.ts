// Pages that nobody owns any more, on their way to being free: the device, or the host of an image, is told first. That
// may take long, so it happens one run after the other beside everything else, where the device can do that.

import type { BlockDevice, DeviceRun } from "./blockdevice";
import type { Space } from "./space";

export class Discards {
  readonly #device: BlockDevice;
  readonly #space: Space;
  readonly #waiting: DeviceRun[] = [];
  #running: Promise<void> | undefined;
  #ended = false;

  constructor(device: BlockDevice, space: Space) {
    this.#device = device;
    this.#space = space;
  }

  add(runs: readonly DeviceRun[]): void {
    this.#waiting.push(...runs);
    if (this.#device.discardAsync === undefined) return this.#rest();
    if (this.#waiting.length > 0) this.#running ??= this.#run();
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
    for (let run = this.#waiting.shift(); run !== undefined; run = this.#waiting.shift()) {
      await this.#device.discardAsync!(run.page, run.count);
      if (this.#ended) return;
      this.#space.discarded(run);
    }
    this.#running = undefined;
  }

  #rest(): void {
    for (const run of this.#waiting.splice(0)) {
      this.#device.discard(run.page, run.count);
      this.#space.discarded(run);
    }
  }
}
