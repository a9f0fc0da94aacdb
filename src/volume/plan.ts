// The commit as a list of steps, computed from what is known, touching nothing.

import { FsError } from "../base/errors";
import type { Step } from "./blockdevice";
import type { Change } from "./changes";
import { checkpointSteps } from "./checkpoint";
import { afterCheckpoint, appendRecord, recordSectors, type JournalCursor, type RecordNote } from "./journal";
import type { VolumeState } from "./state";
import type { Geometry, Side } from "./superblock";

export interface CommitPlan {
  /** In order; a prefix of them, the last write torn, leaves the volume before or after the commit, never between. */
  readonly steps: Iterable<Step>;
  /** Where the journal goes on when all steps are done. */
  readonly cursor: JournalCursor;
  /** The side of which the steps write a checkpoint first, because the record does not fit the half. */
  readonly checkpoint: Side | undefined;
}

/** Throws FsError ENOSPC when the record is longer than a half of the journal: the caller commits less at a time. */
export function planCommit(
  geometry: Geometry, state: VolumeState, cursor: JournalCursor, changes: readonly Change[], note: RecordNote,
): CommitPlan {
  const sectors = recordSectors(changes);
  if (sectors > geometry.journalSectors) {
    throw new FsError("ENOSPC", `cannot commit ${changes.length} changes: they are larger than half the journal, use fewer at a time`);
  }
  if (cursor.sector + sectors <= geometry.journalSectors) {
    const { step, cursor: next } = appendRecord(geometry, cursor, changes, note);
    return { steps: [step], cursor: next, checkpoint: undefined };
  }
  const start = afterCheckpoint(cursor);
  const { step, cursor: next } = appendRecord(geometry, start, changes, note);
  return { steps: inOrder(checkpointSteps(geometry, state, start.half, cursor, 0), step), cursor: next, checkpoint: start.half };
}

function* inOrder(steps: Iterable<Step>, last: Step): Iterable<Step> {
  yield* steps;
  yield last;
}
