// DataPort over the native data plane.

import { assert } from "../base/assert";
import { atMost } from "../base/atmost";
import { FsError } from "../base/errors";
import { debugLog, logLine } from "../base/log";
import { stepsOf } from "../base/steps";
import { i32, i64, Struct, u32, u64 } from "../base/struct";
import { pageSize } from "../base/units";
import { S_IFMT, S_IFREG, securityCapability, type Change, type Extent } from "../volume/changes";
import type { AsksInFlight } from "./asks";
import type { MessageSink } from "./channel";
import { CommandsInFlight } from "./commands";
import type { TouchedTime } from "./counters";
import type { SharedHandleTable } from "./handletable";
import type { InstalledMaps } from "./maps";
import { CopyMessage, mapFlags, messageType, ZeroMessage } from "./messages";
import type { DataPort, GrantPort } from "./port";
import type { WriteRing } from "./ring";

const log = debugLog("dataplane");

// fuse_out_header of a notification: `error` is its code, `unique` 0 (fs/fuse/dev.c, fuse_dev_do_write).
const Notification = new Struct("fuse_notify_inval_inode_out", {
  len: u32, error: i32, unique: u64, ino: u64, off: i64, length: i64,
});
const FUSE_NOTIFY_INVAL_INODE = 2;

// S_ISUID | S_ISGID
const killedByWrite = 0o6000;

/** kCopyPagesMax (native/dataplane/units.h) */
const copyPagesMax = 256;

/** Half the jobs that native/dataplane/copier.h has room for. */
const copiesMax = 64;

/** Each may sleep on a page in one of the four threads of libuv, which flushes need as well. Those of attributes never sleep. */
const pageNotificationsMax = 2;

/** What a map is made of (volume's Inode). */
export interface MappedInode {
  readonly mode: number;
  readonly size: number;
  readonly extents: Iterable<Extent> & { readonly length: number };
  readonly xattrs: { has(name: string): boolean };
}

export interface NativeDataPortParts {
  readonly sink: MessageSink;
  readonly maps: InstalledMaps;
  readonly asks: AsksInFlight<unknown>;
  readonly handles: SharedHandleTable;
  readonly takeTouched: () => TouchedTime[];
  readonly ring: WriteRing;
  readonly inode: (ino: number) => MappedInode | undefined;
  /** Gives a notification to the kernel, in another thread: it may sleep on a page that is being read. Never rejects. */
  readonly notify: (raw: Buffer) => Promise<void>;
}

/** Entries that a granted map may get by being split, before it is sent anew. */
const roomOfAppends = 64;
const roomOfPreallocated = 2048;

export class NativeDataPort implements DataPort {
  readonly grants: GrantPort;
  readonly #parts: NativeDataPortParts;
  readonly #zeroes: CommandsInFlight;
  readonly #copies: CommandsInFlight;
  readonly #pageNotification = atMost(pageNotificationsMax);
  #serial = 0n;

  constructor(parts: NativeDataPortParts) {
    this.#parts = parts;
    const { maps, ring } = parts;
    this.grants = {
      ring,
      grant: (ino, extents) => this.#grant(ino, extents),
      end: (ino) => maps.revoke(ino) ?? Promise.resolve(),
      onGone: (gone) => (maps.grantGone = gone),
      committed: (ino) => this.#committed(ino),
    };
    const nextTag = (): bigint => (this.#serial += 1n);
    this.#zeroes = new CommandsInFlight(parts.sink, Infinity, nextTag);
    this.#copies = new CommandsInFlight(parts.sink, copiesMax, nextTag);
  }

  async revoke(ino: number): Promise<void> {
    const { maps, asks, handles } = this.#parts;
    const wasPinned = handles.formerlyPinned().includes(ino);
    const over = asks.whenOver(ino);
    await Promise.all([maps.revoke(ino, wasPinned), over]);
    if (wasPinned) handles.forgetFormerPin(ino);
  }

  inUse(ino: number): boolean {
    return this.#parts.maps.inUse(ino) || this.#parts.asks.has(ino);
  }

  async zero(devicePage: number, from: number, length: number): Promise<void> {
    assert(from >= 0 && length > 0 && from + length <= pageSize, "zeros stay within one page");
    const error = await this.#zeroes.run((tag) => ZeroMessage.encode({
      header: { type: messageType.kZero, length: ZeroMessage.size, tag }, device_page: BigInt(devicePage), from, length,
    }));
    if (error !== 0) throw ioError(`write zeros to device page ${devicePage}`);
  }

  async copy(fromPage: number, toPage: number, count: number): Promise<void> {
    assert(Math.abs(fromPage - toPage) >= count, "what is copied is not overwritten");
    for (const [done, step] of stepsOf(0, count, copyPagesMax)) {
      const error = await this.#copies.run((tag) => CopyMessage.encode({
        header: { type: messageType.kCopy, length: CopyMessage.size, tag },
        from_page: BigInt(fromPage + done), to_page: BigInt(toPage + done), count: step, padding: 0,
      }));
      if (error !== 0) throw ioError(`copy ${step} pages from device page ${fromPage + done} to ${toPage + done}`);
    }
  }

  installPinned(ino: number): void {
    const inode = this.#parts.inode(ino);
    assert(inode !== undefined && isFile(inode), "only a file passes the gate");
    if (this.#parts.maps.isGranted(ino)) void this.#parts.maps.revoke(ino);
    this.#parts.maps.install({
      ino, size: inode.size, extents: inode.extents, flags: mapFlags.pinned | this.#pinFlags(ino, inode),
    });
  }

  whenInstalled(ino: number): Promise<boolean> {
    return this.#parts.maps.whenInstalled(ino);
  }

  /** The whole map of an inode that has not passed the gate, when it is worth it and nothing is about to change it. */
  installCached(ino: number): void {
    const { asks, maps } = this.#parts;
    const inode = this.#parts.inode(ino);
    if (!inode || !isFile(inode) || asks.allocating(ino) || this.#isPinned(ino)) return;
    if (maps.isGranted(ino)) return this.#askedUnderGrant(ino);
    if (!maps.worthInstalling(ino, inode.extents.length)) return;
    maps.install({ ino, size: inode.size, extents: inode.extents, flags: this.#plainFlag(ino, inode) });
  }

  invalidate(ino: number): Promise<void> {
    return this.#pageNotification(() => this.#invalidate(ino, 0n));
  }

  invalidateAttributes(ino: number): Promise<void> {
    return this.#invalidate(ino, -1n);
  }

  takeTouched(): TouchedTime[] {
    return this.#parts.takeTouched();
  }

  /**
   * To be called with each set of changes that the volume has carried out, before its reply is sent: a map that they make
   * untrue is forgotten (or, pinned, sent anew) first.
   */
  noteChanges(changes: readonly Change[]): void {
    const stale = new Set<number>();
    for (const change of changes) if (this.#makesStale(change)) stale.add(inodeOf(change));
    for (const ino of stale) this.#forgetMap(ino);
  }

  /** The two share their tags: one of them knows it. */
  answered(tag: bigint, error: number): void {
    this.#zeroes.answered(tag, error);
    this.#copies.answered(tag, error);
  }

  /** The data plane is a new one: it holds no map, and `resume` must follow. */
  forgetMaps(): void {
    this.#parts.maps.forgetAll();
    for (const ino of this.#parts.handles.formerlyPinned()) this.#parts.handles.forgetFormerPin(ino);
  }

  /** What must be in the data plane before it reads requests: pinned maps, and what a dead one was told and has not answered. */
  resume(): void {
    // A file that was released while a control plane died may still have its pinned map there.
    for (const ino of this.#parts.handles.formerlyPinned()) void this.revoke(ino);
    this.#zeroes.sendAgain();
    this.#copies.sendAgain();
    for (const ino of this.#parts.handles.pinned()) {
      if (this.#parts.inode(ino)) this.installPinned(ino);
      else logLine(`cannot install the map of ino ${ino}: it is pinned but the volume does not hold it`);
    }
  }

  #grant(ino: number, extents: readonly Extent[]): void {
    const inode = this.#parts.inode(ino);
    assert(inode !== undefined && isFile(inode) && !this.#isPinned(ino), "a grant is for an ordinary file");
    const plain = this.#plainFlag(ino, inode);
    const split = [...inode.extents].some(({ state }) => state === "unwritten");
    this.#parts.maps.install({
      ino, size: inode.size, extents, flags: mapFlags.granted | plain, room: split ? roomOfPreallocated : roomOfAppends,
    });
  }

  // What the data plane wrote by itself its granted map says already; any other map is out of date.
  #committed(ino: number): void {
    const inode = this.#parts.inode(ino);
    if (inode !== undefined && this.#parts.maps.isGranted(ino)) this.#parts.maps.noteSize(ino, inode.size);
    else this.#forgetMap(ino);
  }

  // The data plane has given the map up, or an ask crossed it.
  #askedUnderGrant(ino: number): void {
    if (this.#parts.maps.worthInstalling(ino, 0)) void this.#parts.maps.revoke(ino);
  }

  // The data plane forgets the map before it reads anything sent from now on; a pinned one is sent anew.
  #forgetMap(ino: number): void {
    this.#parts.maps.changed(ino);
    if (!this.#parts.maps.has(ino)) return;
    if (this.#isPinned(ino) && this.#parts.inode(ino)) this.installPinned(ino);
    else void this.#parts.maps.revoke(ino);
    log("map of ino %d is out of date", ino);
  }

  // What is swapped on or only pinned gets no plain map: the data plane then asks for every write, also of pages that were
  // cached before, and the control plane refuses it.
  #pinFlags(ino: number, inode: MappedInode): number {
    switch (this.#parts.handles.pinMode(ino)) {
      case undefined: return this.#isPinned(ino) ? 0 : this.#plainFlag(ino, inode);
      case "pinned": return 0;
      case "swap_rw": return mapFlags.swapRw | plainFlag(inode);
    }
  }

  // Of an ordinary file. Who opened it while it was pinned may leave O_DSYNC to us: its writes ask (Mapping.commitWrite).
  #plainFlag(ino: number, inode: MappedInode): number {
    return this.#parts.handles.isDirect(ino) ? 0 : plainFlag(inode);
  }

  #isPinned(ino: number): boolean {
    return this.#parts.handles.isPinned(ino);
  }

  #invalidate(ino: number, off: bigint): Promise<void> {
    return this.#parts.notify(Notification.encode({
      len: Notification.size, error: FUSE_NOTIFY_INVAL_INODE, unique: 0n, ino: BigInt(ino), off, length: 0n,
    }));
  }

  #makesStale(change: Change): boolean {
    switch (change.kind) {
      case "set-extents":
      case "drop-inode":
        return true;
      case "put-xattr":
      case "drop-xattr":
        return change.name === securityCapability;
      case "put-inode": {
        const inode = this.#parts.inode(change.ino);
        return inode !== undefined && this.#parts.maps.differs(change.ino, inode.size, this.#pinFlags(change.ino, inode) & mapFlags.plain);
      }
      default:
        return false;
    }
  }
}

function inodeOf(change: Change): number {
  return "ino" in change ? change.ino : change.parent;
}

function isFile(inode: MappedInode): boolean {
  return (inode.mode & S_IFMT) === S_IFREG;
}

/** A write to a plain file has no privilege to take away, so the data plane may do it alone. */
function plainFlag(inode: MappedInode): number {
  return (inode.mode & killedByWrite) !== 0 || inode.xattrs.has(securityCapability) ? 0 : mapFlags.plain;
}

function ioError(what: string): FsError {
  return new FsError("EIO", `cannot ${what}: the device failed, see the kernel's log`);
}
