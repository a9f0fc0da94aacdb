// What `swapfs status` and statfs(2) show of a volume.

import { sectorSize } from "../base/units";
import { entryBytes, inodeBytes } from "./codec";
import { metadataCapacity, metadataRoom } from "./room";
import type { Space } from "./space";
import type { VolumeState } from "./state";
import type { Geometry } from "./superblock";

export interface VolumeStats {
  /** of the last record */
  readonly sequence: number;
  readonly records: number;
  readonly journalBytes: number;
  readonly journalCapacity: number;
  readonly checkpoints: number;
  /** what the last checkpoint took */
  readonly checkpointMs: number;
  readonly checkpointBytes: number;
  readonly checkpointCapacity: number;
  /** Pages that no file uses, but perhaps a request: neither owned nor free. */
  readonly droppedPages: number;
  readonly freeRuns: number;
  readonly largestFreeRun: number;
}

/** Pages that files have or may get. */
export interface VolumeRoom {
  readonly pages: number;
  readonly freePages: number;
  readonly inodes: number;
  readonly freeInodes: number;
}

export function roomOf(geometry: Geometry, state: VolumeState, space: Space): VolumeRoom {
  return {
    pages: geometry.blockCount - geometry.dataStart - space.withheldPages,
    freePages: space.freePages,
    inodes: state.inodes.size,
    freeInodes: Math.floor(metadataRoom(geometry, state) / (inodeBytes(0) + entryBytes(8))),
  };
}

export function statsOf(
  geometry: Geometry, state: VolumeState, space: Space,
  counted: Pick<VolumeStats, "sequence" | "records" | "journalBytes" | "checkpoints" | "checkpointMs">,
): VolumeStats {
  return {
    ...counted,
    journalCapacity: geometry.journalSectors * sectorSize,
    checkpointBytes: state.checkpointBytes,
    checkpointCapacity: metadataCapacity(geometry),
    droppedPages: space.freed.inUsePages,
    freeRuns: space.allocator.length,
    largestFreeRun: space.allocator.largest()?.count ?? 0,
  };
}
