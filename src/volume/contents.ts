// Whether what lies somewhere on the device is a volume's own: file data, or metadata whose checksum is right. Whoever may write
// files may put there what looks like another filesystem's signature.

import { bytesOfPages, pageSize, wholePages } from "../base/units";
import type { BlockDevice } from "./blockdevice";
import { payloadIsGood, readCheckpointHead } from "./checkpoint";
import type { Geometry, Side } from "./superblock";
import { Volume } from "./volume";

/** For one byte of a device that has a superblock of ours. Changes nothing. */
export function isContent(device: BlockDevice, offset: number): boolean {
  let volume: Volume;
  try {
    volume = Volume.open(device, { readOnly: true });
  } catch {
    return false;
  }
  const { geometry } = volume;
  const block = wholePages(offset);
  if (block >= geometry.dataStart) return isFileData(volume, block);
  // Superblocks that were not whole would be told in the warnings: who wrote there did not write them.
  if (block < geometry.checkpoint[0]) return !volume.warnings.some((warning) => warning.includes("superblock"));
  if (block >= geometry.journal[0]) return true;
  return isPayload(device, geometry, block < geometry.checkpoint[1] ? 0 : 1, offset);
}

function isFileData(volume: Volume, block: number): boolean {
  for (const { extents } of volume.inodes()) {
    for (const { devicePage, count } of extents) if (block >= devicePage && block < devicePage + count) return true;
  }
  return false;
}

/** What lies behind a wiped header is a payload that was being written when the machine was cut. */
function isPayload(device: BlockDevice, geometry: Geometry, side: Side, offset: number): boolean {
  const start = bytesOfPages(geometry.checkpoint[side] + 1);
  if (offset >= start && device.read(start - pageSize, pageSize).every((byte) => byte === 0)) return true;
  const head = readCheckpointHead(device, geometry, side);
  if (head === undefined || !payloadIsGood(device, geometry, head)) return false;
  return offset >= start && offset < start + head.payloadBytes;
}
