// The activation gate's decision, as a pure function: the kernel trusts what BMAP says, so everything that iomap or btrfs
// check when a swapfile is activated is checked here before the first answer.

import { wholePages } from "../base/units";
import { walkExtents } from "./extentwalk";
import type { WalkedExtent } from "./extentwalk";
import type { OpenHandle } from "./handles";
import { imageReasons, type ImageLayer, type UnreachableImage } from "./imagelayer";
import { otherPageSize, readSwapHeader, type SwapHeader } from "./swapheader";
import type { PageRange, Reason, Verdict } from "./verdict";

export interface Judged {
  readonly ino: number;
  readonly mode: number;
  readonly size: number;
  readonly extents: Iterable<WalkedExtent>;
}

export interface JudgeOptions {
  /** the process that activates: swapon(2) itself holds the file open for writing */
  readonly requester: number;
  /** the first bytes, page 0 at least, to judge the swap header too; swapon(2) judges it before it asks for the first block */
  readonly header?: Buffer;
  /** why page 0 could not be read */
  readonly headerError?: string | undefined;
  /** pages of the file that lie where none of its own can */
  readonly notOwn?: readonly PageRange[];
  /** it has a block view, on which swap lies */
  readonly viewed?: boolean;
  /** why the file's metadata could not be made durable */
  readonly uncommitted?: string | undefined;
  /** the image that the volume lies in, when it is one */
  readonly image?: ImageLayer | UnreachableImage | undefined;
  /** processes that are in swapon(2) for the file at this moment: through the handle of that they write nothing */
  readonly inSwapon?: readonly number[];
  /** what swapon(2) writes back itself is taken: see Surroundings.swaponDrains, and not of a file that is pinned or activated already */
  readonly ownWrites?: boolean;
  /** processes that have the file mapped shared and writable */
  readonly mappedBy?: readonly number[];
}

/** A header page and one to swap to: what swapon(2) takes (mm/swapfile.c, read_swap_header), with a header made elsewhere. */
const pagesMin = 2;
/** mkswap(8) writes no header on fewer. */
export const pagesMinForHeader = 10;

const O_ACCMODE = 3;
const S_IFMT = 0o170000;

const fileTypes: ReadonlyMap<number, string> = new Map([
  [0o010000, "fifo"], [0o020000, "character device"], [0o040000, "directory"], [0o060000, "block device"],
  [0o100000, "file"], [0o120000, "symbolic link"], [0o140000, "socket"],
]);

/** Would this file be accepted, and every reason why not. `handles`: all open handles of the file. */
export function judge(file: Judged, handles: readonly OpenHandle[], options: JudgeOptions): Verdict {
  const type = fileTypes.get(file.mode & S_IFMT) ?? "unknown";
  if (type !== "file") {
    return { accepted: false, ino: file.ino, pages: 0, extents: 0, reasons: [{ kind: "not-a-file", type }] };
  }
  const pages = wholePages(file.size); // a last page that is not whole is never swapped to
  const walk = walkExtents(file.extents, pages);
  const reasons: Reason[] = [];
  if (walk.holes.length > 0) reasons.push({ kind: "hole", layer: "file", ranges: walk.holes });
  if (walk.shared.length > 0) reasons.push({ kind: "shared", layer: "file", ranges: walk.shared });
  if (options.notOwn !== undefined && options.notOwn.length > 0) reasons.push({ kind: "not-its-own", ranges: options.notOwn });
  if (options.uncommitted !== undefined) reasons.push({ kind: "not-committed", error: options.uncommitted });
  if (options.image !== undefined) reasons.push(...imageReasons(options.image, file.extents, pages));
  if (options.viewed === true) reasons.push({ kind: "block-view" });
  reasons.push(...writerReasons(handles, options));
  if (pages < smallest(options.header)) reasons.push({ kind: "too-small", pages });
  const header = options.header && readSwapHeader(options.header);
  if (options.header !== undefined) reasons.push(...headerReasons(header, options.header, pages));
  else if (options.headerError !== undefined) reasons.push({ kind: "header-unreadable", error: options.headerError });
  const area = Math.min(pages, header?.pages ?? pages);
  return { accepted: reasons.length === 0, ino: file.ino, pages: area, extents: walk.extents, reasons };
}

function smallest(page: Buffer | undefined): number {
  return page !== undefined && readSwapHeader(page) === undefined ? pagesMinForHeader : pagesMin;
}

// Dirty pages of a shared mapping would be written back over swapped-out memory: the BMAP path of swapon flushes none.
// Through the handle of a swapon nobody writes: that of the requester, of another swapon of the same file (it waits for the
// inode's lock, and will be told EBUSY), and of the one that is on. Each has one: another one with its pid is a program's,
// or a loop device's whose losetup had that pid before. Pid 0 is everybody outside our pid namespace, and excuses nobody.
// What the requester itself may write through another handle while it is in swapon(2) is its own affair, as with the kernel's
// filesystems: dirty pages are written back before the area is on (leases.ts, `checkWrite`), and after that the VFS refuses.
function writerReasons(handles: readonly OpenHandle[], options: JudgeOptions): Reason[] {
  const { requester, inSwapon = [] } = options;
  const own = requester > 0 && inSwapon.includes(requester) && options.ownWrites === true ? requester : undefined;
  const mapped = (options.mappedBy ?? []).filter((pid) => pid !== requester && !inSwapon.includes(pid));
  const excused = new Set([requester, ...inSwapon].filter((pid) => pid > 0));
  const writers = handles.filter(({ flags, swapon }) => (flags & O_ACCMODE) !== 0 && swapon !== true).map(({ pid }) => pid)
    .filter((pid) => pid !== own && !mapped.includes(pid) && !excused.delete(pid));
  const reasons: Reason[] = [];
  if (writers.length > 0) reasons.push({ kind: "open-for-writing", pids: [...new Set(writers)] });
  if (mapped.length > 0) reasons.push({ kind: "mapped-shared", pids: [...new Set(mapped)] });
  return reasons;
}

// In the order of read_swap_header (mm/swapfile.c).
function headerReasons(header: SwapHeader | undefined, head: Buffer, filePages: number): Reason[] {
  const pageBytes = otherPageSize(head);
  if (header === undefined) return [pageBytes === undefined ? { kind: "no-header" } : { kind: "header-page-size", pageBytes }];
  if (header.version !== 1) return [{ kind: "header-version", version: header.version }];
  const reasons: Reason[] = [];
  if (header.pages === 1) reasons.push({ kind: "header-only" });
  if (header.pages > filePages) reasons.push({ kind: "header-larger-than-file", headerPages: header.pages, filePages });
  if (header.badPages > 0) reasons.push({ kind: "bad-pages", count: header.badPages });
  return reasons;
}
