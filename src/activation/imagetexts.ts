// The words for pages that are refused, in the file and in the image below it.

import type { ImageFault, Layer } from "./verdict";

interface FaultWords {
  /** "5 pages of the file …" */
  readonly state: string;
  readonly kernel: string;
  readonly remedy: string;
}

const prepare = "swapfs prepare FILE";
const rewrite = "rewrite the image: umount, cp --sparse=always --reflink=never IMAGE NEW on ext4, xfs or btrfs (there into an empty"
  + " NEW with chattr +C), mount NEW, swapfs prepare FILE";

/** For pages of the file's own extents. */
const fileWords: Readonly<Record<"hole" | "shared", FaultWords>> = {
  hole: {
    state: "not allocated", kernel: "swapon: swapfile has holes",
    remedy: `${prepare}, or fallocate -l SIZE FILE with the size as it is; mkswap again if page 0 was among them`,
  },
  shared: { state: "shared with another file", kernel: "has shared extents", remedy: `${prepare} (gives the file blocks of its own)` },
};

/** For what lies below them in the image's host filesystem. */
const imageWords: Readonly<Record<ImageFault, FaultWords>> = {
  hole: {
    state: "not allocated by the host (punched or cut off from outside?)", kernel: "has unallocated extents",
    remedy: `${prepare} (they read as zeros now: mkswap again if page 0 was among them)`,
  },
  shared: { state: "shared with another file of the host", kernel: "has shared extents", remedy: `${prepare} (unshares them)` },
  unwritten: {
    state: "allocated by the host but never written: the first write to each needs a transaction of its journal", kernel: "",
    remedy: `${prepare} (writes zeros)`,
  },
  inline: { state: "stored by the host inside its metadata", kernel: "is inline", remedy: rewrite },
  delalloc: { state: "without a place on the host's device yet", kernel: "is not committed", remedy: "sync, then try again" },
  encoded: { state: "compressed or encrypted by the host", kernel: "swapfile must not be compressed", remedy: rewrite },
  "not-aligned": { state: "not aligned to blocks by the host", kernel: "", remedy: rewrite },
};

export function faultWords(kind: ImageFault, layer: Layer): FaultWords {
  return layer === "file" && (kind === "hole" || kind === "shared") ? fileWords[kind] : imageWords[kind];
}

/** For copy-on-write; the kernel's words are btrfs's own (btrfs_swap_activate, fs/btrfs/inode.c). */
export function cowRemedy(host: string): string {
  const other = "or put the image on another host (ext4, xfs), or use a block device; mount --allow-cow takes the risk";
  if (host !== "btrfs") return other.slice("or ".length);
  return `umount, touch NEW, chattr +C NEW, cp --sparse=always --reflink=never IMAGE NEW, mount NEW, swapfs prepare FILE; ${other}`;
}
