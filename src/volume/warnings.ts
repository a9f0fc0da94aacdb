// What a person is told about a volume that could be opened all the same, and about one that could not.

import { UserError, exitCode } from "../base/errors";
import type { LoadedState, LoadedSuperblock } from "./replay";
import { sideName } from "./superblock";

/** One line for each thing that was found damaged. */
export function warningsOf(name: string, superblock: LoadedSuperblock, loaded: LoadedState, conflicts: boolean): string[] {
  const warnings: string[] = [];
  for (const copy of superblock.damagedCopies) {
    if (superblock.stale) warnings.push(`${name}: a change of its size was cut short, it has the size of before`);
    else warnings.push(`${name}: superblock ${copy} is damaged, opened with superblock ${1 - copy}`);
  }
  for (const side of loaded.damagedSides) {
    warnings.push(`${name}: checkpoint ${sideName(side)} is damaged or was cut short, opened checkpoint ${sideName(loaded.side)}`);
  }
  const { records, lostDurable } = loaded.beyond;
  if (records > 0) {
    const what = lostDurable ? "is damaged" : "was not flushed";
    warnings.push(`${name}: journal record ${loaded.cursor.sequence + 1} ${what}, ${records} later records are lost`);
  }
  if (conflicts) warnings.push(`${name}: blocks belong to several files that do not share them, run swapfs fsck ${name}`);
  return warnings;
}

/** Records that were durable once cannot be read: the volume is opened only by someone who accepts the loss. */
export function lostRecords(name: string, loaded: LoadedState): UserError {
  const missing = loaded.cursor.sequence + 1;
  return new UserError(exitCode.damaged,
    `cannot open ${name}: journal record ${missing} is damaged and ${loaded.beyond.records} follow it, run swapfs fsck ${name}`);
}
