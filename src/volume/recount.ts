// What a running volume has counted, against a count from its inodes: how many extents use a block, and whether each block
// that none uses is accounted for. Neither is stored, so only a volume that is open can have them wrong.

import type { Finding } from "./fsck";
import type { Counted, References } from "./references";
import { Space } from "./space";
import type { VolumeState } from "./state";
import type { Geometry } from "./superblock";

/** Where `live`, kept up to date commit by commit, differs from `state`. */
export function recount(geometry: Geometry, state: VolumeState, live: Space): Finding[] {
  const counted = new Space(geometry, state);
  return [...compareUsers(live.references, counted.references), ...compareUse(geometry, state, live, counted)];
}

function* compareUsers(live: References, counted: References): Iterable<Finding> {
  const edges = [...live, ...counted].flatMap(({ page, count }: Counted) => [page, page + count]);
  const sorted = [...new Set(edges)].sort((a, b) => a - b);
  for (const [index, page] of sorted.entries()) {
    const [is, says] = [counted.users(page), live.users(page)];
    const next = sorted[index + 1];
    if (is === says || next === undefined) continue;
    yield { severity: "error", kind: "reference-count", message: `blocks ${page} to ${next - 1} are used by ${is} extents, the count says ${says}` };
  }
}

function* compareUse(geometry: Geometry, state: VolumeState, live: Space, counted: Space): Iterable<Finding> {
  for (const inode of state.inodes.values()) {
    for (const { devicePage, count } of inode.extents) {
      if (live.isUsable({ page: devicePage, count })) continue;
      const message = `inode ${inode.ino} uses blocks ${devicePage} to ${devicePage + count - 1}, not all of which are taken`;
      yield { severity: "error", kind: "free-and-used", message, ino: inode.ino };
    }
  }
  const unused = counted.unusedPages;
  if (live.unusedPages === unused || counted.conflicts.length > 0) return;
  const dataPages = geometry.blockCount - geometry.dataStart;
  yield { severity: "error", kind: "space-count", message: `${unused} of ${dataPages} blocks are used by no extent, ${live.unusedPages} are accounted for` };
}
