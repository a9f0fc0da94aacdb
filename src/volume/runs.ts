// A set of pages of the device, kept as sorted runs with neighbours merged.

import { assert } from "../base/assert";
import type { DeviceRun } from "./blockdevice";
import { SortedChunks } from "./chunks";

export function pagesOf(runs: readonly { readonly count: number }[]): number {
  return runs.reduce((sum, { count }) => sum + count, 0);
}

/** What `taken`, in order and apart from each other, leaves of [page, page + count). */
export function* gaps(page: number, count: number, taken: Iterable<DeviceRun>): IterableIterator<DeviceRun> {
  const end = page + count;
  let at = page;
  for (const run of taken) {
    if (run.page >= end) break;
    if (run.page > at) yield { page: at, count: run.page - at };
    at = Math.max(at, run.page + run.count);
  }
  if (at < end) yield { page: at, count: end - at };
}

export class RunSet {
  #runs = new SortedChunks<DeviceRun>((run) => run.page, (run) => run.count);
  #pages = 0;

  get pages(): number {
    return this.#pages;
  }

  /** Runs. */
  get length(): number {
    return this.#runs.size;
  }

  [Symbol.iterator](): IterableIterator<DeviceRun> {
    return this.#runs[Symbol.iterator]();
  }

  /** Adds pages none of which is in the set. */
  add(page: number, count: number): void {
    assert(count > 0 && !this.intersects(page, count), "pages are added to a set once");
    const before = this.#runs.floor(page);
    const after = this.#runs.floor(page + count);
    const start = before !== undefined && before.page + before.count === page ? before.page : page;
    const joined = after !== undefined && after.page === page + count;
    const end = joined ? after.page + after.count : page + count;
    this.#runs.replace(start, joined ? after.page + 1 : page + count, [{ page: start, count: end - start }]);
    this.#pages += count;
  }

  /** Removes pages all of which are in the set. */
  remove(page: number, count: number): void {
    const run = this.runAt(page);
    assert(run !== undefined && count > 0 && run.page + run.count >= page + count, "pages are removed from a set that holds them");
    const rest: DeviceRun[] = [];
    if (run.page < page) rest.push({ page: run.page, count: page - run.page });
    const end = run.page + run.count;
    if (end > page + count) rest.push({ page: page + count, count: end - page - count });
    this.#runs.replace(run.page, end, rest);
    this.#pages -= count;
  }

  /** Removes and returns everything. */
  takeAll(): DeviceRun[] {
    const all = [...this.#runs];
    this.#runs = new SortedChunks<DeviceRun>((run) => run.page, (run) => run.count);
    this.#pages = 0;
    return all;
  }

  /** The run that holds `page`. */
  runAt(page: number): DeviceRun | undefined {
    const run = this.#runs.floor(page);
    return run !== undefined && page < run.page + run.count ? run : undefined;
  }

  intersects(page: number, count: number): boolean {
    const run = this.#runs.floor(page + count - 1);
    return run !== undefined && run.page + run.count > page;
  }

  /** The parts of [page, page + count) that are in the set. */
  within(page: number, count: number): DeviceRun[] {
    const end = page + count;
    const parts: DeviceRun[] = [];
    for (const run of this.#runs.from(this.runAt(page)?.page ?? page)) {
      if (run.page >= end) break;
      const start = Math.max(run.page, page);
      parts.push({ page: start, count: Math.min(run.page + run.count, end) - start });
    }
    return parts;
  }

  /** The parts of [page, page + count) that are not in the set. */
  without(page: number, count: number): DeviceRun[] {
    return [...gaps(page, count, this.within(page, count))];
  }

  /** Removes and returns the parts of [page, page + count) that are in the set. */
  takeWithin(page: number, count: number): DeviceRun[] {
    const taken = this.within(page, count);
    for (const run of taken) this.remove(run.page, run.count);
    return taken;
  }

  /** The first run of at least `count` pages that begins at or after `from`. */
  firstFit(count: number, from = 0): DeviceRun | undefined {
    return this.#runs.findHeavy(count, from);
  }

  largest(): DeviceRun | undefined {
    return this.#runs.size === 0 ? undefined : this.#runs.findHeavy(this.#runs.heaviest());
  }
}
