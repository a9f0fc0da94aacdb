// Where the pages of a file lie. Sorted by file page, neighbours merged, never overlapping.

import { assert } from "../base/assert";
import type { DeviceRun } from "./blockdevice";
import type { Extent, ExtentState } from "./changes";
import { SortedChunks } from "./chunks";

export class ExtentMap {
  /** Made at the first extent: most inodes of a large tree are directories, links or small. */
  #list: SortedChunks<Extent> | undefined;
  #pages = 0;

  /** Extents. */
  get length(): number {
    return this.#list?.size ?? 0;
  }

  /** Pages that have a block. */
  get pages(): number {
    return this.#pages;
  }

  /** One past the last page that has a block. */
  get endPage(): number {
    const last = this.#list?.last;
    return last === undefined ? 0 : endOf(last);
  }

  [Symbol.iterator](): IterableIterator<Extent> {
    return this.#list === undefined ? [][Symbol.iterator]() : this.#list[Symbol.iterator]();
  }

  /** The extent that holds `filePage`, undefined for a hole. */
  find(filePage: number): Extent | undefined {
    const extent = this.#list?.floor(filePage);
    return extent !== undefined && filePage < endOf(extent) ? extent : undefined;
  }

  /** The extents of pages [filePage, filePage + count), clipped to them. */
  *range(filePage: number, count: number): IterableIterator<Extent> {
    if (this.#list === undefined) return;
    const end = filePage + count;
    const first = this.find(filePage);
    for (const extent of this.#list.from(first?.filePage ?? filePage)) {
      if (extent.filePage >= end) return;
      yield clip(extent, filePage, end);
    }
  }

  /** The runs of pages in [filePage, filePage + count) that have no block. */
  *holes(filePage: number, count: number): IterableIterator<{ page: number; count: number }> {
    let at = filePage;
    for (const extent of this.range(filePage, count)) {
      if (extent.filePage > at) yield { page: at, count: extent.filePage - at };
      at = endOf(extent);
    }
    if (at < filePage + count) yield { page: at, count: filePage + count - at };
  }

  /**
   * Replaces the mapping of pages [filePage, filePage + count) by `extents` (sorted, in the range; empty: a hole).
   * Returns what was mapped there before, clipped.
   */
  replace(filePage: number, count: number, extents: readonly Extent[]): Extent[] {
    checkExtents(filePage, count, extents);
    const end = filePage + count;
    const removed = [...this.range(filePage, count)];
    if (removed.length === 0 && extents.length === 0) return removed;
    const list = (this.#list ??= new SortedChunks<Extent>(filePageOf));
    const before = list.floor(filePage - 1);
    const after = list.floor(end);
    const made: Extent[] = [];
    if (before !== undefined && endOf(before) >= filePage) made.push(clip(before, 0, filePage));
    for (const extent of extents) made.push(extent);
    if (after !== undefined && endOf(after) > end) made.push(clip(after, end, Infinity));
    const merged = mergeNeighbours(made);
    const from = Math.min(filePage, merged[0]?.filePage ?? filePage);
    // What goes on behind the range begins at `end` now, and so does a neighbour that was merged.
    list.replace(from, after !== undefined && endOf(after) > end ? end + 1 : end, merged);
    for (const extent of removed) this.#pages -= extent.count;
    for (const extent of extents) this.#pages += extent.count;
    if (list.size === 0) this.#list = undefined;
    return removed;
  }

  /** How many extents more there may be after `replace`, at most (merging may leave fewer). */
  growth(filePage: number, count: number, extents: readonly Extent[]): number {
    const end = filePage + count;
    const first = this.find(filePage);
    const last = this.find(end);
    let remains = 0;
    if (first !== undefined && first.filePage < filePage) remains += 1;
    if (last !== undefined && last.filePage < end) remains += 1;
    let overlapping = 0;
    for (const _ of this.range(filePage, count)) overlapping += 1;
    return extents.length + remains - overlapping;
  }
}

const filePageOf = (extent: Extent): number => extent.filePage;

export function endOf(extent: Extent): number {
  return extent.filePage + extent.count;
}

/** The part of `extent` in file pages [from, end). */
export function clip(extent: Extent, from: number, end: number): Extent {
  const start = Math.max(extent.filePage, from);
  const stop = Math.min(endOf(extent), end);
  if (start === extent.filePage && stop === endOf(extent)) return extent;
  return make(start, extent.devicePage + start - extent.filePage, stop - start, extent.state);
}

/** `extent` cut into the parts whose device pages are in `runs`, in order and apart from each other, and those whose are not. */
export function* split(extent: Extent, runs: Iterable<DeviceRun>): IterableIterator<{ part: Extent; inside: boolean }> {
  const shift = extent.filePage - extent.devicePage;
  let at = extent.filePage;
  for (const { page, count } of runs) {
    if (page + shift > at) yield { part: clip(extent, at, page + shift), inside: false };
    at = page + shift + count;
    yield { part: clip(extent, page + shift, at), inside: true };
  }
  if (at < endOf(extent)) yield { part: clip(extent, at, endOf(extent)), inside: false };
}

/** Joins extents that go on in the file, on the device and in their state. */
export function mergeNeighbours(extents: readonly Extent[]): Extent[] {
  const merged: Extent[] = [];
  for (const extent of extents) {
    const last = merged.at(-1);
    if (last !== undefined && follows(last, extent)) {
      merged[merged.length - 1] = make(last.filePage, last.devicePage, last.count + extent.count, last.state);
    } else merged.push(extent);
  }
  return merged;
}

function follows(a: Extent, b: Extent): boolean {
  return endOf(a) === b.filePage && a.devicePage + a.count === b.devicePage && a.state === b.state;
}

function make(filePage: number, devicePage: number, count: number, state: ExtentState): Extent {
  return { filePage, devicePage, count, state };
}

function checkExtents(filePage: number, count: number, extents: readonly Extent[]): void {
  let at = filePage;
  for (const extent of extents) {
    assert(extent.filePage >= at && extent.count > 0, "extents are sorted and do not overlap");
    assert(extent.devicePage > 0, "block 0 means hole to bmap and is never allocated");
    at = endOf(extent);
  }
  assert(at <= filePage + count, "extents lie in the range that they replace");
}
