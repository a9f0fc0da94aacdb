// Where file data lies, for whoever moves it: the data plane's kAsk and kCommit, and the fuse-native engine.
//
// A write is in three steps: ask (blocks are reserved in memory), the device's I/O, commit (one journal record makes the
// new extents, the size and the times true). Until the commit nothing has happened: an error or a death in between gives
// the reserved blocks back, and no file ever shows what was in them.

import type { HandleTable } from "../activation/handles";
import type { Surroundings } from "../activation/surroundings";
import { assert } from "../base/assert";
import { FsError } from "../base/errors";
import { pageSize } from "../base/units";
import type { Ablated } from "../dataplane/ablation";
import type { Mapped as MappedTo } from "../dataplane/link";
import type { AskedRange } from "../dataplane/port";
import { isFile } from "../namespace/modes";
import { inodeOf } from "../namespace/space";
import { withoutCapability } from "../namespace/xattrs";
import type { DeviceRun } from "../volume/blockdevice";
import type { Change, Extent } from "../volume/changes";
import type { Inode } from "../volume/inode";
import { allocateOrSettle } from "./allocate-retrying";
import type { InodeLocks, Waiter } from "./inode-lock";
import type { Leases } from "./leases";
import type { BlockParts } from "./parts";
import { nearOf } from "./runs-to-extents";
import { unsharePages } from "./unshare";
import { writeInFlightOf, type WriteInFlight } from "./write-in-flight";
import { afterWrite, extentsOf, placeWrite, planWrite, writtenTail, type PageCopy, type Tail } from "./write-plan";

/** ExtentEntry.file_page is a u32 (native/abi/messages.h), and ext4 ends one page before 2^32 as well. */
export const fileBytesMax = (2 ** 32 - 1) * pageSize;

/** `extents` lie in the pages of the range; a page of none is a hole. A new page of a write has the state unwritten. */
export type Mapped = MappedTo<WriteInFlight>;

export interface WriteOutcome {
  /** 0, or the negative errno of the device */
  readonly error: number;
  /** CLOCK_REALTIME, the new mtime */
  readonly timeNs: bigint;
}

export interface MappingParts extends BlockParts {
  readonly leases: Leases;
  readonly handles: Pick<HandleTable, "of">;
  readonly locks: InodeLocks<WriteInFlight>;
  readonly surroundings: Pick<Surroundings, "inSwapon" | "swaponDrains"> | undefined;
  readonly ablated: Ablated;
  /** Whether a lease ended, since its block view is gone. */
  endGoneViews(): Promise<boolean>;
}

/** What has been found out about a request before it is admitted. */
interface Found {
  /** the gap before it is zeros */
  readonly gapIsZero?: boolean;
  /** somebody is in swapon(2) of the file */
  readonly inSwapon?: boolean;
}

export class Mapping {
  readonly #fs: MappingParts;
  /** counts dropAll: what was asked before it is no more */
  #epoch = 0;

  constructor(fs: MappingParts) {
    this.#fs = fs;
  }

  /** Answers at once whenever it can. A write that overlaps an earlier one waits for its end. */
  ask(range: AskedRange): Mapped | Promise<Mapped> {
    const answer = this.#ask(range);
    return range.write && this.#fs.leases.isViewed(range.ino) ? this.#knowingViews(range, answer) : answer;
  }

  /** Who had opened the file before its block view went is not refused for that. */
  async #knowingViews(range: AskedRange, refused: Mapped | Promise<Mapped>): Promise<Mapped> {
    const answer = await refused;
    return answer.error !== undefined && (await this.#fs.endGoneViews()) ? this.#ask(range) : answer;
  }

  #ask(range: AskedRange): Mapped | Promise<Mapped> {
    if (!this.#fs.locks.isExclusive(range.ino)) return this.#admit(range);
    return this.#again(range, (waiter) => this.#fs.locks.waitForExclusive(range.ino, waiter));
  }

  /**
   * Ends a write. Throws FsError when the commit fails: then the write has failed, and nothing of it is kept. A promise: it
   * has changed the mode, and is answered when the kernel knows, which would go on to let others run the file as its owner;
   * or it is to be durable first.
   */
  commitWrite(write: WriteInFlight, outcome: WriteOutcome): void | Promise<void> {
    if (!this.#fs.locks.release(write.range.ino, write)) throw new FsError("EIO", "cannot commit a write that was dropped");
    const { ino } = write.range;
    const before = this.#fs.volume.inode(ino)?.mode;
    let failure: unknown;
    try {
      if (outcome.error === 0) this.#commit(write, outcome.timeNs);
    } catch (error) {
      failure = error;
    }
    if (outcome.error !== 0 || failure !== undefined) this.#undo(write);
    else if (this.#fs.locks.isFree(ino)) this.#fs.grants.offer(write);
    this.#fs.locks.letIn(ino);
    if (failure !== undefined) throw failure;
    const told = this.#fs.volume.inode(ino)?.mode === before ? undefined : this.#fs.data.invalidateAttributes(ino);
    const flushes = outcome.error === 0 && write.range.sync === true && this.#fs.handles.of(ino).some(({ direct }) => direct === true);
    return flushes ? this.#fs.volume.flush().then(() => told) : told;
  }

  /** The data plane has dropped every request that was under way: none of them wrote anything that counts. */
  dropAll(): void {
    this.#epoch += 1;
    for (const { reserved } of this.#fs.locks.dropRequests()) this.#release(reserved);
  }

  /** Zeros behind the end of the file in its last page. To be called inside `exclusive`. */
  zeroTail(ino: number): Promise<void> | undefined {
    const inode = this.#fs.volume.inode(ino);
    const tail = inode && writtenTail(inode);
    return tail && this.#zero(ino, tail);
  }

  async #zero(ino: number, tail: Tail): Promise<void> {
    if (tail.shared) await unsharePages(this.#fs, ino, tail.firstPage, 1);
    const inode = this.#fs.volume.inode(ino);
    const now = inode && writtenTail(inode);
    if (now !== undefined) await this.#fs.data.zero(now.devicePage, now.from, pageSize - now.from);
  }

  // Past the gate, a request is never kept waiting by one again: an exclusive operation waits for it.
  #admit(range: AskedRange, found: Found = {}): Mapped | Promise<Mapped> {
    try {
      this.#fs.grants.drain();
      const ended = range.write ? this.#fs.grants.end(range.ino) : undefined;
      if (ended !== undefined) return this.#admitAfter(range, ended); // a write that asks and writes of the data plane's own never meet
      const inode = inodeOf(this.#fs, range.ino);
      if (!isFile(inode)) throw new FsError("EINVAL", `cannot map ino ${range.ino}: it is not a file`);
      const inFlight = writeInFlightOf(range);
      if (!range.write) return { size: inode.size, extents: extentsOf(inode, inFlight), inFlight };
      if (this.#fs.locks.meets(range.ino, inFlight)) return this.#whenFree(range);
      const look = found.inSwapon === undefined && this.#fs.surroundings?.swaponDrains === true ? this.#fs.leases.swappingOn(range.ino) : [];
      if (look.length > 0) return this.#admitInSwapon(range, look);
      return (found.gapIsZero === true ? undefined : this.#zeroGap(inode, range)) ?? this.#reserve(inode, inFlight, found.inSwapon === true);
    } catch (error) {
      return { error: error as Error };
    }
  }

  // The extents may be others after the wait, so blocks that it was for are given back and asked for anew: they are free now.
  async #admitAfter(range: AskedRange, before: Promise<DeviceRun[] | void>, found: Found = {}): Promise<Mapped> {
    const epoch = this.#epoch;
    try {
      this.#fs.volume.giveBack((await before) ?? []);
    } catch (error) {
      return { error: error as Error };
    }
    return epoch === this.#epoch ? this.#admit(range, found) : droppedAnswer();
  }

  async #admitInSwapon(range: AskedRange, pids: readonly number[]): Promise<Mapped> {
    const epoch = this.#epoch;
    const inSwapon = ((await this.#fs.surroundings?.inSwapon(pids)) ?? []).length > 0;
    return epoch === this.#epoch ? this.#admit(range, { inSwapon }) : droppedAnswer();
  }

  // A write behind the end of the file makes what lies in between readable: zeros, unless a power cut came between the
  // I/O and the commit of an append, whose bytes then lie in the last page. Writes that follow find the zeros written:
  // the data plane takes kZero before their answers, and completes parts of pages under the page's lock.
  #zeroGap(inode: Inode, range: AskedRange): Promise<Mapped> | undefined {
    const tail = range.offset > inode.size && this.#fs.leases.mayMove(inode.ino) ? writtenTail(inode) : undefined;
    if (tail === undefined) return undefined;
    if (this.#fs.locks.meets(inode.ino, tail)) return this.#whenFree(range);
    return this.#admitAfter(range, this.#fs.locks.during(range.ino, tail, () => this.#zero(range.ino, tail)), { gapIsZero: true });
  }

  #reserve(inode: Inode, write: WriteInFlight, inSwapon: boolean): Mapped | Promise<Mapped> {
    const { range } = write;
    if (range.offset + range.length > fileBytesMax) throw new FsError("EFBIG");
    const plan = planWrite(inode, write, this.#fs.volume);
    const needs = plan.missing.length > 0;
    this.#fs.leases.checkWrite(inode, range, needs, inSwapon);
    if (!needs) return this.#begin({ ...write, wasShared: plan.wasShared }, plan.kept);
    const runs = allocateOrSettle(this.#fs, plan, nearOf(inode, plan.missing[0]!.page));
    if (runs instanceof Promise) return this.#admitAfter(range, runs);
    const { extents, copies } = placeWrite(write, plan, runs);
    const begun = { ...write, reserved: runs, wasShared: plan.wasShared };
    return copies.length === 0 ? this.#begin(begun, extents) : this.#afterCopies(begun, extents, copies);
  }

  // Not before the copies are over may the new blocks be given back: the write that is held meanwhile has none.
  async #afterCopies(write: WriteInFlight, extents: Extent[], copies: readonly PageCopy[]): Promise<Mapped> {
    const { ino } = write.range;
    const held = this.#fs.locks.hold(ino, { ...write, reserved: [] });
    let failure: Error | undefined;
    try {
      for (const { from, to } of copies) await this.#fs.data.copy(from, to, 1);
      await this.#fs.volume.flush(); // what was durable in the old block is so in the new one
    } catch (error) {
      failure = error as Error;
    }
    const goesOn = this.#fs.locks.release(ino, held);
    if (goesOn && failure === undefined) return this.#begin(write, extents);
    this.#release(write.reserved);
    this.#fs.locks.letIn(ino);
    return failure === undefined ? droppedAnswer() : { error: failure };
  }

  #begin(asked: WriteInFlight, found: Extent[]): Mapped {
    const { size } = inodeOf(this.#fs, asked.range.ino);
    const extents = found.sort((a, b) => a.filePage - b.filePage);
    const changes = (extent: Extent): boolean => asked.wasShared || extent.state === "unwritten";
    const first = extents.findIndex(changes);
    const last = extents.findLastIndex(changes);
    const written = first < 0 ? [] : extents.slice(first, last + 1).map((extent) => ({ ...extent, state: "written" as const }));
    return { size, extents, inFlight: this.#fs.locks.hold(asked.range.ino, { ...asked, written }) };
  }

  #commit({ range, written, wasShared }: WriteInFlight, timeNs: bigint): void {
    const inode = inodeOf(this.#fs, range.ino);
    const changes: Change[] = [];
    const attributes = afterWrite(inode, range, timeNs);
    const capability = withoutCapability(inode);
    // As in the data plane: a write to an activated file changes no metadata, but for privileges that it takes away.
    const swapRw = this.#fs.leases.isActivated(range.ino) && written.length === 0 && !this.#fs.ablated.has("commit");
    if (swapRw && attributes.mode === inode.mode && capability.length === 0) return;
    if (written.length > 0) {
      const filePage = written[0]!.filePage;
      const count = written.at(-1)!.filePage + written.at(-1)!.count - filePage;
      changes.push({ kind: "set-extents", ino: range.ino, filePage, count, extents: written });
    }
    changes.push({ kind: "put-inode", ino: range.ino, attributes });
    // As file_remove_privs (fs/inode.c) does for every writer: FUSE_HANDLE_KILLPRIV_V2 leaves it to us.
    changes.push(...capability);
    const runs = this.#fs.commit(changes);
    assert(runs.length === 0 || wasShared, "a write takes no block away but one that was shared");
    if (wasShared) this.#fs.deferredFree.shed(range.ino);
    this.#fs.deferredFree.free(range.ino, runs);
  }

  // What failed may have left bytes behind the end of the file, where zeros are the rule: a later growth would show them.
  #undo(write: WriteInFlight): void {
    this.#release(write.reserved);
    const { ino, offset, length } = write.range;
    const inode = this.#fs.volume.inode(ino);
    if (inode === undefined || offset + length <= inode.size || !this.#fs.leases.mayMove(ino)) return;
    const zeroed = this.#fs.locks.exclusive(ino, () => this.zeroTail(ino));
    if (zeroed instanceof Promise) zeroed.catch(() => undefined); // the device fails, and the write has said so
  }

  #release(runs: readonly DeviceRun[]): void {
    if (runs.length > 0) this.#fs.volume.release(runs);
  }

  #whenFree(range: AskedRange): Promise<Mapped> {
    return this.#again(range, (waiter) => this.#fs.locks.waitForRange(range.ino, waiter));
  }

  #again(range: AskedRange, wait: (waiter: Waiter) => void): Promise<Mapped> {
    return new Promise((resolve) => wait({ pass: () => resolve(this.#admit(range)), drop: () => resolve(droppedAnswer()) }));
  }
}

function droppedAnswer(): Mapped {
  return { error: new FsError("EINTR", "the data plane dropped the request, and the kernel sends it again") };
}
