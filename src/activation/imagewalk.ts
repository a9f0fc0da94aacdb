// The second layer: an image's own extents in its host filesystem, composed with the file's extents on the volume, piece
// by piece. A page is bad when any byte of it is: a host's block may be smaller than a page.

import { fiemapFlags } from "../base/fiemap";
import { firstIndex } from "../base/search";
import { bytesOfPages, pagesFor, pageSize, wholePages } from "../base/units";
import { addRange, type WalkedExtent } from "./extentwalk";
import type { ImageFault, PageRange } from "./verdict";

/** Four numbers for each extent, in order: logical, physical, length (bytes), FIEMAP_EXTENT_ flags. */
export type ImageExtents = Float64Array;

/** A piece of the file that lies in one extent of the host, or in none. All in bytes, but `flags`. */
export interface Piece {
  /** offset in the file */
  readonly file: number;
  /** offset in the image, which is the device of the volume */
  readonly image: number;
  /** where the host has it on its own device; -1 for a hole */
  readonly host: number;
  readonly length: number;
  readonly flags: number;
}

const { unknown, delalloc, encoded, encrypted, unaligned, inline, tail, unwritten, shared } = fiemapFlags;

/** Each fault and the flags that mean it. The kernel sets NOT_ALIGNED with INLINE and TAIL, and UNKNOWN with DELALLOC. */
const faultBits: readonly (readonly [ImageFault, number])[] = [
  ["shared", shared], ["unwritten", unwritten], ["inline", inline | tail], ["delalloc", delalloc | unknown],
  ["encoded", encoded | encrypted], ["not-aligned", unaligned],
];

/**
 * What swap cannot lie on below pages [0, pages) of the file. `extents`: of the file, in the order of its pages. `steps`: pieces, and
 * probes of the search; they grow as the extents of both layers do, whatever their pages.
 */
export function walkImage(extents: Iterable<WalkedExtent>, pages: number, image: ImageExtents) {
  const faults = new Map<ImageFault, PageRange[]>();
  const note = (fault: ImageFault, piece: Piece): void => {
    let ranges = faults.get(fault);
    if (ranges === undefined) faults.set(fault, (ranges = []));
    const page = wholePages(piece.file);
    addRange(ranges, { page, count: pagesFor(piece.file + piece.length) - page });
  };
  const steps = eachPiece(extents, pages, image, (piece) => {
    if (piece.host < 0) return note("hole", piece);
    if ((piece.flags & ~(fiemapFlags.last | fiemapFlags.merged)) === 0) return;
    for (const [fault, bits] of faultBits) {
      if ((piece.flags & bits) !== 0 && !(fault === "not-aligned" && (piece.flags & (inline | tail)) !== 0)) note(fault, piece);
    }
  });
  return { faults, steps };
}

/** Visits the pieces in the order of the file's pages. Returns the steps taken. */
export function eachPiece(
  extents: Iterable<WalkedExtent>, pages: number, image: ImageExtents, visit: (piece: Piece) => void,
): number {
  const finder = new Finder(image);
  for (const { filePage, devicePage, count } of extents) {
    if (filePage >= pages) break;
    const start = bytesOfPages(devicePage);
    const end = start + bytesOfPages(Math.min(count, pages - filePage));
    const shift = bytesOfPages(filePage) - start;
    let index = finder.find(start);
    for (let at = start; at < end; finder.steps += 1) {
      const logical = index * 4 < image.length ? image[index * 4]! : Infinity;
      const stop = logical > at ? Math.min(logical, end) : Math.min(logical + image[index * 4 + 2]!, end);
      const hole = logical > at;
      visit({
        file: at + shift, image: at, length: stop - at,
        host: hole ? -1 : image[index * 4 + 1]! + at - logical, flags: hole ? 0 : image[index * 4 + 3]!,
      });
      if (!hole && stop === logical + image[index * 4 + 2]!) index += 1;
      at = stop;
    }
  }
  return finder.steps;
}

/** Finds the first extent that ends behind an offset: at once when it is near the last one found, as it mostly is. */
class Finder {
  steps = 0;
  readonly #image: ImageExtents;
  #last = 0;

  constructor(image: ImageExtents) {
    this.#image = image;
  }

  find(offset: number): number {
    const count = this.#image.length / 4;
    for (let index = this.#last; index < Math.min(this.#last + 2, count); index += 1) {
      this.steps += 1;
      if (this.#endOf(index) > offset && (index === 0 || this.#endOf(index - 1) <= offset)) return (this.#last = index);
    }
    return (this.#last = firstIndex(count, (index) => {
      this.steps += 1;
      return this.#endOf(index) > offset;
    }));
  }

  #endOf(index: number): number {
    return this.#image[index * 4]! + this.#image[index * 4 + 2]!;
  }
}

/** Nearer than this, asking for what lies between costs less than asking once more. */
const gapPagesMax = 1024;

/** Where to ask FIEMAP about the image: what covers the device pages of pages [0, pages) of the file. In order. */
export function windowsOf(extents: Iterable<WalkedExtent>, pages: number): { offset: number; length: number }[] {
  const runs: PageRange[] = [];
  for (const { filePage, devicePage, count } of extents) {
    if (filePage >= pages) break;
    runs.push({ page: devicePage, count: Math.min(count, pages - filePage) });
  }
  runs.sort((a, b) => a.page - b.page);
  const windows: PageRange[] = [];
  for (const run of runs) {
    const last = windows.at(-1);
    if (last !== undefined && run.page <= last.page + last.count + gapPagesMax) addRange(windows, joined(last, run));
    else windows.push(run);
  }
  return windows.map(({ page, count }) => ({ offset: page * pageSize, length: count * pageSize }));
}

function joined(last: PageRange, run: PageRange): PageRange {
  return { page: last.page, count: run.page + run.count - last.page };
}

/** Joins what FIEMAP said of one window after the other: a host gives whole extents, also what of them lies outside. */
export function joinExtents(windows: readonly ImageExtents[]): ImageExtents {
  const joined = new Float64Array(windows.reduce((sum, one) => sum + one.length, 0));
  let used = 0;
  let end = 0;
  for (const one of windows) {
    for (let at = 0; at < one.length; at += 4) {
      const known = Math.max(0, end - one[at]!);
      if (known >= one[at + 2]!) continue;
      joined[used] = one[at]! + known;
      joined[used + 1] = one[at + 1]! + known;
      joined[used + 2] = one[at + 2]! - known;
      joined[used + 3] = one[at + 3]!;
      end = joined[used]! + joined[used + 2]!;
      used += 4;
    }
  }
  return joined.subarray(0, used);
}
