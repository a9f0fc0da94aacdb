// What a commit changes. A record of the journal holds a list of these, and a checkpoint is the list that makes the
// whole volume anew, so one codec and one apply serve commit, replay and checkpoint.

export type ExtentState = "written" | "unwritten" | "shared";

/** `count` pages of a file from `filePage` lie at `devicePage`. Extents are never changed in place. */
export interface Extent {
  readonly filePage: number;
  readonly devicePage: number;
  readonly count: number;
  readonly state: ExtentState;
}

/** Seconds may be negative; nanoseconds are 0 to 999,999,999. */
export interface Time {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export interface Attributes {
  /** with S_IFMT */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  /** bytes */
  readonly size: number;
  readonly rdev: number;
  readonly atime: Time;
  readonly mtime: Time;
  readonly ctime: Time;
}

/** Names and targets are latin1 strings of the raw bytes. */
export type Change =
  | {
      readonly kind: "put-inode"; readonly ino: number; readonly attributes: Attributes;
      /** of a symlink; kept when not given */
      readonly target?: string | undefined;
      /** of a directory; kept when not given */
      readonly parent?: number | undefined;
    }
  /** Frees the blocks that it owns. */
  | { readonly kind: "drop-inode"; readonly ino: number }
  /** `type` is DT_*. Replaces an entry of the same name. */
  | { readonly kind: "put-entry"; readonly parent: number; readonly name: string; readonly ino: number; readonly type: number }
  | { readonly kind: "drop-entry"; readonly parent: number; readonly name: string }
  /** Replaces the mapping of pages [filePage, filePage + count) by `extents`, sorted and inside that range. */
  | {
      readonly kind: "set-extents"; readonly ino: number; readonly filePage: number; readonly count: number;
      readonly extents: readonly Extent[];
    }
  | { readonly kind: "put-xattr"; readonly ino: number; readonly name: string; readonly value: Buffer }
  | { readonly kind: "drop-xattr"; readonly ino: number; readonly name: string };

/** Names a request of the kernel for ever: `unique` has bit 63 cleared; `ino` is its result, 0 for none. */
export interface RequestId {
  readonly session: bigint;
  readonly unique: bigint;
  readonly ino: number;
}

export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

export const nameBytesMax = 255;
export const xattrNameBytesMax = 255;
/** The capabilities of a program, as setcap(8) gives them to a file. */
export const securityCapability = "security.capability";
export const xattrValueBytesMax = 65536;
export const targetBytesMax = 4095;
