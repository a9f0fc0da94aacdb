// What `swapfs status` and statfs(2) show of a volume.

import { sectorSize } from "../base/units";
import { entryBytes, inodeBytes } from "./codec";
import type { Journaling } from "./journaling";
import { metadataCapacity, metadataRoom } from "./room";
import type { Space } from "./space";
import type { VolumeState } from "./state";
import type { Geometry } from "./superblock";

export type VolumeStats = Readonly<ReturnType<typeof statsOf>>;
export type VolumeRoom = Readonly<ReturnType<typeof roomOf>>;

/** Pages that files have or may get. */
export function roomOf(geometry: Geometry, state: VolumeState, space: Space) {
  return {
    pages: geometry.blockCount - geometry.dataStart - space.withheldPages,
    freePages: space.freePages,
    inodes: state.inodes.size,
    freeInodes: Math.floor(metadataRoom(geometry, state) / (inodeBytes(0) + entryBytes(8))),
  };
}

/** `counts`: of records and checkpoints, and what the last checkpoint took. */
export function statsOf(geometry: Geometry, state: VolumeState, space: Space, { cursor, counts }: Pick<Journaling, "cursor" | "counts">) {
  return {
    ...counts,
    /** of the last record */
    sequence: cursor.sequence,
    journalBytes: cursor.sector * sectorSize,
    journalCapacity: geometry.journalSectors * sectorSize,
    checkpointBytes: state.checkpointBytes,
    checkpointCapacity: metadataCapacity(geometry),
    /** Pages that no file uses, but perhaps a request: neither owned nor free. */
    droppedPages: space.freed.inUsePages,
    freeRuns: space.allocator.length,
    largestFreeRun: space.allocator.largest()?.count ?? 0,
  };
}
