// How pages of a file get other blocks with the same contents: copied first, made durable, then one commit that switches
// over. Until the commit the file is as it was; what dies in between loses the copy and nothing else.

import type { DeviceRun } from "../volume/blockdevice";
import type { Change } from "../volume/changes";
import type { BlockParts } from "./parts";

export interface Exchange {
  /** device pages */
  readonly copies: readonly { readonly from: number; readonly to: number; readonly count: number }[];
  readonly changes: readonly Change[];
}

/**
 * `reserved` are the new blocks; `plan` says what they get and may throw, as `stillAllowed`, called before the commit, may.
 * Nobody may write to the pages meanwhile. Throws FsError ENOSPC, EIO, and the file is as it was, the blocks free again.
 */
export async function exchangeBlocks(
  parts: BlockParts, ino: number, reserved: readonly DeviceRun[], plan: () => Exchange,
  stillAllowed: () => void = () => undefined,
): Promise<void> {
  const { volume, data, deferredFree } = parts;
  let freed: readonly DeviceRun[];
  try {
    const { copies, changes } = plan();
    for (const { from, to, count } of copies) await data.copy(from, to, count);
    // A disk may keep the copy in its cache and lose it, with the record that names it safe in the journal.
    if (copies.length > 0) await volume.flush();
    stillAllowed();
    freed = parts.commit(changes);
  } catch (error) {
    if (reserved.length > 0) volume.release(reserved);
    throw error;
  }
  deferredFree.shed(ino);
  // A reader of another file that shared them may still use the blocks that were left.
  deferredFree.free(ino, freed);
}
