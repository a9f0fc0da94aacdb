// Where file data lies, for whoever moves it: the data plane's kAsk and kCommit, and the fuse-native engine.
//
// A write is in three steps: ask (blocks are reserved in memory), the device's I/O, commit (one journal record makes the
// new extents, the size and the times true). Until the commit nothing has happened: an error or a death in between gives
// the reserved blocks back, and no file ever shows what was in them.

import { assert } from "../base/assert";
import { FsError } from "../base/errors";
import { pagesFor, pageSize } from "../base/units";
import type { PinMode } from "../activation/handles";
import type { AskedRange, DataPort } from "../dataplane/port";
import { attributesOf } from "../namespace/attributes";
import { timeOfNs } from "../namespace/clock";
import { isFile, withoutSetId } from "../namespace/modes";
import { inodeOf } from "../namespace/space";
import type { AllocationHint } from "../volume/allocator";
import type { DeviceRun } from "../volume/blockdevice";
import type { Attributes, Change, Extent } from "../volume/changes";
import type { Inode } from "../volume/inode";
import { Gates } from "./gates";
import type { Grants } from "./grants";
import type { Limbo } from "./limbo";
import { checkPinnedWrite } from "./pinned";
import { extentsIn, nearOf, pagesOf, placeRuns } from "./placing";

/** ExtentEntry.file_page is a u32 (native/abi/messages.h), and ext4 ends one page before 2^32 as well. */
export const fileBytesMax = (2 ** 32 - 1) * pageSize;

const securityCapability = "security.capability";

/** A request that knows where its data lies, until it is over. */
export interface Token {
  readonly range: AskedRange;
  readonly firstPage: number;
  readonly endPage: number;
  /** the pages that a commit changes, as it leaves them; empty when the write stays in written ones */
  readonly written: readonly Extent[];
  readonly reserved: readonly DeviceRun[];
}

/** `extents` lie in the pages of the range; a page of none is a hole. A new page of a write has the state unwritten. */
export type Mapped =
  | { readonly error: Error }
  | { readonly error?: undefined; readonly size: number; readonly extents: readonly Extent[]; readonly token: Token };

export interface WriteOutcome {
  /** 0, or the negative errno of the device */
  readonly error: number;
  /** CLOCK_REALTIME, the new mtime */
  readonly timeNs: bigint;
}

export interface MappingParts {
  readonly volume: {
    inode(ino: number): Inode | undefined;
    allocate(count: number, hint?: AllocationHint): DeviceRun[];
    allocateWritten?(count: number, hint?: AllocationHint, signal?: AbortSignal): DeviceRun[] | Promise<DeviceRun[]>;
    giveBack(runs: readonly DeviceRun[]): void;
    release(runs: readonly DeviceRun[]): void;
    reclaimed?(): Promise<void> | undefined;
  };
  readonly data: Pick<DataPort, "revoke" | "inUse" | "zero">;
  readonly limbo: Limbo;
  readonly grants: Grants;
  commit(changes: readonly Change[]): readonly DeviceRun[];
  isPinned(ino: number): boolean;
  readonly handles: { pinMode(ino: number): PinMode | undefined };
}

interface WaitingWrite {
  readonly ino: number;
  retry(): void;
  drop(): void;
}

export class Mapping {
  readonly #fs: MappingParts;
  readonly #gates: Gates;
  readonly #writes = new Map<number, Set<Token>>();
  readonly #waiting = new Set<WaitingWrite>();
  /** counts dropAll: what was asked before it is no more */
  #epoch = 0;

  constructor(fs: MappingParts) {
    this.#fs = fs;
    this.#gates = new Gates((ino) => (fs.data.inUse(ino) ? fs.data.revoke(ino) : undefined));
  }

  /** Answers at once whenever it can. A write that overlaps an earlier one waits for its end. */
  ask(range: AskedRange): Mapped | Promise<Mapped> {
    if (!this.#gates.isClosed(range.ino)) return this.#admit(range);
    return new Promise((resolve) => {
      this.#gates.wait(range.ino, { pass: () => resolve(this.#admit(range)), drop: () => resolve(droppedAnswer()) });
    });
  }

  /** Ends a write. Throws FsError when the commit fails: then the write has failed, and nothing of it is kept. */
  commitWrite(token: Token, outcome: WriteOutcome): void {
    if (!this.#end(token)) throw new FsError("EIO", "cannot commit a write that was dropped");
    let failure: unknown;
    try {
      if (outcome.error === 0) this.#commit(token, outcome.timeNs);
    } catch (error) {
      failure = error;
    }
    if (outcome.error !== 0 || failure !== undefined) this.#undo(token);
    else if (!this.#isBusy(token.range.ino)) this.#fs.grants.offer(token);
    this.#retry(token.range.ino);
    if (failure !== undefined) throw failure;
  }

  /** A read is over. Nothing is kept of it here: DataPort.inUse counts it. */
  readDone(_token: Token): void {}

  /** The data plane has dropped every request that was under way: none of them wrote anything that counts. */
  dropAll(): void {
    this.#epoch += 1;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const tokens of this.#writes.values()) for (const token of tokens) this.#release(token.reserved);
    this.#writes.clear();
    for (const one of waiting) one.drop();
    this.#gates.dropWaiting();
  }

  /** Runs `work` while no request knows where the data of `ino` lies: blocks that it frees may be free at once. */
  exclusive<T>(ino: number, work: () => T | Promise<T>): T | Promise<T> {
    return this.#gates.exclusive(ino, work);
  }

  /** As Volume.allocate, but waits a moment for blocks that are about to be free before it says ENOSPC. */
  allocate(count: number, hint: AllocationHint): DeviceRun[] | Promise<DeviceRun[]> {
    return this.#withPatience(() => this.#fs.volume.allocate(count, hint));
  }

  /** The same for blocks that the host of an image has written (Volume.allocateWritten). */
  allocateWritten(count: number, hint: AllocationHint, signal?: AbortSignal): DeviceRun[] | Promise<DeviceRun[]> {
    const { volume } = this.#fs;
    return this.#withPatience(() => volume.allocateWritten?.(count, hint, signal) ?? volume.allocate(count, hint));
  }

  /** Zeros behind the end of the file in its last page. To be called inside `exclusive`. */
  zeroTail(ino: number): Promise<void> | undefined {
    const inode = this.#fs.volume.inode(ino);
    const tail = inode && writtenTail(inode);
    return tail && this.#fs.data.zero(tail.devicePage, tail.from, pageSize - tail.from);
  }

  #withPatience<T>(allocate: () => T | Promise<T>, patience = 2): T | Promise<T> {
    const again = (error: unknown): Promise<T> => {
      const soon = patience > 0 && error instanceof FsError && error.code === "ENOSPC" ? this.#aboutToBeFree() : undefined;
      if (soon === undefined) throw error;
      return soon.then(() => this.#withPatience(allocate, patience - 1));
    };
    try {
      const runs = allocate();
      return runs instanceof Promise ? runs.catch(again) : runs;
    } catch (error) {
      return again(error);
    }
  }

  /** Blocks in limbo first: what they become is discarded afterwards. */
  #aboutToBeFree(): Promise<unknown> | undefined {
    return this.#fs.grants.endAll() ?? this.#fs.limbo.drained() ?? this.#fs.volume.reclaimed?.();
  }

  // Past the gate, a request is never kept waiting by one again: an exclusive operation waits for it.
  #admit(range: AskedRange, gapIsZero = false): Mapped | Promise<Mapped> {
    try {
      this.#fs.grants.drain();
      const ended = range.write ? this.#fs.grants.end(range.ino) : undefined;
      if (ended !== undefined) return this.#afterGrant(range, ended);
      const inode = inodeOf({ store: this.#fs.volume }, range.ino);
      if (!isFile(inode)) throw new FsError("EINVAL", `cannot map ino ${range.ino}: it is not a file`);
      const token = tokenOf(range);
      if (!range.write) return { size: inode.size, extents: extentsOf(inode, token), token };
      if (this.#overlaps(range.ino, token)) return this.#whenFree(range);
      return (gapIsZero ? undefined : this.#zeroGap(inode, range)) ?? this.#reserve(inode, token);
    } catch (error) {
      return { error: error as Error };
    }
  }

  // A write that asks and writes of the data plane's own never meet.
  async #afterGrant(range: AskedRange, ended: Promise<void>): Promise<Mapped> {
    const epoch = this.#epoch;
    await ended;
    return epoch === this.#epoch ? this.#admit(range) : droppedAnswer();
  }

  // A write behind the end of the file makes what lies in between readable: zeros, unless a power cut came between the
  // I/O and the commit of an append, whose bytes then lie in the last page. Writes that follow find the zeros written:
  // the data plane takes kZero before their answers, and completes parts of pages under the page's lock.
  #zeroGap(inode: Inode, range: AskedRange): Promise<Mapped> | undefined {
    const tail = range.offset > inode.size && !this.#fs.isPinned(inode.ino) ? writtenTail(inode) : undefined;
    if (tail === undefined) return undefined;
    if (this.#overlaps(inode.ino, tail)) return this.#whenFree(range);
    return this.#afterZeroing(range, this.#fs.data.zero(tail.devicePage, tail.from, pageSize - tail.from));
  }

  async #afterZeroing(range: AskedRange, zeroed: Promise<void>): Promise<Mapped> {
    const epoch = this.#epoch;
    try {
      await zeroed;
    } catch (error) {
      return { error: error as Error };
    }
    return epoch === this.#epoch ? this.#admit(range, true) : droppedAnswer();
  }

  #reserve(inode: Inode, token: Token): Mapped | Promise<Mapped> {
    const { range, firstPage, endPage } = token;
    if (range.offset + range.length > fileBytesMax) throw new FsError("EFBIG");
    const holes = [...inode.extents.holes(firstPage, endPage - firstPage)];
    if (this.#fs.isPinned(inode.ino)) checkPinnedWrite(inode, range, this.#fs.handles.pinMode(inode.ino), holes.length > 0);
    const old = extentsOf(inode, token);
    if (old.some((extent) => extent.state === "shared")) {
      throw new FsError("EIO", `cannot write to ino ${inode.ino}: nothing breaks the sharing of an extent yet`);
    }
    if (holes.length === 0) return this.#begin(inode, token, old, []);
    const runs = this.allocate(pagesOf(holes), nearOf(inode, holes[0]!.page));
    if (runs instanceof Promise) return this.#again(range, runs);
    return this.#begin(inode, token, [...old, ...placeRuns(holes, runs, "unwritten")], runs);
  }

  // The extents may be others after the wait, so the blocks are given back and asked for anew: they are free now.
  async #again(range: AskedRange, runs: Promise<DeviceRun[]>): Promise<Mapped> {
    const epoch = this.#epoch;
    try {
      this.#fs.volume.giveBack(await runs);
    } catch (error) {
      return { error: error as Error };
    }
    return epoch === this.#epoch ? this.#admit(range) : droppedAnswer();
  }

  #begin(inode: Inode, asked: Token, found: Extent[], reserved: readonly DeviceRun[]): Mapped {
    const extents = found.sort((a, b) => a.filePage - b.filePage);
    const first = extents.findIndex((extent) => extent.state === "unwritten");
    const last = extents.findLastIndex((extent) => extent.state === "unwritten");
    const written = first < 0 ? [] : extents.slice(first, last + 1).map((extent) => ({ ...extent, state: "written" as const }));
    const token = { ...asked, written, reserved };
    const writes = this.#writes.get(inode.ino);
    if (writes) writes.add(token);
    else this.#writes.set(inode.ino, new Set([token]));
    return { size: inode.size, extents, token };
  }

  #commit({ range, written }: Token, timeNs: bigint): void {
    const inode = inodeOf({ store: this.#fs.volume }, range.ino);
    const changes: Change[] = [];
    if (written.length > 0) {
      const filePage = written[0]!.filePage;
      const count = written.at(-1)!.filePage + written.at(-1)!.count - filePage;
      changes.push({ kind: "set-extents", ino: range.ino, filePage, count, extents: written });
    }
    changes.push({ kind: "put-inode", ino: range.ino, attributes: afterWrite(inode, range, timeNs) });
    // As file_remove_privs (fs/inode.c) does for every writer: FUSE_HANDLE_KILLPRIV_V2 leaves it to us.
    if (inode.xattrs.has(securityCapability)) changes.push({ kind: "drop-xattr", ino: range.ino, name: securityCapability });
    const runs = this.#fs.commit(changes);
    assert(runs.length === 0, "a write takes no block away");
  }

  // What failed may have left bytes behind the end of the file, where zeros are the rule: a later growth would show them.
  #undo(token: Token): void {
    this.#release(token.reserved);
    const { ino, offset, length } = token.range;
    const inode = this.#fs.volume.inode(ino);
    if (inode === undefined || offset + length <= inode.size || this.#fs.isPinned(ino)) return;
    const zeroed = this.exclusive(ino, () => this.zeroTail(ino));
    if (zeroed instanceof Promise) zeroed.catch(() => undefined); // the device fails, and the write has said so
  }

  #release(runs: readonly DeviceRun[]): void {
    if (runs.length > 0) this.#fs.volume.release(runs);
  }

  /** False for a write that is not under way any more. */
  #end(token: Token): boolean {
    const writes = this.#writes.get(token.range.ino);
    const ended = writes?.delete(token) === true;
    if (writes?.size === 0) this.#writes.delete(token.range.ino);
    return ended;
  }

  /** True while something goes on that a grant would collide with at once. */
  #isBusy(ino: number): boolean {
    return this.#writes.has(ino) || this.#gates.isClosed(ino) || [...this.#waiting].some((waiting) => waiting.ino === ino);
  }

  #overlaps(ino: number, pages: Pick<Token, "firstPage" | "endPage">): boolean {
    for (const other of this.#writes.get(ino) ?? []) {
      if (pages.firstPage < other.endPage && other.firstPage < pages.endPage) return true;
    }
    return false;
  }

  #whenFree(range: AskedRange): Promise<Mapped> {
    return new Promise((resolve) => {
      this.#waiting.add({
        ino: range.ino, retry: () => resolve(this.#admit(range)), drop: () => resolve(droppedAnswer()),
      });
    });
  }

  #retry(ino: number): void {
    if (this.#waiting.size === 0) return;
    const ready = [...this.#waiting].filter((waiting) => waiting.ino === ino);
    for (const waiting of ready) this.#waiting.delete(waiting);
    for (const waiting of ready) waiting.retry();
  }
}

function tokenOf(range: AskedRange): Token {
  const firstPage = Math.floor(range.offset / pageSize);
  const endPage = Math.max(firstPage, pagesFor(range.offset + range.length));
  return { range, firstPage, endPage, written: [], reserved: [] };
}

/** The last page, where it has bytes behind the end of the file that do not read as zeros whatever they are. */
function writtenTail(inode: Inode): { firstPage: number; endPage: number; devicePage: number; from: number } | undefined {
  const from = inode.size % pageSize;
  const endPage = pagesFor(inode.size);
  const extent = from === 0 ? undefined : inode.extents.find(endPage - 1);
  if (extent === undefined || extent.state === "unwritten") return undefined;
  return { firstPage: endPage - 1, endPage, devicePage: extent.devicePage + endPage - 1 - extent.filePage, from };
}

function extentsOf(inode: Inode, token: Token): Extent[] {
  return extentsIn(inode, token.firstPage, token.endPage - token.firstPage);
}

function afterWrite(inode: Inode, range: AskedRange, timeNs: bigint): Attributes {
  const time = timeOfNs(timeNs);
  return {
    ...attributesOf(inode),
    mode: range.killSuidgid ? withoutSetId(inode.mode) : inode.mode,
    size: Math.max(inode.size, range.offset + range.length),
    mtime: time,
    ctime: time,
  };
}

function droppedAnswer(): Mapped {
  return { error: new FsError("EINTR", "the data plane dropped the request, and the kernel sends it again") };
}
