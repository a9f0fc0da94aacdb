// A reason in words: what it is, what the kernel calls it, and what to do.

import { assertNever } from "../base/assert";
import { pageSize } from "../base/units";
import type { PageRange, Reason, Verdict } from "./verdict";

export interface ReasonText {
  readonly text: string;
  /** as mm/page_io.c, mm/swapfile.c, fs/iomap/swapfile.c or mkswap(8) say it; "" where they have no word */
  readonly kernel: string;
  readonly remedy: string;
}

const rangesShown = 8;

export function reasonText(reason: Reason): ReasonText {
  switch (reason.kind) {
    case "hole":
      return {
        text: `${pagesText(reason.ranges)} of the ${reason.layer} not allocated: ${rangesText(reason.ranges)}`,
        kernel: "swapon: swapfile has holes",
        remedy: "allocate them: fallocate -l SIZE FILE (SIZE as the file has now), then mkswap again if page 0 was among them",
      };
    case "shared":
      return {
        text: `${pagesText(reason.ranges)} of the ${reason.layer} shared with another file: ${rangesText(reason.ranges)}`,
        kernel: "swapon: file has shared extents",
        remedy: "make the swapfile anew (swapfs create) instead of copying one",
      };
    case "open-for-writing":
      return {
        text: `open for writing by ${pidsText(reason.pids)}: cached pages could be written over swap`,
        kernel: "",
        remedy: "close it there (lsof FILE shows who), then swapon again",
      };
    case "not-a-file":
      return { text: `a ${reason.type}, not a file`, kernel: "Invalid argument", remedy: "name a regular file" };
    case "too-small":
      return {
        text: `${reason.pages} whole pages of ${pageSize} bytes, too few for a swap area: mkswap needs 10`,
        kernel: "swap area needs to be at least 40 KiB",
        remedy: "make the file larger, then mkswap",
      };
    case "no-header":
      return {
        text: "page 0 carries no swap header",
        kernel: "Unable to find swap-space signature",
        remedy: "mkswap FILE",
      };
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
  return `pages ${shown.join(", ")}`;
}

function pagesText(ranges: readonly PageRange[]): string {
  const pages = ranges.reduce((sum, { count }) => sum + count, 0);
  return pages === 1 ? "1 page" : `${pages} pages`;
}

function pidsText(pids: readonly number[]): string {
  const known = pids.filter((pid) => pid !== 0);
  if (known.length === 0) return "a process outside this pid namespace";
  return known.length === 1 ? `pid ${known[0]}` : `pids ${known.join(", ")}`;
}
