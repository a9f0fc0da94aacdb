// A block view: a file that the gate has accepted, had as a block device over its own blocks. Swap on that goes past every process
// of ours, and goes on without them; so its lease is in the journal, and durable before the device is there.

import { FsError } from "../base/errors";
import { logLine } from "../base/log";
import { judgeAndPin, nobody, whileWritten } from "../activation/activate";
import { pins } from "../activation/handles";
import type { Verdict } from "../activation/verdict";
import { inodeOf } from "../namespace/space";
import type { DeviceRun } from "../volume/blockdevice";
import { leaseChange, leaseEnd, leaseOf, ownRuns } from "../volume/lease";
import type { FileSystem } from "./filesystem";
import { endPins } from "./pin";

export interface Leased {
  readonly verdict: Verdict;
  /** in the order of the file's pages; undefined: refused, or there are more than were asked for */
  readonly runs: readonly DeviceRun[] | undefined;
}

/** Through the gate, and leased durably, in one section: at most `runsMax` runs, which is asked where there is more than one. Throws FsError EBUSY for a file that is in use in another way. */
export async function leaseBlocks(fs: FileSystem, ino: number, runsMax: () => number): Promise<Leased> {
  fs.mustHaveGate();
  inodeOf(fs, ino);
  let runs: readonly DeviceRun[] | undefined;
  const wanted = { ino, pid: nobody, pin: pins.viewed };
  const verdict = await whileWritten(fs, wanted, async (onlookers) => {
    if (fs.handles.isSwapon(ino)) throw new FsError("EBUSY", "it is swapped on itself, run swapfs swapoff first");
    if ((fs.handles.pins(ino) & (pins.activated | pins.activating)) !== 0) throw new FsError("EBUSY", "it is activated, run swapfs deactivate first");
    const judged = await judgeAndPin(fs, wanted, onlookers);
    if (judged?.accepted === true) runs = await lease(fs, ino, judged.pages, runsMax);
    return judged;
  });
  if (verdict === undefined) throw new FsError("ESTALE", `ino ${ino} was freed`);
  return { verdict, runs };
}

/** The file is pinned for it already. */
async function lease(fs: FileSystem, ino: number, pages: number, runsMax: () => number): Promise<readonly DeviceRun[] | undefined> {
  try {
    const runs = ownRuns(inodeOf(fs, ino), pages);
    if (runs === undefined || (runs.length > 1 && runs.length > runsMax())) return undefined;
    fs.commit([leaseChange(ino, ...runs)]);
    await fs.volume.flush();
    return runs;
  } finally {
    if (leaseOf(fs.volume.inode(ino)) === undefined) endPins(fs, ino, pins.viewed);
  }
}

/** When its device is gone, which `isOver` is asked for alone on the file. Returns whether there was a lease that ended. */
export async function endLease(fs: FileSystem, ino: number, isOver: () => boolean): Promise<boolean> {
  return fs.exclusive(ino, () => {
    if (leaseOf(fs.volume.inode(ino)) === undefined || !isOver()) return false;
    fs.commit([leaseEnd(ino)]);
    logLine(`the block view of ino ${ino} is gone, and its lease ends`);
    endPins(fs, ino, pins.viewed);
    return true;
  });
}

/** Of every mount and every control plane, before any request: the table of handles has for pinned what the journal has for leased. */
export function adoptLeases({ volume, handles }: Pick<FileSystem, "volume" | "handles">): void {
  for (const inode of volume.inodes()) if (leaseOf(inode) !== undefined) handles.setPins(inode.ino, handles.pins(inode.ino) | pins.viewed);
  for (const ino of handles.pinned()) {
    const held = handles.pins(ino);
    if ((held & pins.viewed) !== 0 && leaseOf(volume.inode(ino)) === undefined) handles.setPins(ino, held & ~pins.viewed);
  }
}

/** Inodes whose blocks are leased. */
export function leasedInodes({ handles }: Pick<FileSystem, "handles">): number[] {
  return handles.pinned().filter((ino) => (handles.pins(ino) & pins.viewed) !== 0);
}
