// The pages of the device that are free, and which of them a file gets. Contiguous first; files of 2 MiB and more begin on
// a 2 MiB boundary, the size of the swap subsystem's huge-page clusters; several runs only when nothing else is left.

import { assert } from "../base/assert";
import { FsError } from "../base/errors";
import type { DeviceRun } from "./blockdevice";
import { RunSet } from "./runs";

export const clusterPages = 512;

export interface AllocationHint {
  /** Begin on a multiple of 512 pages; taken for granted from 512 pages on unless `near` can be continued. */
  readonly align?: boolean;
  /** The page after the file's last extent: continue there if it is free. */
  readonly near?: number;
}

export class Allocator extends RunSet {
  override add(page: number, count: number): void {
    assert(page > 0, "block 0 means hole to bmap and is never allocated");
    super.add(page, count);
  }

  /** The first page from `from` on that is free. */
  firstFree(from: number): number | undefined {
    return this.runAt(from) === undefined ? this.firstFit(1, from)?.page : from;
  }

  /** Takes `count` pages. Throws FsError ENOSPC having taken nothing. Runs are in the order in which a file should use them. */
  take(count: number, hint: AllocationHint = {}): DeviceRun[] {
    assert(count > 0 && Number.isSafeInteger(count), "an allocation has pages");
    if (count > this.pages) throw new FsError("ENOSPC", `cannot allocate ${count} pages: ${this.pages} are free`);
    const whole = this.#continuation(count, hint) ?? this.#contiguous(count, hint);
    if (whole !== undefined) return [this.#take(whole)];
    return this.#scattered(count, hint);
  }

  /** All of it at `near`, so that a file that grows stays one extent. */
  #continuation(count: number, hint: AllocationHint): DeviceRun | undefined {
    if (hint.near === undefined) return undefined;
    const run = this.runAt(hint.near);
    return run !== undefined && run.page + run.count - hint.near >= count ? { page: hint.near, count } : undefined;
  }

  #contiguous(count: number, hint: AllocationHint): DeviceRun | undefined {
    if (hint.align === true || count >= clusterPages) {
      const aligned = this.#aligned(count);
      if (aligned !== undefined) return aligned;
    }
    const run = this.firstFit(count);
    return run && { page: run.page, count };
  }

  #aligned(count: number): DeviceRun | undefined {
    for (let run = this.firstFit(count); run !== undefined; run = this.firstFit(count, run.page + run.count)) {
      const page = Math.ceil(run.page / clusterPages) * clusterPages;
      if (page + count <= run.page + run.count) return { page, count };
    }
    return undefined;
  }

  /** What is free at `near`, then the largest runs, whole clusters while there are any. */
  #scattered(count: number, hint: AllocationHint): DeviceRun[] {
    const taken: DeviceRun[] = [];
    let left = count;
    const near = hint.near === undefined ? undefined : this.runAt(hint.near);
    if (near !== undefined) {
      const page = hint.near!;
      taken.push(this.#take({ page, count: Math.min(left, near.page + near.count - page) }));
      left -= taken[0]!.count;
    }
    while (left > 0) {
      const largest = this.largest();
      assert(largest !== undefined, "the free pages were counted before");
      taken.push(this.#take(partOf(largest, left)));
      left -= taken.at(-1)!.count;
    }
    return taken;
  }

  #take(run: DeviceRun): DeviceRun {
    this.remove(run.page, run.count);
    return run;
  }
}

/** Of `run`, at most `count` pages: from its first cluster boundary and in whole clusters where it has one. */
function partOf(run: DeviceRun, count: number): DeviceRun {
  const aligned = Math.ceil(run.page / clusterPages) * clusterPages;
  const clusters = Math.floor((Math.min(run.page + run.count, aligned + count) - aligned) / clusterPages);
  if (clusters > 0) return { page: aligned, count: clusters * clusterPages };
  return { page: run.page, count: Math.min(run.count, count) };
}
