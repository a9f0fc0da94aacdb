// How often a page of the device is used. Pages that are used once are not listed, so a volume without clones has an
// empty list.

import { assert } from "../base/assert";
import type { DeviceRun } from "./blockdevice";
import { SortedChunks } from "./chunks";
import { gaps } from "./runs";

export interface Counted extends DeviceRun {
  /** at least 2 */
  readonly users: number;
}

export class References {
  readonly #counted = new SortedChunks<Counted>((run) => run.page);

  /** Runs that have more than one user. */
  get length(): number {
    return this.#counted.size;
  }

  [Symbol.iterator](): IterableIterator<Counted> {
    return this.#counted[Symbol.iterator]();
  }

  users(page: number): number {
    const run = this.#counted.floor(page);
    return run !== undefined && page < run.page + run.count ? run.users : 1;
  }

  /** The parts of [page, page + count) that have one user. */
  soleRuns(page: number, count: number): DeviceRun[] {
    return [...gaps(page, count, this.#counted.from(this.#counted.floor(page)?.page ?? page))];
  }

  /** One user more for pages that have at least one. */
  add(page: number, count: number): void {
    this.#change(page, count, 1);
  }

  /** One user less. Returns the runs that have none left. */
  drop(page: number, count: number): DeviceRun[] {
    if (this.#counted.size === 0) return [{ page, count }];
    return this.#change(page, count, -1);
  }

  #change(page: number, count: number, by: 1 | -1): DeviceRun[] {
    const pieces = this.#pieces(page, count);
    const unused: DeviceRun[] = [];
    const listed: Counted[] = [];
    for (const piece of pieces) {
      const users = piece.users + by;
      assert(users >= 0, "a page has no fewer users than none");
      if (users === 0) unused.push({ page: piece.page, count: piece.count });
      else if (users > 1) push(listed, { page: piece.page, count: piece.count, users });
    }
    this.#counted.replace(page, page + count, listed);
    return unused;
  }

  /** [page, page + count) cut where the count changes; cuts listed runs at both ends so that they lie inside. */
  #pieces(page: number, count: number): Counted[] {
    const end = page + count;
    this.#cut(page);
    this.#cut(end);
    const pieces: Counted[] = [];
    let at = page;
    for (const run of this.#counted.from(page)) {
      if (run.page >= end) break;
      if (run.page > at) pieces.push({ page: at, count: run.page - at, users: 1 });
      pieces.push(run);
      at = run.page + run.count;
    }
    if (at < end) pieces.push({ page: at, count: end - at, users: 1 });
    return pieces;
  }

  #cut(page: number): void {
    const run = this.#counted.floor(page);
    if (run === undefined || run.page === page || run.page + run.count <= page) return;
    this.#counted.replace(run.page, run.page + 1, [{ ...run, count: page - run.page }]);
    this.#counted.replace(page, page + 1, [{ page, count: run.page + run.count - page, users: run.users }]);
  }
}

function push(list: Counted[], run: Counted): void {
  const last = list.at(-1);
  if (last !== undefined && last.page + last.count === run.page && last.users === run.users) {
    list[list.length - 1] = { page: last.page, count: last.count + run.count, users: run.users };
  } else list.push(run);
}
