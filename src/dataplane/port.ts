// What the operations ask of whatever moves file data: the native data plane, or JavaScript in the fuse-native engine.

/** The bytes that a READ or WRITE is about. */
export interface AskedRange {
  readonly ino: number;
  /** bytes */
  readonly offset: number;
  /** bytes */
  readonly length: number;
  readonly write: boolean;
  readonly killSuidgid: boolean;
}

export interface DataPort {
  /**
   * Makes the data plane forget where `ino` lies. Resolves when no request uses blocks that it named before the call, so
   * that they may be given to another file. A reply sent after the call reaches the kernel after the map is forgotten.
   */
  revoke(ino: number): Promise<void>;
  /** True while a map of `ino` is installed or a request on it is under way: blocks it frees are limbo until revoked. */
  inUse(ino: number): boolean;
  /** Writes zeros over bytes [from, from + length) of a device page. */
  zero(devicePage: number, from: number, length: number): Promise<void>;
  /** Installs the whole map of an inode that has passed the gate: BMAP is answered from it until `revoke`. */
  installPinned(ino: number): void;
  /** Resolves when the pinned map is in use; false: there is no room for it. */
  whenInstalled(ino: number): Promise<boolean>;
  /** Tells the kernel to drop its cached pages of `ino` (FUSE_NOTIFY_INVAL_INODE). Never while it waits for us on `ino`. */
  invalidate(ino: number): void;
  /** Modification times of writes that the data plane did by itself, taken once. */
  takeTouched(): { ino: number; timeNs: bigint }[];
}
