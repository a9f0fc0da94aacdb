// Who is measured. A contender keeps its id, name and colour in every row; what it does there is in the groups.

import type { Contender } from "../report/model";

const table = {
  device: { name: "raw device", ours: false },
  swapfs: { name: "swapfs", ours: true },
  "swapfs-block": { name: "swapfs --block", ours: true },
  "swapfs-loop": { name: "swapfs --loop", ours: true },
  "swapfs-activated": { name: "swapfs, activated", ours: true },
  "swapfs-ordinary": { name: "swapfs, ordinary", ours: true },
  ext4: { name: "ext4", ours: false },
  xfs: { name: "xfs", ours: false },
  btrfs: { name: "btrfs", ours: false },
  "loop-direct": { name: "loop over ext4, direct", ours: false },
  "loop-buffered": { name: "loop over ext4, buffered", ours: false },
  "ntfs-3g": { name: "ntfs-3g", ours: false },
  "fuse-native": { name: "fuse-native engine", ours: true },
  "extents-1": { name: "1 extent", ours: true },
  "extents-100": { name: "100 extents", ours: true },
  "extents-10000": { name: "10,000 extents", ours: true },
  "extents-100000": { name: "100,000 extents", ours: true },
} as const satisfies Readonly<Record<string, Omit<Contender, "id">>>;

export type ContenderId = keyof typeof table;

export function contender(id: ContenderId): Contender {
  return { id, ...table[id] };
}
