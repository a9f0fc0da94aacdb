// An example of every reason: what produces it, as the mounted tests do it, and the reason as data. docs/refusals.md
// shows them.

import type { PageRange, Reason, ReasonKind } from "#src/activation/verdict";

type Shown = Exclude<ReasonKind, "hole" | "shared"> | "hole (file)" | "hole (image)" | "shared (file)" | "shared (image)";

export interface Sample {
  /** commands, or why nothing produces it on the hosts of the tests */
  readonly example: string;
  readonly reason: Reason;
}

const ranges = (...runs: [page: number, count: number][]): PageRange[] => runs.map(([page, count]) => ({ page, count }));
const never = (why: string): string => `not on ext4, xfs or btrfs: ${why}`;

/** The type names every kind, so that none is forgotten. */
export const samples: Readonly<Record<Shown, Sample>> = {
  "hole (file)": {
    example: "`truncate -s 8M FILE; mkswap FILE; fallocate -o 4M -l 1M FILE`",
    reason: { kind: "hole", layer: "file", ranges: ranges([1, 1023], [1280, 768]) },
  },
  "shared (file)": {
    example: "`cp FILE OTHER` inside the volume (both are; where FILE was never written, OTHER has holes)",
    reason: { kind: "shared", layer: "file", ranges: ranges([0, 2048]) },
  },
  "not-its-own": {
    example: "never in a volume that is sound: one that is not is not mounted",
    reason: { kind: "not-its-own", ranges: ranges([0, 16]) },
  },
  "not-committed": {
    example: "the host or the device fails while the volume is mounted (tests: `mount -o remount,abort` of an ext4 host, `xfs_io -x -c 'shutdown -f'` of an xfs host)",
    reason: { kind: "not-committed", error: "cannot flush on /dev/loop4: cannot flush /dev/loop4: EIO: i/o error, fdatasync" },
  },
  "hole (image)": {
    example: "`fallocate -p -o OFFSET -l 64K swapfs.img` on the host, or `truncate` of it",
    reason: { kind: "hole", layer: "image", ranges: ranges([512, 16]) },
  },
  "shared (image)": {
    example: "`cp --reflink swapfs.img COPY` on xfs or btrfs (both are), a snapshot of it on btrfs",
    reason: { kind: "shared", layer: "image", ranges: ranges([0, 2048]) },
  },
  unwritten: {
    example: "`fallocate -z -o OFFSET -l 160K swapfs.img` on the host",
    reason: { kind: "unwritten", layer: "image", ranges: ranges([100, 40]) },
  },
  inline: { example: never("they keep only files far smaller than an image inside their metadata"), reason: { kind: "inline", layer: "image", ranges: ranges([0, 1]) } },
  delalloc: { example: never("the gate has the image written out before it asks"), reason: { kind: "delalloc", layer: "image", ranges: ranges([0, 4]) } },
  encoded: {
    example: "an image copied to btrfs with `-o compress-force=zstd`, mounted with `--allow-cow`",
    reason: { kind: "encoded", layer: "image", ranges: ranges([0, 2048]) },
  },
  "not-aligned": { example: never("only what is inline is not aligned there"), reason: { kind: "not-aligned", layer: "image", ranges: ranges([0, 1]) } },
  "cow-host": {
    example: "an image on btrfs that was made without `chattr +C`; also ZFS, bcachefs, f2fs, overlayfs, tmpfs, NFS, FUSE, ext4 with data=journal",
    reason: { kind: "cow-host", host: "btrfs", why: "the image has no NOCOW flag (lsattr shows C)" },
  },
  "unmapped-host": {
    example: "an image on tmpfs, mounted with `--allow-cow`",
    reason: { kind: "unmapped-host", host: "tmpfs", error: "EOPNOTSUPP" },
  },
  "read-only-host": {
    example: "an ext4 host that has turned read-only (`mount -o remount,abort`)",
    reason: { kind: "read-only-host", host: "ext4" },
  },
  "unreachable-image": {
    example: "a volume on LVM, or another device of device mapper, over a loop device; a loop device whose file was removed",
    reason: { kind: "unreachable-image", file: "/srv/disk.img", why: "dm-0 lies between, and where that has put its pages is not known" },
  },
  "open-for-writing": {
    example: "`python3 -c 'f = open(\"FILE\", \"r+b\"); input()'` meanwhile",
    reason: { kind: "open-for-writing", pids: [4711] },
  },
  "mapped-shared": { example: "the same with `mmap.mmap(f.fileno(), 8192)`, even after `f.close()`", reason: { kind: "mapped-shared", pids: [4711] } },
  "block-view": { example: "`swapfs swapon --block FILE` before", reason: { kind: "block-view" } },
  "not-a-file": { example: "`swapfs check` of a directory", reason: { kind: "not-a-file", type: "directory" } },
  "too-small": { example: "`fallocate -l 32K FILE`", reason: { kind: "too-small", pages: 8 } },
  "no-header": { example: "`fallocate -l 8M FILE` without mkswap", reason: { kind: "no-header" } },
  "header-page-size": {
    example: "a swapfile that was made on a machine with other pages (`mkswap -p 65536 FILE`)",
    reason: { kind: "header-page-size", pageBytes: 65536 },
  },
  "header-unreadable": {
    example: "the host has failed (see not-committed) and page 0 is not cached",
    reason: { kind: "header-unreadable", error: "cannot read /dev/loop4: EIO: i/o error, read" },
  },
  "header-version": { example: "a header with version 2", reason: { kind: "header-version", version: 2 } },
  "header-only": { example: "a header whose last page is 0", reason: { kind: "header-only" } },
  "bad-pages": { example: "a header that lists bad pages (`mkswap -c`)", reason: { kind: "bad-pages", count: 1 } },
  "header-larger-than-file": {
    example: "mkswap of a file that is one page longer, then `truncate -s 8M FILE`",
    reason: { kind: "header-larger-than-file", headerPages: 2049, filePages: 2048 },
  },
};
