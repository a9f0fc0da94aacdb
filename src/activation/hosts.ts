// Which filesystems overwrite a file's blocks where they lie, so that swap on an image in them allocates nothing. Only
// what is known to do so passes; the names are for a person.

/** FS_NOCOW_FL and FS_JOURNAL_DATA_FL, include/uapi/linux/fs.h. */
const nocowFlag = 0x0080_0000;
const journalDataFlag = 0x0000_4000;

/** statfs(2) f_type, include/uapi/linux/magic.h and the filesystems' own headers. */
const names: ReadonlyMap<number, string> = new Map([
  [0xef53, "ext4"], [0x5846_5342, "xfs"], [0x9123_683e, "btrfs"], [0x2fc1_2fc1, "zfs"], [0xca45_1a4e, "bcachefs"],
  [0x794c_7630, "overlayfs"], [0x0102_1994, "tmpfs"], [0x8584_58f6, "ramfs"], [0x6969, "nfs"], [0x6573_5546, "fuse"],
  [0xff53_4d42, "cifs"], [0xfe53_4d42, "smb"], [0xf2f5_2010, "f2fs"], [0x3434, "nilfs2"], [0x4d44, "vfat"],
  [0x2011_bab0, "exfat"], [0x7366_746e, "ntfs3"], [0x3153_464a, "jfs"], [0x0102_1997, "9p"], [0x00c3_6400, "ceph"],
  [0x2405_1905, "ubifs"], [0x7461_636f, "ocfs2"],
]);

const inPlace: ReadonlySet<string> = new Set(["ext4", "xfs", "vfat", "exfat", "jfs"]);

const copies: Readonly<Record<string, string>> = {
  zfs: "it writes every block to a new place", bcachefs: "it writes every block to a new place",
  f2fs: "it writes a log: every block goes to a new place", nilfs2: "it writes a log: every block goes to a new place",
  ubifs: "it writes every block to a new place", tmpfs: "its files are memory themselves", ramfs: "its files are memory themselves",
  overlayfs: "what lies below it decides, and it does not say", fuse: "a program decides, and it needs memory itself",
  nfs: "a server decides, and the network needs memory", cifs: "a server decides, and the network needs memory",
  smb: "a server decides, and the network needs memory", ceph: "a server decides, and the network needs memory",
  "9p": "a server decides, and it needs memory",
};

export type HostFilesystem = Readonly<ReturnType<typeof hostFilesystem>>;

/**
 * `magic`: statfs(2) f_type. `flags`: FS_IOC_GETFLAGS of the image, 0 where there are none. `options`: of the mount. `copies`: why it
 * may allocate at an overwrite; undefined when it overwrites in place.
 */
export function hostFilesystem(magic: number, flags: number, options: readonly string[]) {
  const name = names.get(magic) ?? `a filesystem of type 0x${magic.toString(16)}`;
  const readOnly = options.some((option) => option === "ro" || option === "emergency_ro" || option === "shutdown");
  return { name, copies: whyCopies(name, flags, options), readOnly };
}

function whyCopies(name: string, flags: number, options: readonly string[]): string | undefined {
  if (name === "btrfs") return (flags & nocowFlag) === 0 ? "the image has no NOCOW flag (lsattr shows C)" : undefined;
  if (name === "ext4" && ((flags & journalDataFlag) !== 0 || options.includes("data=journal"))) {
    return "it journals the data of the image (data=journal)";
  }
  return inPlace.has(name) ? undefined : copies[name] ?? "it is not known to overwrite in place";
}
