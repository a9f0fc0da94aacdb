// The check of a volume: what is wrong, as data. `checkDevice` reads a device and changes nothing; `checkState` looks at
// what a volume says of itself.

import { UserError, messageOf } from "../base/errors";
import type { BlockDevice } from "./blockdevice";
import { S_IFMT } from "./changes";
import { checkpointBytesOf } from "./checkpoint";
import type { Inode, InodeRecord } from "./inode";
import { leaseOf } from "./lease";
import { lossOf } from "./loss";
import { loadState, loadSuperblock, type LoadedState } from "./replay";
import { Space } from "./space";
import { rootIno, type VolumeState } from "./state";
import { sideName, type Geometry } from "./superblock";
import { whyImpossible } from "./validate";

export type FindingKind =
  | "superblock" | "checkpoint" | "journal"
  | "extent-outside" | "extent-overlap"
  | "link-count" | "entry-to-missing-inode" | "entry-type" | "directory-parent" | "unreachable" | "orphan"
  | "inode" | "root" | "accounting" | "lease"
  | "reference-count" | "free-and-used" | "space-count";

export interface Finding {
  /** error: something is wrong or lost. warning: redundancy is lost, a mount repairs it. note: nothing is wrong. */
  readonly severity: "error" | "warning" | "note";
  readonly kind: FindingKind;
  readonly message: string;
  readonly ino?: number;
}

export interface FsckReport {
  readonly findings: readonly Finding[];
  readonly inodes: number;
  readonly usedPages: number;
  readonly freePages: number;
  readonly sequence: number;
}

/** True when nothing is wrong: warnings and notes are allowed. */
export function isSound(report: FsckReport): boolean {
  return report.findings.every((finding) => finding.severity !== "error");
}

/** Checks the volume on a device that is not mounted. Never writes. Throws a UserError when there is no volume at all. */
export function checkDevice(device: BlockDevice): FsckReport {
  const { geometry, damagedCopies, stale } = loadSuperblock(device, true);
  const findings: Finding[] = damagedCopies.map((copy) => ({
    severity: "warning", kind: "superblock",
    message: stale ? "superblock 1 has another length: a resize was cut short" : `superblock ${copy} is damaged, the other copy is good`,
  }));
  let loaded: LoadedState;
  try {
    loaded = loadState(device, geometry);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    findings.push({ severity: "error", kind: "checkpoint", message: messageOf(error) });
    return { findings, inodes: 0, usedPages: 0, freePages: 0, sequence: 0 };
  }
  findings.push(...checkLoading(loaded));
  const report = checkState(geometry, loaded.state);
  return { ...report, findings: [...findings, ...report.findings], sequence: loaded.cursor.sequence };
}

/** Checks everything that the state in memory says. */
export function checkState(geometry: Geometry, state: VolumeState): Omit<FsckReport, "sequence"> {
  const space = new Space(geometry, state);
  const findings = [
    ...checkSpace(geometry, state, space), ...checkInodes(state), ...checkTree(state), ...checkAccounting(state),
  ];
  const usedPages = geometry.blockCount - geometry.dataStart - space.unusedPages;
  return { findings, inodes: state.inodes.size, usedPages, freePages: space.freePages };
}

function* checkLoading(loaded: LoadedState): Iterable<Finding> {
  for (const side of loaded.damagedSides) {
    const message = `checkpoint ${sideName(side)} is damaged or was cut short, the other one is good`;
    yield { severity: "warning", kind: "checkpoint", message };
  }
  for (const message of lossOf(loaded)) yield { severity: "error", kind: "journal", message };
  const { found, lostDurable } = loaded.beyond;
  if (found.length > 0 && !lostDurable) {
    const message = `journal record ${loaded.cursor.sequence + 1} was never completed, ${found.length} later ones were not flushed`;
    yield { severity: "warning", kind: "journal", message };
  }
  if (loaded.olderShort !== undefined) yield { severity: "warning", kind: "journal", message: loaded.olderShort };
}

function* checkSpace(geometry: Geometry, state: VolumeState, space: Space): Iterable<Finding> {
  for (const inode of state.inodes.values()) {
    for (const { devicePage, count } of inode.extents) {
      if (devicePage >= geometry.dataStart && devicePage + count <= geometry.blockCount) continue;
      const message = `inode ${inode.ino} uses blocks ${devicePage} to ${devicePage + count - 1}, which hold no file data`;
      yield { severity: "error", kind: "extent-outside", message, ino: inode.ino };
    }
  }
  for (const { page, count } of space.conflicts) {
    if (page < geometry.dataStart || page + count > geometry.blockCount) continue;
    const message = `blocks ${page} to ${page + count - 1} belong to several extents that are not all marked shared`;
    yield { severity: "error", kind: "extent-overlap", message };
  }
}

function* checkInodes(state: VolumeState): Iterable<Finding> {
  for (const inode of state.inodes.values()) {
    const wrong = whyImpossible(state, inode);
    if (wrong !== undefined) yield { severity: "error", kind: "inode", message: `inode ${inode.ino} ${wrong}`, ino: inode.ino };
    else if (leaseOf(inode) !== undefined) {
      const message = `the blocks of inode ${inode.ino} are leased to a block view: a mount ends that when its device is gone`;
      yield { severity: "note", kind: "lease", message, ino: inode.ino };
    }
  }
}

/** Every inode is reached from the root as often as its link count says; directories know their parent. */
function* checkTree(state: VolumeState): Iterable<Finding> {
  const root = state.inodes.get(rootIno);
  if (root?.entries === undefined) {
    yield { severity: "error", kind: "root", message: "the root directory is missing", ino: rootIno };
    return;
  }
  const links = new Map<number, number>([[rootIno, 2]]);
  const reached = new Set<number>([rootIno]);
  const queue: InodeRecord[] = [root];
  for (let directory = queue.pop(); directory !== undefined; directory = queue.pop()) {
    for (const [name, entry] of directory.entries ?? []) {
      const inode = state.inodes.get(entry.ino);
      const finding = wrongEntry(directory, name, entry, inode);
      if (finding !== undefined) yield finding;
      if (inode === undefined) continue;
      const isDirectory = inode.entries !== undefined;
      links.set(inode.ino, (links.get(inode.ino) ?? (isDirectory ? 1 : 0)) + 1);
      if (isDirectory) links.set(directory.ino, (links.get(directory.ino) ?? 0) + 1);
      if (isDirectory && !reached.has(inode.ino)) queue.push(inode);
      reached.add(inode.ino);
    }
  }
  for (const inode of state.inodes.values()) yield* checkLinks(inode, links.get(inode.ino) ?? 0, reached.has(inode.ino));
}

function wrongEntry(
  directory: Inode, name: string, entry: { ino: number; type: number }, inode: InodeRecord | undefined,
): Finding | undefined {
  const where = `entry ${JSON.stringify(name)} of directory ${directory.ino}`;
  if (inode === undefined) {
    return { severity: "error", kind: "entry-to-missing-inode", message: `${where} names inode ${entry.ino}, which does not exist`, ino: directory.ino };
  }
  // DT_* are the file type bits of the mode, shifted (include/linux/fs_types.h).
  if (entry.type !== (inode.mode & S_IFMT) >> 12) {
    return { severity: "error", kind: "entry-type", message: `${where} has type ${entry.type}, inode ${inode.ino} does not`, ino: inode.ino };
  }
  if (inode.entries !== undefined && inode.parent !== directory.ino) {
    return { severity: "error", kind: "directory-parent", message: `${where} is directory ${inode.ino}, whose parent is ${inode.parent}`, ino: inode.ino };
  }
  return undefined;
}

function* checkLinks(inode: Inode, links: number, reached: boolean): Iterable<Finding> {
  const { ino, nlink } = inode;
  if (!reached) {
    if (nlink === 0) yield { severity: "note", kind: "orphan", message: `inode ${ino} has no name, ${inode.pages} pages are freed at the next mount`, ino };
    else yield { severity: "error", kind: "unreachable", message: `inode ${ino} has ${nlink} links, but no directory names it`, ino };
  } else if (nlink !== links) {
    yield { severity: "error", kind: "link-count", message: `inode ${ino} has ${nlink} links, ${links} are there`, ino };
  }
}

function* checkAccounting(state: VolumeState): Iterable<Finding> {
  const bytes = checkpointBytesOf(state);
  if (bytes > state.checkpointBytes) {
    yield { severity: "error", kind: "accounting", message: `a checkpoint takes ${bytes} bytes, ${state.checkpointBytes} were counted` };
  }
}
