// What a person is told about a volume that could be opened all the same, and about one that could not.

import { UserError, exitCode } from "../base/errors";
import type { DeviceRun } from "./blockdevice";
import { lossOf } from "./loss";
import type { LoadedState, LoadedSuperblock } from "./replay";
import { sideName } from "./superblock";
import { whyImpossible } from "./validate";

/** One line for each thing that was found damaged. */
export function warningsOf(name: string, superblock: LoadedSuperblock, loaded: LoadedState): string[] {
  const warnings: string[] = [];
  for (const copy of superblock.damagedCopies) {
    if (superblock.stale) warnings.push(`${name}: a change of its size or features was cut short, it is as before`);
    else warnings.push(`${name}: superblock ${copy} is damaged, opened with superblock ${1 - copy}`);
  }
  for (const side of loaded.damagedSides) {
    warnings.push(`${name}: checkpoint ${sideName(side)} is damaged or was cut short, opened checkpoint ${sideName(loaded.side)}`);
  }
  const { found, lostDurable } = loaded.beyond;
  if (found.length > 0 && !lostDurable) {
    warnings.push(`${name}: journal record ${loaded.cursor.sequence + 1} was not flushed, ${found.length} later records are lost`);
  }
  return [...warnings, ...lossOf(loaded).map((line) => `${name}: ${line}`)];
}

/** Why the volume may be read but not be opened for writing, swap above all: by whom accepts a loss, the last kind of it. */
export function whyReadOnly(name: string, loaded: LoadedState, conflicts: readonly DeviceRun[], acceptLoss: boolean): UserError | undefined {
  const [conflict] = conflicts;
  if (conflict !== undefined) {
    return new UserError(exitCode.damaged,
      `cannot open ${name}: files own blocks that are not theirs (${conflicts.length} runs, the first at block ${conflict.page}), so one would`
      + ` overwrite another or the volume itself; swapfs fsck ${name} lists them, --format --force makes it empty`);
  }
  for (const inode of loaded.state.inodes.values()) {
    const impossible = whyImpossible(loaded.state, inode);
    if (impossible === undefined) continue;
    return new UserError(exitCode.damaged, `cannot open ${name}: inode ${inode.ino} ${impossible}; swapfs fsck ${name} lists what is wrong`);
  }
  if (!loaded.beyond.lostDurable || acceptLoss) return undefined;
  const missing = loaded.cursor.sequence + 1;
  return new UserError(exitCode.damaged,
    `cannot open ${name}: journal record ${missing} is damaged and ${loaded.beyond.found.length} follow it, run swapfs fsck ${name} to see what`
    + " is lost; mount --accept-loss goes on without that");
}
