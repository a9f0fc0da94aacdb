// How much metadata a volume may hold: what its checkpoint areas take, and what the control plane can open in the heap that
// V8 gives it on a small machine. Whoever may create files could otherwise end it, at every mount again.

import { FsError } from "../base/errors";
import type { Change } from "./changes";
import { checkpointCapacity } from "./checkpoint";
import { entryBytes, inodeBytes, xattrBytes } from "./codec";
import { extent_disk } from "./format";
import { extentBytes, type VolumeState } from "./state";
import type { Geometry } from "./superblock";

/**
 * A machine of 1 GiB gives V8 half of that. Of the heap, each byte of a checkpoint takes 3.2 (empty files), 3.8 (files of a page), 4.6
 * (directories, extents with a free run beside each), at most 8 (xattrs without a value): measured, test/volume/room.test.ts.
 */
const heapCheckpointBytes = 40 * 2 ** 20;

/** Room that only commits which drop something may use: a full volume can always be emptied. */
export const dropReserveBytes = 64 * 1024;

/** Bytes of a checkpoint that the volume may have; older volumes may have more, and take nothing new then. */
export function metadataCapacity(geometry: Geometry): number {
  return Math.min(checkpointCapacity(geometry), heapCheckpointBytes);
}

/** Bytes by which commits that drop nothing may lengthen a checkpoint. */
export function metadataRoom(geometry: Geometry, state: VolumeState): number {
  return Math.max(0, metadataCapacity(geometry) - dropReserveBytes - state.checkpointBytes);
}

/** Bytes by which `changes` lengthen a checkpoint, at most. Throws FsError ENOSPC when it might not fit. */
export function checkRoom(geometry: Geometry, state: VolumeState, changes: readonly Change[]): number {
  const growth = changes.reduce((sum, change) => sum + growthOf(state, change), 0);
  if (growth > 0 && growth > roomFor(geometry, state, changes)) {
    throw new FsError("ENOSPC", "cannot commit: the volume's room for metadata is full, delete files or fragments");
  }
  return growth;
}

function roomFor(geometry: Geometry, state: VolumeState, changes: readonly Change[]): number {
  if (changes.some(({ kind }) => kind.startsWith("drop-"))) return checkpointCapacity(geometry) - state.checkpointBytes;
  // A hole in the middle of an extent makes two of one.
  const frees = changes.some((change) => change.kind === "set-extents" && change.extents.length === 0);
  return frees ? metadataCapacity(geometry) - state.checkpointBytes : metadataRoom(geometry, state);
}

/** Bytes that a checkpoint grows by, at most. */
function growthOf(state: VolumeState, change: Change): number {
  switch (change.kind) {
    case "put-inode": {
      const inode = state.inodes.get(change.ino);
      if (inode === undefined) return inodeBytes(change.target?.length ?? 0);
      return change.target === undefined ? 0 : Math.max(0, inodeBytes(change.target.length) - inodeBytes(inode.target?.length ?? 0));
    }
    case "put-entry": return state.inodes.get(change.parent)?.entries?.has(change.name) ? 0 : entryBytes(change.name.length);
    case "put-xattr": return xattrBytes(change.name.length, change.value.length);
    case "set-extents": {
      const extents = state.inodes.get(change.ino)?.extents;
      if (extents === undefined) return extentBytes(change.extents.length);
      const more = extents.growth(change.filePage, change.count, change.extents);
      return more <= 0 ? 0 : Math.max(extentBytes(extents.length + more) - extentBytes(extents.length), more * extent_disk.size);
    }
    default: return 0;
  }
}
