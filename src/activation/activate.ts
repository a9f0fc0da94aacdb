// What the first BMAP of a file sets off (swapon(2), through generic_swapfile_activate in mm/page_io.c), and `swapfs pin`
// and `swapfs activate` as well: make its metadata durable, judge, pin, give the data plane the map.

import { debugLog, logLine } from "../base/log";
import { commitNow, isOnlyWritten, isWritten, judgeNow, onlookersOf, type AssessParts, type Onlookers } from "./assess";
import type { HandleTable } from "./handles";
import type { Refusals } from "./refusals";
import { verdictText } from "./texts";
import type { Verdict } from "./verdict";

const log = debugLog("activation");

export interface ActivationParts extends AssessParts {
  readonly data: { installPinned(ino: number): void };
  readonly refusals: Refusals;
  /** Runs `work` while nobody else changes the file's blocks: judging and pinning are one section. */
  exclusive<T>(ino: number, work: () => Promise<T>): T | Promise<T>;
  /** The gate sees what is shared now, not what was when the extents were recorded. */
  settleSharing(ino: number): Promise<void>;
}

/** Who wants a file's blocks to stay, and for what. */
export interface Activation {
  readonly ino: number;
  /** of the thread in swapon(2); `nobody` for a command */
  readonly pid: number;
  /** one of `pins`; undefined: swapon */
  readonly pin?: number;
}

export const nobody = -1;

// A writer that has just exited: its RELEASE may be behind reads of its own (fs/fuse/file.c, fuse_release_common).
const writerPatienceMs = 200;
const writerPollMs = 5;

const O_ACCMODE = 3;

/**
 * Judges `ino` for thread `pid`; accepted, the handle through which its swapon will swap pins the file, and the map is on
 * its way to the data plane, ahead of the reply. Refused: logged, and readable in status and user.swapfs.refused. Who has
 * no such handle swaps nothing (FIBMAP): then nothing is pinned. undefined: no such inode.
 */
export function activate(parts: ActivationParts, ino: number, pid: number): Promise<Verdict | undefined> {
  return whileWritten(parts, { ino, pid }, (onlookers) => judgeAndPin(parts, { ino, pid }, onlookers));
}

/**
 * Runs `attempt` alone on the file; again for a moment, with others let in between, while all that is in the way is a
 * writer that may just have exited. The last refusal is noted.
 */
export async function whileWritten(
  parts: ActivationParts, wanted: Activation, attempt: (onlookers: Onlookers) => Promise<Verdict | undefined>,
): Promise<Verdict | undefined> {
  const patient = Date.now() + writerPatienceMs;
  for (let onlookers: Onlookers = {}; ; ) {
    const verdict = await parts.exclusive(wanted.ino, () => attempt(onlookers));
    if (verdict === undefined || verdict.accepted) return verdict;
    const last = Date.now() >= patient || !isOnlyWritten(verdict);
    if (!isWritten(verdict) || (last && onlookers.mappedBy !== undefined)) return refuse(parts, verdict, wanted);
    onlookers = await onlookersOf(parts, wanted.ino, last);
    if (!last) await new Promise((resolve) => setTimeout(resolve, writerPollMs));
  }
}

/** Once, inside an exclusive section. */
export async function judgeAndPin(parts: ActivationParts, wanted: Activation, onlookers: Onlookers): Promise<Verdict | undefined> {
  await parts.settleSharing(wanted.ino);
  const committed = await commitNow(parts);
  const verdict = judgeNow(parts, wanted.ino, { requester: wanted.pid, ...committed, ...onlookers });
  return verdict?.accepted === true ? accept(parts, verdict, wanted) : verdict;
}

function accept(parts: ActivationParts, verdict: Verdict, { ino, pid, pin }: Activation): Verdict {
  const { handles } = parts;
  parts.refusals.clear(ino);
  const swapon = pin === undefined ? swaponHandle(handles, ino, pid) : undefined;
  if (pin === undefined && swapon === undefined) return verdict;
  const first = !handles.pinned().includes(ino);
  if (swapon !== undefined) handles.setSwapon(swapon);
  else if (pin !== undefined) handles.setPins(ino, handles.pins(ino) | pin);
  parts.data.installPinned(ino);
  if (first) logLine(`ino ${ino} pinned, ${verdictText(verdict)}`);
  else log("ino %d pinned again", ino);
  return verdict;
}

/**
 * swapon(2) opens the file for writing in the thread that then asks for its blocks (mm/swapfile.c), and closes it in
 * swapoff(2). An older handle of the same pid is somebody's else.
 */
function swaponHandle(handles: HandleTable, ino: number, pid: number): bigint | undefined {
  const own = handles.of(ino).filter((handle) => handle.pid === pid && pid > 0 && (handle.flags & O_ACCMODE) !== 0);
  return own.reduce<bigint | undefined>((newest, { fh }) => (newest === undefined || fh > newest ? fh : newest), undefined);
}

function refuse(parts: ActivationParts, verdict: Verdict, { ino, pid, pin }: Activation): Verdict {
  const refusal = parts.refusals.add(verdict, pid);
  const what = pin === undefined ? `swap on ino ${ino} for pid ${pid}` : `pin ino ${ino}`;
  logLine(`cannot ${what}: ${refusal.text}`);
  return verdict;
}
