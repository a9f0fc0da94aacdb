// What every operation works on: the volume, who has what open, and whatever moves file data. Both engines make one.

import { logLine } from "../base/log";
import { FsError, messageOf } from "../base/errors";
import type { HandleTable } from "../activation/handles";
import type { Refusals } from "../activation/refusals";
import type { Surroundings } from "../activation/surroundings";
import type { Verdict } from "../activation/verdict";
import { nothingAblated, type Ablated } from "../dataplane/ablation";
import type { DataPort } from "../dataplane/port";
import { isLater, realtimeClock, timeOfNs } from "../namespace/clock";
import { freeOrphan } from "../namespace/links";
import { Listings } from "../namespace/listing";
import type { Caller, Space } from "../namespace/space";
import { attributesOf } from "../namespace/attributes";
import type { DeviceRun } from "../volume/blockdevice";
import type { Attributes, Change, RequestId, Time } from "../volume/changes";
import type { Inode } from "../volume/inode";
import type { Volume } from "../volume/volume";
import type { RequestHeader } from "../wire/request";
import { Grants } from "./grants";
import { DeferredFree } from "./deferred-free";
import { InodeLocks } from "./inode-lock";
import { Mapping } from "./mapping";
import { Leases } from "./leases";
import { LostWrites } from "./lost-writes";
import { hasShared, settleSharing } from "./unshare";
import type { WriteInFlight } from "./write-in-flight";

const removedMax = 1024;

/** src/activation/activate.ts; a FileSystem is what it needs. */
export type Activate = (fs: FileSystem, ino: number, pid: number) => Promise<Verdict | undefined>;

export interface FileSystemParts extends Pick<FileSystem, "volume" | "handles" | "data" | "session" | "refusals"> {
  /** undefined: an engine without maps to pin */
  readonly activate?: Activate | undefined;
  /** what the gate looks at beside the volume; the native engine has it */
  readonly surroundings?: Surroundings;
  /** Called after each commit, before its reply: maps that it makes untrue are forgotten. */
  readonly noteChanges?: (changes: readonly Change[]) => void;
  /** What others than the control plane may say about directories. */
  readonly directories?: { expect(changes: readonly Change[]): void; happened(changes: readonly Change[]): void };
  /** Called when FUSE_DESTROY has closed the volume: releases the lock on the source. */
  readonly destroyed?: () => void;
  /** Ends leases whose block view is gone; whether there were any. */
  readonly endGoneViews?: () => Promise<boolean>;
  readonly now?: () => Time;
  /** steps of an ordinary write that are switched on to be measured */
  readonly ablated?: Ablated;
}

export class FileSystem implements Space {
  readonly volume: Volume;
  readonly handles: HandleTable;
  readonly data: DataPort;
  /** random, new at each mount: with a request's unique it names the request for ever */
  readonly session: bigint;
  readonly refusals: Refusals;
  readonly surroundings: Surroundings | undefined;
  readonly leases: Leases;
  readonly locks: InodeLocks<WriteInFlight>;
  readonly mapping: Mapping;
  readonly deferredFree: DeferredFree;
  readonly grants: Grants;
  readonly lostWrites: LostWrites;
  readonly listings = new Listings();
  /** The last ones, of which a program that has one open may ask: directories have no handles to keep them. */
  readonly removedDirectories = new Map<number, Attributes & { readonly ino: number; readonly pages: number }>();
  /** Inodes whose cached pages were bypassed by swap: their next open drops what the kernel has cached. */
  readonly staleCaches = new Set<number>();
  /** The gate's last answer for a file and the thread that asked (FUSE_BMAP). */
  readonly judged = new Map<number, { readonly pid: number; readonly accepted: boolean }>();
  /** Who has been told in the log that a file is pinned or activated. */
  readonly toldOpeners = new Set<string>();
  readonly now: () => Time;
  readonly ablated: Ablated;
  readonly #parts: FileSystemParts;

  constructor(parts: FileSystemParts) {
    this.#parts = parts;
    this.volume = parts.volume;
    this.handles = parts.handles;
    this.data = parts.data;
    this.session = parts.session;
    this.refusals = parts.refusals;
    this.surroundings = parts.surroundings;
    this.ablated = parts.ablated ?? nothingAblated;
    this.deferredFree = new DeferredFree(parts.volume, parts.data);
    this.leases = new Leases(parts.handles);
    this.lostWrites = new LostWrites(parts.handles);
    this.grants = new Grants({
      port: parts.data.grants, volume: parts.volume, leases: this.leases, lost: this.lostWrites,
      commit: (changes) => this.#record(changes),
    });
    this.locks = new InodeLocks({ quiesce: (ino) => this.#quiesce(ino), left: (ino) => this.#left(ino) });
    this.mapping = new Mapping(this);
    this.now = parts.now ?? realtimeClock();
  }

  /**
   * Frees what nobody can reach: inodes that lost their last name while they were open, and are open no more. Once, when
   * the handles of the session are known: in a new session there are none, so all orphans go.
   */
  freeOrphans(): void {
    for (const ino of [...this.volume.orphans()]) freeOrphan(this, ino);
  }

  /** The one door to a record, with what it makes untrue told to the data plane. Throws FsError ENOSPC, EIO. */
  commit(changes: readonly Change[], request?: RequestId): readonly DeviceRun[] {
    const dropped = changes.map((change) => (change.kind === "drop-inode" ? this.volume.inode(change.ino) : undefined));
    const runs = this.#record(changes, request);
    this.#parts.noteChanges?.(changes);
    for (const inode of dropped) if (inode?.entries !== undefined) this.#removed(inode);
    return runs;
  }

  /** What the data plane wrote by itself it knows already. */
  #record(changes: readonly Change[], request?: RequestId): readonly DeviceRun[] {
    this.leases.assertKept(this.volume, changes);
    this.#parts.directories?.expect(changes);
    const runs = this.volume.commit(changes, request);
    this.#parts.directories?.happened(changes);
    return runs;
  }

  #removed({ ino, ...attributes }: Inode): void {
    const removed = this.removedDirectories;
    removed.set(ino, { ...attributesOf(attributes), ino, pages: 0, nlink: 0 });
    if (removed.size > removedMax) removed.delete(removed.keys().next().value!);
  }

  /** In use: an unlinked inode stays. A lease keeps it as an open handle does, and so does whoever is at work on its blocks. */
  isOpen(ino: number): boolean {
    return this.handles.openCount(ino) > 0 || !this.leases.mayFree(ino) || this.locks.isExclusive(ino);
  }

  // While a lease lasts what requests were told stays true: nobody need forget it, and swap through the daemon goes on.
  #quiesce(ino: number): Promise<unknown> | undefined {
    return this.leases.mayMove(ino) && this.data.inUse(ino) ? this.data.revoke(ino) : undefined;
  }

  /** Who was at work on the blocks of `ino` has ended: it may have lost its name and its handles meanwhile. */
  #left(ino: number): void {
    try {
      freeOrphan(this, ino);
    } catch (error) {
      logLine(`cannot free ino ${ino} before the next mount: ${messageOf(error)}`);
    }
  }

  /** The gate for a process that activates `ino` (BMAP of block 0). undefined: no such inode, or no gate. */
  async activate(ino: number, pid: number): Promise<Verdict | undefined> {
    return this.#parts.activate?.(this, ino, pid);
  }

  /** The same for work that moves, frees or shares blocks. Throws FsError ETXTBSY, also when a lease came while it waited. */
  changing<T>(ino: number, work: () => T | Promise<T>): T | Promise<T> {
    this.leases.checkMayMove(ino);
    return this.exclusive(ino, () => {
      this.leases.checkMayMove(ino);
      return work();
    });
  }

  async endGoneViews(): Promise<boolean> {
    return (await this.#parts.endGoneViews?.()) ?? false;
  }

  /** Throws FsError EOPNOTSUPP. */
  mustHaveGate(): void {
    if (this.#parts.activate === undefined) throw new FsError("EOPNOTSUPP", "this engine has no maps to pin, mount with the native engine");
  }

  /** Runs `work` while no request knows where the data of `ino` lies: blocks that it frees may be free at once. */
  exclusive<T>(ino: number, work: () => T | Promise<T>): T | Promise<T> {
    return this.locks.exclusive(ino, work);
  }

  /** The same for whoever is not in an exclusive section of the file. */
  async settleSharingAlone(ino: number): Promise<void> {
    const inode = this.volume.inode(ino);
    if (inode !== undefined && hasShared(inode)) await this.exclusive(ino, () => this.settleSharing(ino));
  }

  /** The gate sees what is shared now, not what was when the extents were recorded. */
  async settleSharing(ino: number): Promise<void> {
    const inode = this.volume.inode(ino);
    if (inode === undefined || !hasShared(inode)) return;
    await this.volume.flush();
    settleSharing(this, ino);
  }

  caller(header: RequestHeader): Caller {
    return { uid: header.uid, gid: header.gid, request: { session: this.session, unique: header.unique } };
  }

  /** The result of a request that was carried out before the control plane died, so that it is not done twice. */
  done(header: RequestHeader): RequestId | undefined {
    return header.resent ? this.volume.doneRequest(this.session, header.unique) : undefined;
  }

  /** Writes that the data plane did by itself become visible in mtime. To be called before attributes are shown. */
  applyTouched(): void {
    this.grants.drain();
    const touched = this.data.takeTouched();
    if (touched.length === 0) return;
    const changes: Change[] = [];
    for (const { ino, timeNs } of touched) {
      const inode = this.volume.inode(ino);
      const time = timeOfNs(timeNs);
      if (inode === undefined || !isLater(time, inode.mtime)) continue;
      changes.push({ kind: "put-inode", ino, attributes: { ...attributesOf(inode), mtime: time, ctime: time } });
    }
    try {
      if (changes.length > 0) this.commit(changes);
    } catch (error) {
      logLine(`cannot keep ${changes.length} modification times: ${messageOf(error)}`);
    }
  }

  /** FUSE_DESTROY: the end of the mount. The volume is clean when its reply is sent. */
  destroy(): void {
    this.applyTouched();
    this.volume.close();
    this.#parts.destroyed?.();
  }
}
