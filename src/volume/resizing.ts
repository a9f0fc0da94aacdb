// Growing and shrinking, step by step: the device first when it becomes longer, the volume first when it becomes shorter.
// At every moment the device is at least as long as the volume says, so a cut leaves the one size or the other.

import { UserError, exitCode } from "../base/errors";
import { bytesOfPages, formatByteLength, pageSize } from "../base/units";
import { wipeSignatures } from "./signatures";
import { geometryOf, newSuperblock, type SuperblockFields } from "./superblock";
import { emptyTail, type TailParts, type TailProgress } from "./tail";
import type { Volume } from "./volume";

/** A volume that is shorter is not worth its metadata: 1 MiB, and what is kept back of so little. */
const dataPagesMin = 298;

export type Resized = Readonly<ReturnType<typeof resultOf>>;

/**
 * Makes the volume `byteLength` long, its image as well; undefined: as long as its device is now. Throws a UserError
 * when that is shorter than it is, FsError when the host refuses; then nothing has changed.
 */
export function grow(volume: Volume, byteLength: number | undefined): Resized {
  const { device } = volume;
  const before = bytesOfPages(volume.geometry.blockCount);
  const wanted = byteLength ?? device.resize?.(undefined) ?? device.byteLength;
  if (Math.floor(wanted / pageSize) * pageSize === before) return resultOf(volume, before);
  if (wanted < before) throw new UserError(exitCode.usage, `cannot grow ${device.name} to ${formatByteLength(wanted)}: the volume has ${formatByteLength(before)} already, swapfs shrink makes it shorter`);
  const blockCount = blockCountFor(volume.superblock, device.name, wanted);
  if (wanted > device.byteLength) device.resize?.(bytesOfPages(blockCount));
  if (wanted > device.byteLength) {
    throw new UserError(exitCode.usage, `cannot grow ${device.name} to ${formatByteLength(wanted)}: the device has only ${formatByteLength(device.byteLength)}, enlarge it first`);
  }
  wipeSignatures(device, before); // as when the volume was made: what was at the device's end before is at its end again
  volume.resize(blockCount);
  return resultOf(volume, before);
}

/** Makes the volume `byteLength` long, and its image. Files are moved out of what goes; see emptyTail for what it throws. */
export async function shrink(parts: TailParts, byteLength: number, progress: TailProgress, signal?: AbortSignal): Promise<Resized> {
  const { volume } = parts;
  const before = bytesOfPages(volume.geometry.blockCount);
  if (byteLength > before) throw new UserError(exitCode.usage, `cannot shrink ${volume.device.name} to ${formatByteLength(byteLength)}: the volume has ${formatByteLength(before)}, swapfs grow makes it longer`);
  const blockCount = blockCountFor(volume.superblock, volume.device.name, byteLength);
  if (blockCount < volume.geometry.blockCount) {
    await emptyTail(parts, geometryOf({ ...volume.superblock, blockCount }).dataEnd, progress, signal);
    volume.resize(blockCount);
  }
  volume.device.resize?.(bytesOfPages(blockCount)); // also of a run that was killed before it came here
  return resultOf(volume, before);
}

/** Blocks of a volume of `byteLength`. Throws a UserError (usage) when it cannot have that length. */
function blockCountFor(fields: SuperblockFields, name: string, byteLength: number): number {
  const blockCount = Math.floor(byteLength / pageSize);
  const least = fields.dataStart + dataPagesMin;
  if (blockCount < least) {
    throw new UserError(exitCode.usage,
      `cannot resize ${name} to ${formatByteLength(byteLength)}: its metadata and 1 MiB of data need ${formatByteLength(least * pageSize)}, give at least that`);
  }
  newSuperblock(name, byteLength, fields.uuid, fields.created, fields); // throws when it is too long
  return blockCount;
}

/** Bytes of the volume, before and now; bytes of file data that fit, and inodes, used ones included: metadata areas stay as they were made. */
function resultOf(volume: Volume, before: number) {
  const { pages, inodes, freeInodes } = volume.statfs();
  return { before, bytes: bytesOfPages(volume.geometry.blockCount), dataBytes: bytesOfPages(pages), inodes: inodes + freeInodes };
}
