// Leave for the data plane to write without asking: into pages that are allocated and not written, in the file or ahead
// of its end. It notes each such write in the commit ring; `drain` commits what is there, many writes in one record.
//
// For an inode either a grant is out, or writes are under way that asked (Mapping): never both. What is in the ring was
// acknowledged, so whatever looks at inodes drains first, and whatever changes them takes the grant back before.

import { logLine } from "../base/log";
import { messageOf } from "../base/errors";
import { pagesFor } from "../base/units";
import type { GrantPort } from "../dataplane/port";
import type { RingWrite } from "../dataplane/ring";
import { ringSlots } from "../dataplane/session";
import type { DeviceRun } from "../volume/blockdevice";
import type { Change, Extent } from "../volume/changes";
import { extent_disk } from "../volume/format";
import type { Inode } from "../volume/inode";
import { RunSet, pagesOf } from "../volume/runs";
import { dropReserveBytes } from "../volume/room";
import type { Volume } from "../volume/volume";
import type { Leases } from "./leases";
import type { LostWrites } from "./lost-writes";
import { changesOf } from "./ring-changes";
import { nearOf, placeRuns } from "./runs-to-extents";
import type { WriteInFlight } from "./write-in-flight";

export interface GrantParts {
  readonly port: GrantPort | undefined;
  readonly volume: Volume;
  readonly leases: Leases;
  commit(changes: readonly Change[]): unknown;
  readonly lost: LostWrites;
}

interface Grant {
  /** pages that were allocated for this grant and hold nothing yet */
  readonly ahead: RunSet;
  /** of them, at the start */
  readonly window: number;
  writes: number;
  usedMs: number;
}

/** A file that has asked for a page to write. */
interface Candidate {
  /** pages that its last grant had ahead: the next one gets twice as many */
  readonly window: number;
  /** grants in a row that were hardly used: writes jump about in holes, say */
  readonly fruitless: number;
  /** writes that get no grant yet */
  skips: number;
}

const newCandidate: Candidate = { window: 0, fruitless: 0, skips: 0 };

/** Entries that one record takes: it stays far below half of the smallest journal. */
const batch = 1024;
const pollMs = 50;
const idleMs = 1000;

/** A map is sent whole with each grant. */
const extentsMax = 4096;
const windowMin = 16;
const windowMax = 16384;
/** Part of the free space that one file gets ahead. */
const freeShare = 16;
/** Room for metadata that must be there: twice what a full ring can take, each write splitting an extent in three. */
const metadataReserve = 2 * ringSlots * 2 * extent_disk.size + dropReserveBytes;
const candidatesMax = 1024;

/** Making a grant and taking it back costs as much as a few questions. It was worth that after so many writes, or half its window. */
const worthWrites = 8;
/** After the n-th grant in a row that was not, 2^n writes get none; at most so many. */
const skipsMax = 256;

export class Grants {
  readonly #parts: GrantParts;
  readonly #grants = new Map<number, Grant>();
  readonly #candidates = new Map<number, Candidate>();
  #timer: NodeJS.Timeout | undefined;
  #aheadPages = 0;

  constructor(parts: GrantParts) {
    this.#parts = parts;
    parts.port?.onGone((ino) => this.#gone(ino));
  }

  /** Allocated, and free again when they are asked for. */
  get aheadPages(): number {
    return this.#aheadPages;
  }

  /**
   * Commits what the data plane wrote by itself. Never throws: the writers have been told that all is well. What cannot
   * be kept fails the next fsync of its file, as an error of writeback does, and nobody writes without asking any more.
   */
  drain(): void {
    const { port } = this.#parts;
    if (port === undefined || port.ring.pending === 0) return;
    let failed = false;
    for (let writes = port.ring.peek(batch); writes.length > 0; writes = port.ring.peek(batch)) {
      try {
        this.#commit(writes);
      } catch (error) {
        logLine(`cannot keep ${writes.length} writes that were acknowledged: ${messageOf(error)}`);
        for (const { ino } of writes) this.#parts.lost.add(ino);
        failed = true;
      }
      port.ring.drop(writes.length);
    }
    if (failed) void this.endAll();
  }

  /** A write that asked is committed. The file may get a grant when nothing else is under way on it. */
  offer({ range, written, endPage }: WriteInFlight): void {
    const { port, volume } = this.#parts;
    const inode = volume.inode(range.ino);
    if (port === undefined || inode === undefined || !this.#parts.leases.mayMove(range.ino)) return;
    if (written.length === 0 && range.offset + range.length < inode.size) return; // any map will do for the next one
    const candidate = this.#candidates.get(range.ino);
    this.#remember(range.ino, candidate ?? newCandidate);
    // A file that is written at once and never again would have a map sent and taken back for nothing.
    if (candidate === undefined && range.length < 128 * 1024) return;
    if (candidate !== undefined && candidate.skips > 0) {
      candidate.skips -= 1;
      return;
    }
    if (inode.extents.length > extentsMax || !this.#roomForMetadata()) return;
    const wanted = Math.max(2 * (candidate?.window ?? 0), 4 * pagesFor(range.length), windowMin);
    const ahead = this.#allocateAhead(inode, endPage, wanted);
    if (ahead.length === 0 && inode.extents.find(endPage)?.state !== "unwritten") return;
    this.#grant(port, inode, ahead);
  }

  /** Takes the grant of `ino` back. Resolves when what was written under it is committed; undefined when there is none. */
  end(ino: number): Promise<void> | undefined {
    return this.#grants.has(ino) ? this.#parts.port!.end(ino) : undefined;
  }

  endAll(): Promise<unknown> | undefined {
    return this.#grants.size === 0 ? undefined : Promise.all([...this.#grants.keys()].map((ino) => this.end(ino)));
  }

  /** Nobody has `ino` open any more. */
  closed(ino: number): void {
    this.#candidates.delete(ino);
    void this.end(ino);
  }

  #commit(writes: readonly RingWrite[]): void {
    const { volume } = this.#parts;
    const byIno = new Map<number, RingWrite[]>();
    for (const write of writes) {
      const list = byIno.get(write.ino);
      if (list === undefined) byIno.set(write.ino, [write]);
      else list.push(write);
    }
    const changes: Change[] = [];
    const adopted: DeviceRun[] = [];
    for (const [ino, list] of byIno) {
      const inode = volume.inode(ino);
      const grant = this.#grants.get(ino);
      if (grant !== undefined) grant.writes += list.length;
      if (inode === undefined) logLine(`cannot keep ${list.length} writes to ino ${ino}: it is gone`);
      else changes.push(...changesOf(inode, list, (run) => this.#owns(ino, run, adopted), (extent) => this.#lost(ino, extent)));
    }
    if (changes.length === 0) return;
    try {
      this.#parts.commit(changes);
    } catch (error) {
      volume.release(adopted);
      throw error;
    }
    for (const change of changes) this.#committed(change);
  }

  /** A run that no extent uses may be what this grant, or that of a control plane that died, had allocated ahead. */
  #owns(ino: number, run: DeviceRun, adopted: DeviceRun[]): boolean {
    if (this.#grants.get(ino)?.ahead.within(run.page, run.count)[0]?.count === run.count) return true;
    if (!this.#parts.volume.adopt(run)) return false;
    adopted.push(run);
    return true;
  }

  #lost(ino: number, { filePage, count, devicePage }: Extent): void {
    logLine(`cannot keep a write to ino ${ino}, pages ${filePage}+${count}: device page ${devicePage} is not where they lie`);
    this.#parts.lost.add(ino);
  }

  #committed(change: Change): void {
    if (change.kind !== "set-extents" && change.kind !== "put-inode") return;
    if (change.kind === "put-inode") this.#parts.port!.committed(change.ino);
    const grant = this.#grants.get(change.ino);
    if (grant === undefined) return;
    grant.usedMs = performance.now();
    if (change.kind === "set-extents") for (const extent of change.extents) this.#used(grant, extent);
  }

  #used(grant: Grant, { devicePage, count }: Extent): void {
    for (const part of grant.ahead.within(devicePage, count)) {
      grant.ahead.remove(part.page, part.count);
      this.#aheadPages -= part.count;
    }
  }

  #roomForMetadata(): boolean {
    const { checkpointBytes, checkpointCapacity } = this.#parts.volume.stats();
    return checkpointCapacity - checkpointBytes >= metadataReserve;
  }

  /** Blocks for holes from `page` on: as many pages as the file may well need, and none when little is free. */
  #allocateAhead(inode: Inode, page: number, wanted: number): Extent[] {
    const { volume } = this.#parts;
    const count = Math.min(wanted, windowMax, Math.floor(volume.statfs().freePages / freeShare), 2 ** 32 - 2 - page);
    if (count < windowMin || inode.extents.find(page) !== undefined) return [];
    const [hole] = inode.extents.holes(page, count);
    try {
      return placeRuns([hole!], volume.allocate(hole!.count, nearOf(inode, page)), "unwritten");
    } catch {
      return []; // the write that needs a block will say why there is none
    }
  }

  #grant(port: GrantPort, inode: Inode, ahead: readonly Extent[]): void {
    const grant = { ahead: new RunSet(), window: pagesOf(ahead), writes: 0, usedMs: performance.now() };
    for (const { devicePage, count } of ahead) grant.ahead.add(devicePage, count);
    this.#grants.set(inode.ino, grant);
    this.#aheadPages += pagesOf(ahead);
    port.grant(inode.ino, [...inode.extents, ...ahead].sort((a, b) => a.filePage - b.filePage));
    this.#timer ??= setInterval(() => this.#tick(), pollMs).unref();
  }

  /** The data plane holds the grant no more, and what it wrote under it is in the ring. */
  #gone(ino: number): void {
    this.drain();
    const grant = this.#grants.get(ino);
    if (grant === undefined) return;
    this.#grants.delete(ino);
    this.#aheadPages -= grant.ahead.pages;
    this.#judge(ino, grant);
    this.#parts.volume.release(grant.ahead.takeAll());
    if (this.#grants.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    this.drain();
    const tight = !this.#roomForMetadata();
    const idleSince = performance.now() - idleMs;
    for (const [ino, grant] of this.#grants) if (tight || grant.usedMs < idleSince) void this.end(ino);
  }

  /** What a grant that is over tells of the next one. */
  #judge(ino: number, { ahead, window, writes }: Grant): void {
    const candidate = this.#candidates.get(ino);
    if (candidate === undefined) return;
    const worth = writes >= worthWrites || 2 * ahead.pages < window;
    const fruitless = worth ? 0 : candidate.fruitless + 1;
    this.#remember(ino, worth ? { ...newCandidate, window } : { window: 0, fruitless, skips: Math.min(2 ** fruitless, skipsMax) });
  }

  #remember(ino: number, candidate: Candidate): void {
    this.#candidates.delete(ino);
    this.#candidates.set(ino, candidate);
    if (this.#candidates.size > candidatesMax) this.#candidates.delete(this.#candidates.keys().next().value!);
  }
}
