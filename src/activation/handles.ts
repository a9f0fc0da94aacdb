// Open files. On the native engine the table lies in the session segment, so that a restarted control plane finds it.

export interface OpenHandle {
  readonly fh: bigint;
  readonly ino: number;
  /** open(2) flags, as in fuse_open_in */
  readonly flags: number;
  /** the opener, 0 when it is outside our pid namespace */
  readonly pid: number;
  /** whose share of the table it takes; 0 or none: root's, which has no bound */
  readonly uid?: number;
  /** the kernel swaps through it */
  readonly swapon?: boolean;
  /** opened with FOPEN_DIRECT_IO: the kernel sends no FSYNC after its O_DSYNC writes */
  readonly direct?: boolean;
}

/**
 * Who holds a file without an open handle, until he ends it or the mount ends: each is a bit, and ends by itself. `pinned`: until
 * `unpin`. `activating`: while an activation writes zeros. `activated`: instead of that, from its end on. `viewed`: as long as its
 * lease in the journal (blocks/block-view.ts), also over mounts.
 */
export const pins = { activated: 1, activating: 2, pinned: 4, viewed: 8 };
/** Those that a person ends by a command about the file. */
export const anyPin = pins.activated | pins.activating | pins.pinned;

/** "pinned": nothing writes to the file. "swap_rw": activated, whole pages are read and written through the pinned map. */
export type PinMode = "pinned" | "swap_rw";

export function pinModeOf(held: number): PinMode | undefined {
  return held === 0 ? undefined : (held & pins.activated) !== 0 ? "swap_rw" : "pinned";
}

export interface HandleTable {
  /** Idempotent: a resent OPEN carries the same fh. Throws FsError ENFILE when the table, or the share of its uid, is full. */
  open(handle: OpenHandle): void;
  /** Idempotent. Returns the handle that was closed, undefined when there was none. */
  close(fh: bigint): OpenHandle | undefined;
  get(fh: bigint): OpenHandle | undefined;
  openCount(ino: number): number;
  /** All handles of `ino`. */
  of(ino: number): OpenHandle[];
  /** The kernel swaps through this handle: its file is pinned until it is closed, across restarts of the control plane. */
  setSwapon(fh: bigint): void;
  isSwapon(ino: number): boolean;
  /** Pinned in either way. */
  pinned(): number[];
  /** All bits of `pins` that it has from now on. Throws FsError ENFILE when the table is full. */
  setPins(ino: number, held: number): void;
  pins(ino: number): number;
  pinMode(ino: number): PinMode | undefined;
}
