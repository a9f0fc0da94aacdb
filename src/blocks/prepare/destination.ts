// Where a file shall lie in one piece: behind the piece that it begins with when all of the rest has room there, so that
// a preparation which was cut short goes on; else a free run for all of it.

import { assert } from "../../base/assert";
import { formatPages, wholePages } from "../../base/units";
import { inodeOf } from "../../namespace/space";
import type { DeviceRun } from "../../volume/blockdevice";
import { pagesOf } from "../../volume/runs";
import { allocateRetrying } from "../allocate-retrying";
import type { FileSystem } from "../filesystem";
import { nearOf, type FileRun } from "../runs-to-extents";
import { contiguousPages } from "./plan";
import { noRoom } from "./relocate";

export class Destination {
  /** The pages of the file that move. */
  readonly from: number;
  readonly end: number;
  readonly #fs: FileSystem;
  /** What is left of it, reserved. */
  #left: DeviceRun;
  /** The page of the file that the first page of #left is for. */
  #next: number;

  private constructor(fs: FileSystem, from: number, run: DeviceRun) {
    this.#fs = fs;
    this.from = from;
    this.end = from + run.count;
    this.#left = run;
    this.#next = from;
  }

  /** Throws FsError ENOSPC when no free run is long enough. */
  static async find(fs: FileSystem, ino: number): Promise<Destination> {
    await fs.volume.flush();
    await fs.volume.reclaimed(); // what the last run gave back is free now
    const inode = inodeOf(fs, ino);
    const pages = wholePages(inode.size);
    const kept = contiguousPages(pages, inode.extents);
    if (kept > 0) {
      const { near } = nearOf(inode, kept);
      const run = await oneRun(fs, pages - kept, near === undefined ? {} : { near });
      if (run !== undefined && run.page === near) return new Destination(fs, kept, run);
      if (run !== undefined) fs.volume.giveBack([run]);
      await fs.volume.reclaimed();
    }
    const run = await oneRun(fs, pages, { align: true });
    if (run !== undefined) return new Destination(fs, 0, run);
    const largest = fs.volume.stats().largestFreeRun;
    throw noRoom(`${formatPages(pages)} in one piece`, `the largest free piece has ${formatPages(largest)}`);
  }

  /** The blocks for these pages; those of pages that the file no longer has are passed over. */
  blocks(pieces: readonly FileRun[]): DeviceRun[] {
    const first = pieces[0]!;
    this.#skipTo(first.page);
    const count = pagesOf(pieces);
    assert(first.page === this.#next && count <= this.#left.count, "blocks of a step lie in what is reserved for it");
    const run = { page: this.#left.page, count };
    this.#left = { page: run.page + count, count: this.#left.count - count };
    this.#next = first.page + count;
    return [run];
  }

  release(): void {
    if (this.#left.count > 0) this.#fs.volume.release([this.#left]);
    this.#left = { page: this.#left.page, count: 0 };
  }

  #skipTo(page: number): void {
    const count = page - this.#next;
    if (count === 0) return;
    this.#fs.volume.release([{ page: this.#left.page, count }]);
    this.#left = { page: this.#left.page + count, count: this.#left.count - count };
  }
}

async function oneRun(fs: FileSystem, pages: number, hint: { near?: number; align?: boolean }): Promise<DeviceRun | undefined> {
  const { freePages } = fs.volume.statfs();
  if (pages > freePages) return undefined;
  const runs = await allocateRetrying(fs, pages, hint);
  if (runs.length === 1) return runs[0];
  fs.volume.giveBack(runs);
  return undefined;
}
