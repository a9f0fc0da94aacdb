// Allocation that waits a moment for blocks that are about to be free before it says ENOSPC.

import { FsError } from "../base/errors";
import type { AllocationHint } from "../volume/allocator";
import type { DeviceRun } from "../volume/blockdevice";
import { pagesOf } from "../volume/runs";
import type { Volume } from "../volume/volume";
import type { BlockParts } from "./parts";
import type { FileRun } from "./runs-to-extents";

/** As Volume.allocate, but waits a moment for blocks that are about to be free before it says ENOSPC. */
export function allocateRetrying(parts: BlockParts, count: number, hint: AllocationHint): DeviceRun[] | Promise<DeviceRun[]> {
  return retrying(parts, () => parts.volume.allocate(count, hint));
}

/** The same for blocks that the host of an image has written (Volume.allocateWritten). */
export function allocateWrittenRetrying(
  parts: BlockParts, count: number, hint: AllocationHint, signal?: AbortSignal,
): DeviceRun[] | Promise<DeviceRun[]> {
  return retrying(parts, () => parts.volume.allocateWritten(count, hint, signal));
}

/**
 * What a write needs. A promise: it asks anew afterwards, and gives back what it got. That may be nothing: the pages were
 * about to be its own.
 */
export function allocateOrSettle(
  parts: BlockParts, { missing, shared }: { missing: readonly FileRun[]; shared: readonly unknown[] }, hint: AllocationHint,
): DeviceRun[] | Promise<DeviceRun[]> {
  const settle = (error: unknown): Promise<DeviceRun[]> => {
    const settled = shared.length > 0 ? whenSettled(parts.volume, error) : undefined;
    if (settled === undefined) throw error;
    return settled.then(() => []);
  };
  try {
    const runs = allocateRetrying(parts, pagesOf(missing), hint);
    return runs instanceof Promise ? runs.catch(settle) : runs;
  } catch (error) {
    return settle(error);
  }
}

/**
 * On a full volume it matters that a page whose other file has just gone need not be copied, once that is durable: resolves
 * then. undefined: that is not what the error was about.
 */
export function whenSettled(volume: Volume, error: unknown): Promise<void> | undefined {
  return error instanceof FsError && error.code === "ENOSPC" ? volume.sharingSettled() : undefined;
}

function retrying<T>(parts: BlockParts, allocate: () => T | Promise<T>, tries = 2): T | Promise<T> {
  const again = (error: unknown): Promise<T> => {
    const soon = tries > 0 && error instanceof FsError && error.code === "ENOSPC" ? aboutToBeFree(parts) : undefined;
    if (soon === undefined) throw error;
    return soon.then(() => retrying(parts, allocate, tries - 1));
  };
  try {
    const runs = allocate();
    return runs instanceof Promise ? runs.catch(again) : runs;
  } catch (error) {
    return again(error);
  }
}

/** Blocks that requests may still use first: they are discarded afterwards. */
function aboutToBeFree({ grants, deferredFree, volume }: BlockParts): Promise<unknown> | undefined {
  return grants.endAll() ?? deferredFree.drained() ?? volume.reclaimed();
}
