// What the operations ask of whatever moves file data: the native data plane, or JavaScript in the fuse-native engine.

import type { Extent } from "../volume/changes";
import type { RingWrite } from "./ring";

/** The bytes that a READ or WRITE is about. */
export interface AskedRange {
  readonly ino: number;
  /** bytes */
  readonly offset: number;
  /** bytes */
  readonly length: number;
  readonly write: boolean;
  readonly killSuidgid: boolean;
  /** O_DSYNC or O_SYNC: left to us when it comes through FOPEN_DIRECT_IO */
  readonly sync?: boolean;
}

/** Leave to write without asking (native/abi/messages.h, kMapGranted). */
export interface GrantPort {
  /** Writes under grants, to be committed, oldest first. */
  readonly ring: { readonly pending: number; peek(count: number): readonly RingWrite[]; drop(count: number): void };
  /** Installs a map of `ino` under which unwritten pages may be written and the file may become longer. */
  grant(ino: number, extents: readonly Extent[]): void;
  /** Takes it back. Resolves when no request uses it, after `onGone`. Unlike DataPort.revoke not for what asks. */
  end(ino: number): Promise<void>;
  /** `gone` is called when a grant is not used any more, whoever took it back. */
  onGone(gone: (ino: number) => void): void;
  /** The volume has what the data plane wrote to `ino`. */
  committed(ino: number): void;
}

export interface DataPort {
  /** undefined: every write asks */
  readonly grants?: GrantPort;
  /**
   * Makes the data plane forget where `ino` lies. Resolves when no request uses blocks that it named before the call, so
   * that they may be given to another file. A reply sent after the call reaches the kernel after the map is forgotten.
   */
  revoke(ino: number): Promise<void>;
  /** True while a map of `ino` is installed or a request on it is under way: blocks that it frees wait for `revoke`. */
  inUse(ino: number): boolean;
  /** Writes zeros over bytes [from, from + length) of a device page. */
  zero(devicePage: number, from: number, length: number): Promise<void>;
  /**
   * Copies `count` whole pages of the device; the two ranges do not overlap. Nobody may write to either meanwhile. Long
   * copies are made in steps beside all other work. Rejects with FsError EIO, and then the target holds anything.
   */
  copy(fromPage: number, toPage: number, count: number): Promise<void>;
  /** Installs the whole map of an inode that has passed the gate: BMAP is answered from it until `revoke`. */
  installPinned(ino: number): void;
  /** Resolves when the pinned map is in use; false: there is no room for it. */
  whenInstalled(ino: number): Promise<boolean>;
  /**
   * Tells the kernel to drop its cached pages and attributes of `ino` (FUSE_NOTIFY_INVAL_INODE); resolves when it has.
   * Never while it waits for us on `ino`.
   */
  invalidate(ino: number): Promise<void>;
  /** The same for attributes alone; at any time. For replies that do not carry the attributes which their request changed. */
  invalidateAttributes(ino: number): Promise<void>;
  /** Modification times of writes that the data plane did by itself, taken once. */
  takeTouched(): { ino: number; timeNs: bigint }[];
}
