// A reason in words: what it is, what the kernel calls it, and what to do.

import { assertNever } from "../base/assert";
import { countOf, formatByteLength, pageSize } from "../base/units";
import { pagesOf } from "../volume/runs";
import { cowRemedy, faultWords } from "./imagetexts";
import type { PageRange, Reason, Verdict } from "./verdict";

export interface ReasonText {
  readonly text: string;
  /** as mm/page_io.c, mm/swapfile.c, fs/iomap/swapfile.c, fs/btrfs/inode.c or mkswap(8) say it; "" where they have no word */
  readonly kernel: string;
  readonly remedy: string;
}

const rangesShown = 8;

/** `file`: a path as a shell needs it, for FILE in what there is to do. */
export function reasonText(reason: Reason, file = "FILE"): ReasonText {
  const words = wordsOf(reason);
  return { ...words, remedy: words.remedy.replaceAll("FILE", () => file) };
}

function wordsOf(reason: Reason): ReasonText {
  switch (reason.kind) {
    case "hole": case "shared": case "unwritten": case "inline": case "delalloc": case "encoded": case "not-aligned": {
      const { state, kernel, remedy } = faultWords(reason.kind, reason.layer);
      const below = reason.layer === "image" ? "the image below the file" : "the file";
      return { text: `${pagesText(reason.ranges)} of ${below} ${state}: ${rangesText(reason.ranges)}`, kernel, remedy };
    }
    case "cow-host": case "unmapped-host": case "read-only-host": case "unreachable-image":
      return hostText(reason);
    case "not-its-own":
      return {
        text: `${pagesText(reason.ranges)} of the file in blocks that are not its own: ${rangesText(reason.ranges)}`, kernel: "",
        remedy: "umount, and look at what swapfs fsck SOURCE says",
      };
    case "not-committed":
      return {
        text: `not durable: ${reason.error}`, kernel: "is not committed",
        remedy: "the device fails, see the kernel's log; umount, swapfs fsck SOURCE, and mount again",
      };
    case "open-for-writing":
      return {
        text: `open for writing by ${pidsText(reason.pids)}: cached pages could be written over swap`,
        kernel: "",
        remedy: reason.pids.includes(0)
          ? "pid 0 is outside the pid namespace of swapfs: swapon there, or close it (lsof FILE shows who)"
          : "close it there (lsof FILE shows who), then swapon again",
      };
    case "mapped-shared":
      return {
        text: `mapped shared and writable by ${pidsText(reason.pids)}: dirty pages would be written over swap`,
        kernel: "",
        remedy: "unmap it there (end the program), then swapon again",
      };
    case "block-view":
      return {
        text: "in use as swap already, by its block view: a block device over its blocks", kernel: "",
        remedy: "swapfs swapoff FILE, then swapon again",
      };
    case "not-a-file":
      return { text: `a ${reason.type}, not a file`, kernel: "Invalid argument", remedy: "name a regular file" };
    case "too-small":
      return {
        text: `${reason.pages} whole pages of ${pageSize} bytes, too few for a swap area: mkswap needs 10`,
        kernel: "swap area needs to be at least 40 KiB",
        remedy: "make the file larger, then mkswap",
      };
    default:
      return headerText(reason);
  }
}

function hostText(reason: Extract<Reason, { kind: "cow-host" | "unmapped-host" | "read-only-host" | "unreachable-image" }>): ReasonText {
  switch (reason.kind) {
    case "cow-host":
      return {
        text: `the host of the image, ${reason.host}, may allocate at each write: ${reason.why}`,
        kernel: reason.host === "btrfs" ? "swapfile must not be copy-on-write" : "",
        remedy: cowRemedy(reason.host),
      };
    case "unmapped-host":
      return {
        text: `the host of the image, ${reason.host}, does not say where the image lies (FIEMAP: ${reason.error})`,
        kernel: "",
        remedy: reason.error === "EIO" ? "the host has failed, see the kernel's log"
          : "put the image on ext4, xfs or btrfs, or use a block device; mount --allow-unmapped-host takes the risk",
      };
    case "read-only-host":
      return {
        text: `the host of the image, ${reason.host}, is read-only now: no page could be written`,
        kernel: "Read-only file system",
        remedy: "see the kernel's log for why, repair the host and mount it writable",
      };
    case "unreachable-image":
      return {
        text: `the image below the volume, ${reason.file}, cannot be looked at: ${reason.why}`, kernel: "",
        remedy: "umount, and mount the image itself, a loop device over it or a partition of one; or use a block device",
      };
    default:
      return assertNever(reason);
  }
}

type HeaderReason = Extract<Reason, { kind: "no-header" | "header-page-size" | "header-unreadable" | "header-version" | "header-only" | "bad-pages" | "header-larger-than-file" }>;

/** The kernel's words are those of read_swap_header in mm/swapfile.c. */
function headerText(reason: HeaderReason): ReasonText {
  switch (reason.kind) {
    case "no-header":
      return { text: "page 0 carries no swap header", kernel: "Unable to find swap-space signature", remedy: "mkswap FILE" };
    case "header-page-size":
      return {
        text: `the swap header was made for pages of ${formatByteLength(reason.pageBytes)}, this machine's have ${formatByteLength(pageSize)}`,
        kernel: "Unable to find swap-space signature", remedy: "swapon --fixpgsz FILE, or mkswap FILE",
      };
    case "header-unreadable":
      return {
        text: `page 0 cannot be read: ${reason.error}`, kernel: "Input/output error",
        remedy: "the device fails, see the kernel's log",
      };
    case "header-version":
      return {
        text: `the swap header has version ${reason.version}, not 1`,
        kernel: `Unable to handle swap header version ${reason.version}`, remedy: "mkswap FILE",
      };
    case "header-only":
      return { text: "the swap header says 1 page, and that is the header itself", kernel: "Empty swap-file", remedy: "mkswap FILE" };
    case "bad-pages":
      return { text: `the swap header lists bad pages (${reason.count}), which a file cannot have`, kernel: "", remedy: "mkswap FILE (without -c)" };
    case "header-larger-than-file":
      return {
        text: `the swap header says ${reason.headerPages} pages, the file has ${reason.filePages}`,
        kernel: "Swap area shorter than signature indicates",
        remedy: "mkswap FILE, or give the file its old length back",
      };
    default:
      return assertNever(reason);
  }
}

/** One line with all reasons, for the log and the xattr; "accepted …" when there are none. */
export function verdictText(verdict: Verdict): string {
  if (verdict.accepted) return `accepted: ${verdict.pages} pages in ${verdict.extents} extents`;
  return verdict.reasons.map((reason) => {
    const { text, kernel, remedy } = reasonText(reason);
    return kernel === "" ? `${text}; ${remedy}` : `${text} (kernel: "${kernel}"); ${remedy}`;
  }).join(" | ");
}

/** "0-3, 17" with at most eight runs named. */
export function rangesText(ranges: readonly PageRange[]): string {
  const shown = ranges.slice(0, rangesShown).map(({ page, count }) => (count === 1 ? `${page}` : `${page}-${page + count - 1}`));
  if (ranges.length > rangesShown) shown.push(`and ${ranges.length - rangesShown} more runs`);
  return `${ranges.length === 1 && ranges[0]!.count === 1 ? "page" : "pages"} ${shown.join(", ")}`;
}

function pagesText(ranges: readonly PageRange[]): string {
  return countOf(pagesOf(ranges), "page");
}

function pidsText(pids: readonly number[]): string {
  const known = pids.filter((pid) => pid !== 0);
  if (known.length === 0) return "a process outside this pid namespace";
  return known.length === 1 ? `pid ${known[0]}` : `pids ${known.join(", ")}`;
}
