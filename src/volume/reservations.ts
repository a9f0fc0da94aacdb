// Blocks for whoever is about to write: reserved in memory, and on an image backed by the host, before any I/O.

import type { AllocationHint } from "./allocator";
import type { BlockDevice, DeviceRun } from "./blockdevice";
import type { Space } from "./space";

export interface ReservationParts {
  readonly device: BlockDevice;
  readonly space: Space;
  /** Throws FsError EROFS. */
  readonly mustBeWritable: () => void;
  /** Released pages are free afterwards, or being discarded. Throws FsError EIO. */
  readonly flushNow: () => void;
}

export class Reservations {
  readonly #parts: ReservationParts;

  constructor(parts: ReservationParts) {
    this.#parts = parts;
  }

  /** Volume.allocate. */
  allocate(count: number, hint: AllocationHint | undefined): DeviceRun[] {
    const runs = this.#reserve(count, hint);
    try {
      for (const run of runs) this.#parts.device.allocateBacking(run.page, run.count);
    } catch (error) {
      throw this.#undone(runs, error);
    }
    return runs;
  }

  /** Volume.allocateWritten. */
  allocateWritten(count: number, hint?: AllocationHint, signal?: AbortSignal): DeviceRun[] | Promise<DeviceRun[]> {
    if (this.#parts.device.writeBacking === undefined) return this.allocate(count, hint);
    return this.#written(this.#reserve(count, hint), signal);
  }

  #reserve(count: number, hint: AllocationHint | undefined): DeviceRun[] {
    const { space, mustBeWritable, flushNow } = this.#parts;
    mustBeWritable();
    if (count > space.allocator.freePages && space.freed.releasedPages > 0) flushNow();
    return space.reserve(count, hint);
  }

  async #written(runs: DeviceRun[], signal: AbortSignal | undefined): Promise<DeviceRun[]> {
    const { device, mustBeWritable } = this.#parts;
    try {
      for (const run of runs) await device.writeBacking!(run.page, run.count, signal);
    } catch (error) {
      mustBeWritable();
      throw this.#undone(runs, error);
    }
    mustBeWritable();
    return runs;
  }

  /** Whoever asks next finds the room of the host again, also that of blocks which wait for a flush. */
  #undone(runs: readonly DeviceRun[], error: unknown): unknown {
    const { space, flushNow } = this.#parts;
    space.unreserve(runs);
    if (space.freed.releasedPages > 0) flushNow();
    return error;
  }
}
