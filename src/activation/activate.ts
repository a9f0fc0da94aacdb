// What the first BMAP of a file sets off (swapon(2), through generic_swapfile_activate in mm/page_io.c), and `swapfs pin`
// and `swapfs activate` as well: make its metadata durable, judge, pin, give the data plane the map.

import { debugLog, logLine } from "../base/log";
import { commitNow, isOnlyWritten, isWritten, judgeNow, onlookersOf, type AssessParts, type Onlookers } from "./assess";
import type { PinMode } from "./handles";
import type { Refusals } from "./refusals";
import { verdictText } from "./texts";
import type { Verdict } from "./verdict";

const log = debugLog("activation");

export interface ActivationParts extends AssessParts {
  readonly data: { installPinned(ino: number): void };
  readonly refusals: Refusals;
}

// A writer that has just exited: its RELEASE may be behind reads of its own (fs/fuse/file.c, fuse_release_common).
const writerPatienceMs = 200;
const writerPollMs = 5;

const O_ACCMODE = 3;
const nobody = -1;

/**
 * Judges `ino` for process `pid`; accepted, it is pinned until its last release (with a mode: until that pin is taken
 * away) and its map is on its way to the data plane, ahead of the reply. Refused: logged, and readable in status and
 * user.swapfs.refused. undefined: no such inode.
 */
export async function activate(parts: ActivationParts, ino: number, pid: number, mode?: PinMode): Promise<Verdict | undefined> {
  const committed = await commitNow(parts);
  const patient = Date.now() + writerPatienceMs;
  for (let onlookers: Onlookers = {}; ; ) {
    const verdict = judgeNow(parts, ino, { requester: isWrittenTo(parts, ino) ? nobody : pid, ...committed, ...onlookers });
    if (verdict === undefined) return undefined;
    // Without an open handle there is no release to end the pin.
    if (verdict.accepted && (mode !== undefined || parts.handles.openCount(ino) > 0)) return accept(parts, verdict, mode);
    if (verdict.accepted) return verdict;
    const last = Date.now() >= patient || !isOnlyWritten(verdict);
    if (!isWritten(verdict) || (last && onlookers.mappedBy !== undefined)) return refuse(parts, verdict, pid, mode);
    onlookers = await onlookersOf(parts, ino, last);
    if (!last) await new Promise((resolve) => setTimeout(resolve, writerPollMs));
  }
}

// The one writer of an activated file may be swapon itself. Of two, one is a loop device or a program, whose writes would
// go over swap; that one may even have had the pid that swapon has now.
function isWrittenTo({ handles }: ActivationParts, ino: number): boolean {
  return handles.pinMode(ino) === "swap_rw" && handles.of(ino).filter(({ flags }) => (flags & O_ACCMODE) !== 0).length > 1;
}

function accept(parts: ActivationParts, verdict: Verdict, mode: PinMode | undefined): Verdict {
  const first = !parts.handles.pinned().includes(verdict.ino);
  if (mode === undefined) parts.handles.setPinned(verdict.ino, true);
  else parts.handles.setPinMode(verdict.ino, mode);
  parts.refusals.clear(verdict.ino);
  parts.data.installPinned(verdict.ino);
  if (first) logLine(`ino ${verdict.ino} pinned, ${verdictText(verdict)}`);
  else log("ino %d pinned again", verdict.ino);
  return verdict;
}

function refuse(parts: ActivationParts, verdict: Verdict, pid: number, mode: PinMode | undefined): Verdict {
  const refusal = parts.refusals.add(verdict, pid);
  const what = mode === undefined ? `swap on ino ${verdict.ino} for pid ${pid}` : `pin ino ${verdict.ino}`;
  logLine(`cannot ${what}: ${refusal.text}`);
  return verdict;
}
