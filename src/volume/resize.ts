// The superblock of a volume that becomes longer or shorter. Copy 1 is written and flushed before copy 0, and opening
// goes by copy 0 while it is good: until then the volume has its old length, from then on its new one. The device has the
// longer of both lengths all the while. Metadata areas stay where they are.

import { assert } from "../base/assert";
import { UserError, exitCode } from "../base/errors";
import { formatByteLength, pageSize } from "../base/units";
import type { Step } from "./blockdevice";
import { encodeSuperblock, newSuperblock, type SuperblockFields } from "./superblock";

/** A volume that is shorter is not worth its metadata: 1 MiB, and what is kept back of so little. */
const dataPagesMin = 298;

export function resized(fields: SuperblockFields, blockCount: number): SuperblockFields {
  assert(Number.isSafeInteger(blockCount) && blockCount > fields.dataStart, "a volume has data blocks");
  return { ...fields, blockCount };
}

export function* resizeSteps(fields: SuperblockFields): Iterable<Step> {
  for (const copy of [1, 0]) {
    yield superblockStep(fields, copy);
    yield { kind: "flush" };
  }
}

export function superblockStep(fields: SuperblockFields, copy: number): Step {
  return { kind: "write", offset: copy * pageSize, bytes: encodeSuperblock(fields, copy) };
}

/** Blocks of a volume of `byteLength`. Throws a UserError (usage) when it cannot have that length. */
export function blockCountFor(fields: SuperblockFields, name: string, byteLength: number): number {
  const blockCount = Math.floor(byteLength / pageSize);
  const least = fields.dataStart + dataPagesMin;
  if (blockCount < least) {
    throw new UserError(exitCode.usage,
      `cannot resize ${name} to ${formatByteLength(byteLength)}: its metadata and 1 MiB of data need ${formatByteLength(least * pageSize)}, give at least that`);
  }
  newSuperblock(name, byteLength, fields.uuid, fields.created, fields); // throws when it is too long
  return blockCount;
}
