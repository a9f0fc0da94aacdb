// The lower of the two layers, where the volume lies in an image: below which pages of a file the image's host would have
// to allocate, convert or copy a block when it is overwritten. What the gate looks at, page by page and for a remedy.

import { fiemapFlags } from "../../base/fiemap";
import { pagesFor, wholePages } from "../../base/units";
import { eachPiece, type ImageExtents, type Piece } from "../../activation/imagewalk";
import type { DeviceRun } from "../../volume/blockdevice";
import type { Extent } from "../../volume/changes";
import type { Inode } from "../../volume/inode";
import { extentsIn, type FileRun } from "../runs-to-extents";
import type { ImageRun } from "./plan";

export interface PrepareImage {
  /** What below these extents of a file is not ready, as the host says it now, in the order of its pages. */
  unready(extents: readonly Extent[]): ImageRun[];
  /** Backs these device pages and writes zeros to them. Throws FsError ENOSPC when the host is full. */
  writeZeros(run: DeviceRun): Promise<void>;
}

/** The same from what FIEMAP said: a page is ready when all of it is. */
export function unreadyIn(extents: readonly Extent[], image: ImageExtents): ImageRun[] {
  const found: ImageRun[] = [];
  eachPiece(extents, Infinity, image, (piece) => {
    const state = stateOf(piece);
    const last = found.at(-1);
    const lastEnd = last === undefined ? 0 : last.page + last.count;
    const page = Math.max(wholePages(piece.file), lastEnd); // two blocks of one page: the first that is not ready counts
    const count = pagesFor(piece.file + piece.length) - page;
    if (state === undefined || count <= 0) return;
    if (last?.state === state && lastEnd === page) found[found.length - 1] = { ...last, count: last.count + count };
    else found.push({ page, count, state });
  });
  return found;
}

/** Pages of the file that share a block with another file, or whose block the image shares. */
export function sharedWithImage(image: PrepareImage, inode: Inode, pages: FileRun): FileRun[] {
  const extents = extentsIn(inode, pages.page, pages.count);
  const own = extents.filter(({ state }) => state !== "shared");
  const inFile = extents.filter(({ state }) => state === "shared").map(({ filePage, count }) => ({ page: filePage, count }));
  const inImage = image.unready(own).filter(({ state }) => state === "shared");
  return [...inFile, ...inImage].sort((a, b) => a.page - b.page);
}

function stateOf({ host, flags }: Piece): ImageRun["state"] | undefined {
  if (host < 0) return "unbacked";
  if ((flags & fiemapFlags.shared) !== 0) return "shared";
  return (flags & fiemapFlags.unwritten) !== 0 ? "unwritten" : undefined;
}
