// What the writes in the commit ring change in one inode.

import type { RingWrite } from "../dataplane/ring";
import { attributesOf } from "../namespace/attributes";
import { isLater, timeOfNs } from "../namespace/clock";
import type { DeviceRun } from "../volume/blockdevice";
import type { Change, Extent } from "../volume/changes";
import { endOf, mergeNeighbours } from "../volume/extents";
import type { Inode } from "../volume/inode";

/**
 * `owns` says whether a run that no extent of the inode uses was allocated for it. What the inode has already is not
 * changed again: a control plane may have died between its commit and its note that the ring is drained. `lost` is told of what
 * cannot be kept.
 */
export function changesOf(inode: Inode, writes: readonly RingWrite[], owns: (run: DeviceRun) => boolean, lost: (extent: Extent) => void): Change[] {
  const changes: Change[] = [];
  for (const extents of groups(mergeNeighbours(inOrder(writes)).flatMap((extent) => missing(inode, extent, owns, lost)))) {
    const filePage = extents[0]!.filePage;
    changes.push({ kind: "set-extents", ino: inode.ino, filePage, count: endOf(extents.at(-1)!) - filePage, extents });
  }
  const last = timeOfNs(writes.reduce((latest, { timeNs }) => (timeNs > latest ? timeNs : latest), 0n));
  const size = writes.reduce((longest, { end }) => Math.max(longest, end), inode.size);
  const times = isLater(last, inode.mtime) ? { mtime: last, ctime: last } : {};
  changes.push({ kind: "put-inode", ino: inode.ino, attributes: { ...attributesOf(inode), size, ...times } });
  return changes;
}

/** As extents in the order of the file; of two that say something about one page the earlier write stays. */
function inOrder(writes: readonly RingWrite[]): Extent[] {
  const extents = writes.filter(({ count }) => count > 0)
    .map(({ filePage, devicePage, count }): Extent => ({ filePage, devicePage, count, state: "written" }))
    .sort((a, b) => a.filePage - b.filePage);
  let at = 0;
  return extents.filter((extent) => {
    if (extent.filePage < at) return false;
    at = endOf(extent);
    return true;
  });
}

/** The parts of `extent` that the inode does not have, or has as unwritten. */
function missing(inode: Inode, extent: Extent, owns: (run: DeviceRun) => boolean, lost: (extent: Extent) => void): Extent[] {
  const shift = extent.devicePage - extent.filePage;
  const parts: Extent[] = [];
  for (const old of inode.extents.range(extent.filePage, extent.count)) {
    if (old.devicePage - old.filePage !== shift || old.state === "shared") lost(old);
    else if (old.state === "unwritten") parts.push({ ...old, state: "written" });
  }
  for (const { page, count } of inode.extents.holes(extent.filePage, extent.count)) {
    const part: Extent = { filePage: page, devicePage: page + shift, count, state: "written" };
    if (owns({ page: part.devicePage, count })) parts.push(part);
    else lost(part);
  }
  return mergeNeighbours(parts.sort((a, b) => a.filePage - b.filePage));
}

/** Neighbours in the file make one change. */
function groups(extents: readonly Extent[]): Extent[][] {
  const made: Extent[][] = [];
  for (const extent of extents) {
    const group = made.at(-1);
    if (group !== undefined && endOf(group.at(-1)!) === extent.filePage) group.push(extent);
    else made.push([extent]);
  }
  return made;
}
