// What `swapfs prepare` has to do to a file, as a pure function of where it lies: the steps, in the order of its pages, each
// small enough to be one commit. Steps name pages of the file, not blocks: whoever carries one out looks again at what
// these pages are by then, for the file may be written to between two steps.

import { firstIndex } from "../../base/search";
import { stepsOf } from "../../base/steps";
import type { Extent } from "../../volume/changes";
import type { FileRun } from "../runs-to-extents";

/**
 * allocate: holes get blocks. unshare: pages get blocks of their own, with what was in the shared ones. move: pages get the
 * blocks of a contiguous run. rewrite: zeros are written where the host of an image would have to allocate or convert.
 */
export type StepKind = "allocate" | "unshare" | "move" | "rewrite";

export interface PrepareStep extends FileRun {
  readonly kind: StepKind;
}

/** Pages of the file below which the image's host would not find a block ready to be overwritten. */
export interface ImageRun extends FileRun {
  /** unbacked: a hole of the image */
  readonly state: "unbacked" | "unwritten" | "shared";
}

/** Copied in one commit: while that lasts, requests on the file wait. */
export const copyPagesMax = 1024;
/** Allocated in one commit, so that a file is in one piece where there is room. Nothing is copied then. */
export const allocatePagesMax = 2 ** 24;
/** Zeros written in one step. */
export const rewritePagesMax = 2048;

/** Pages of one step. */
export type StepMax = Readonly<Record<StepKind, number>>;

const stepMax: StepMax = {
  allocate: allocatePagesMax, unshare: copyPagesMax, move: copyPagesMax, rewrite: rewritePagesMax,
};

/** Steps for pages [0, pages). `image`: in their order; empty for a block device. */
export function planSteps(pages: number, extents: Iterable<Extent>, image: readonly ImageRun[], max = stepMax): PrepareStep[] {
  const found: PrepareStep[] = [];
  let next = 0;
  for (const extent of extents) {
    const end = Math.min(extent.filePage + extent.count, pages);
    if (extent.filePage >= pages) break;
    if (extent.filePage > next) add(found, "allocate", next, extent.filePage - next);
    if (extent.state === "shared") add(found, "unshare", extent.filePage, end - extent.filePage);
    else addImageSteps(found, extent.filePage, end, image);
    next = end;
  }
  if (next < pages) add(found, "allocate", next, pages - next);
  return found.flatMap((step) => split(step, max));
}

/** Steps that move pages [from, pages) to a run, whatever they are now. */
export function planMove(from: number, pages: number, max = stepMax): PrepareStep[] {
  return from >= pages ? [] : split({ kind: "move", page: from, count: pages - from }, max);
}

/** Pages at the beginning of the file that lie in one run of the device, and are nobody else's. */
export function contiguousPages(pages: number, extents: Iterable<Extent>): number {
  let next = 0;
  let nextDevice: number | undefined;
  for (const extent of extents) {
    if (extent.filePage !== next || extent.state === "shared" || next >= pages) break;
    if (nextDevice !== undefined && extent.devicePage !== nextDevice) break;
    next = extent.filePage + extent.count;
    nextDevice = extent.devicePage + extent.count;
  }
  return Math.min(next, pages);
}

function addImageSteps(found: PrepareStep[], page: number, end: number, image: readonly ImageRun[]): void {
  const first = firstIndex(image.length, (index) => image[index]!.page + image[index]!.count > page);
  for (let index = first; index < image.length; index += 1) {
    const run = image[index]!;
    if (run.page >= end) return;
    const from = Math.max(run.page, page);
    // A block that the image shares is given up for one that it does not: freed blocks are punched out of the image.
    add(found, run.state === "shared" ? "unshare" : "rewrite", from, Math.min(run.page + run.count, end) - from);
  }
}

function add(steps: PrepareStep[], kind: StepKind, page: number, count: number): void {
  const last = steps.at(-1);
  if (last?.kind === kind && last.page + last.count === page) steps[steps.length - 1] = { ...last, count: last.count + count };
  else steps.push({ kind, page, count });
}

function split({ kind, page, count }: PrepareStep, max: StepMax): PrepareStep[] {
  return Array.from(stepsOf(page, count, max[kind]), ([at, pages]) => ({ kind, page: at, count: pages }));
}
