// Every data page is in one of these: free; reserved by `allocate`; used by extents, perhaps several; freed, dropped by a
// commit and on its way to being free (freed-runs.ts).

import { assert } from "../base/assert";
import { Allocator, type AllocationHint } from "./allocator";
import type { DeviceRun } from "./blockdevice";
import type { Extent } from "./changes";
import { FreedRuns, type DiscardingDevice } from "./freed-runs";
import { References } from "./references";
import { RunSet, pagesOf } from "./runs";
import type { Effects, VolumeState } from "./state";
import type { Geometry } from "./superblock";

export class Space {
  readonly allocator = new Allocator();
  readonly references = new References();
  readonly freed: FreedRuns;
  /** Pages that two extents use of which at least one is not marked shared, pages in no data area: for fsck and open. */
  readonly conflicts: DeviceRun[] = [];
  readonly #reserved = new RunSet();
  /** Pages from #limit on that nobody uses, and nobody gets: of the tail that a volume keeps for itself, or is about to lose. */
  readonly #withheld = new RunSet();
  #limit: number;
  #dataEnd: number;
  #ended = false;
  /** Have one user since a commit that is not durable yet: after a cut they would have two again. */
  readonly #unshared = new RunSet();
  readonly #unsharedFlushing = new RunSet();

  /** Of a volume whose journal has been replayed: everything that no extent uses is free. `device` is told of what becomes free. */
  constructor(geometry: Geometry, state: VolumeState, device: DiscardingDevice = { discard: () => undefined }) {
    this.#limit = this.#dataEnd = geometry.dataEnd;
    this.freed = new FreedRuns(device, this.allocator, (run) => this.#free(run));
    const used = usedRuns(state);
    let at = geometry.dataStart;
    let ownedTo = 0; // end of the furthest run that is not marked shared
    for (const run of used) {
      const end = run.page + run.count;
      if (run.page < geometry.dataStart || end > geometry.blockCount) {
        this.conflicts.push(run);
        continue;
      }
      if (run.page > at) this.#free({ page: at, count: run.page - at });
      const overlap = Math.min(at, end) - run.page;
      if (overlap > 0) this.references.add(run.page, overlap);
      const conflict = Math.min(run.shared ? ownedTo : at, end) - run.page;
      if (conflict > 0) this.conflicts.push({ page: run.page, count: conflict });
      at = Math.max(at, end);
      if (!run.shared) ownedTo = Math.max(ownedTo, end);
    }
    if (at < geometry.blockCount) this.#free({ page: at, count: geometry.blockCount - at });
  }

  /** Free or soon to be: what statfs(2) says. */
  get freePages(): number {
    return this.allocator.pages + this.freed.pages;
  }

  /** The parts of [page, page + count) that one extent alone uses, also after a cut. */
  soleRuns(page: number, count: number): DeviceRun[] {
    const sole = this.references.soleRuns(page, count);
    return [this.#unshared, this.#unsharedFlushing].reduce((runs, set) => runs.flatMap((run) => set.without(run.page, run.count)), sole);
  }

  /** False while there are pages that one extent alone uses now, but not after a cut. */
  get isSharingSettled(): boolean {
    return this.#unshared.pages + this.#unsharedFlushing.pages === 0;
  }

  /** True while pages wait for a flush to be free, or one extent's alone. */
  get awaitsFlush(): boolean {
    return this.freed.releasedPages > 0 || !this.isSharingSettled;
  }

  reserve(count: number, hint?: AllocationHint): DeviceRun[] {
    return this.#reserve(this.allocator.take(count, hint));
  }

  /**
   * As `reserve`, for these pages, withheld ones too: code of before may have given them out. False, and nothing has happened, when
   * somebody uses one of them.
   */
  adopt(run: DeviceRun): boolean {
    if (pagesIn(this.allocator, run) + pagesIn(this.#withheld, run) < run.count) return false;
    this.adoptWithin(run);
    return true;
  }

  /** As `adopt`, of those that nobody uses. Returns them. */
  adoptWithin({ page, count }: DeviceRun): DeviceRun[] {
    return this.#reserve([...this.allocator.takeWithin(page, count), ...this.#withheld.takeWithin(page, count)]);
  }

  /** Undoes `reserve`; nobody was told of the pages. */
  unreserve(runs: readonly DeviceRun[]): void {
    if (this.#ended) return;
    for (const run of runs) this.#reserved.remove(run.page, run.count);
    this.freed.giveBack(runs);
  }

  /** FreedRuns.end: nobody will use what is reserved. Who had it, or pages to release, may say so later. */
  end(timeMs: number): boolean {
    this.#ended = true;
    return this.freed.end(this.#reserved.takeAll(), timeMs);
  }

  /** Pages from `limit` on are given to nobody; undefined: as before. */
  withhold(limit: number | undefined): void {
    this.#limit = limit ?? this.#dataEnd;
    for (const run of this.#withheld.takeAll()) this.#free(run);
    if (limit === undefined) return;
    for (const run of this.allocator.takeWithin(limit, 2 ** 32 - limit)) this.#withheld.add(run.page, run.count);
  }

  get withheldPages(): number {
    return this.#withheld.pages;
  }

  /** The data area ends at another page. Of a shorter one the rest is withheld, all of it. */
  resize(from: number, { blockCount: to, dataEnd }: Geometry): void {
    assert(to > from || this.#withheld.pages === from - dataEnd, "nobody uses the pages that a volume loses");
    this.#dataEnd = dataEnd;
    if (to > from) this.#withheld.add(from, to - from);
    else this.#withheld.remove(to, from - to);
    this.withhold(undefined);
  }

  /** Throws when an extent would use pages that were given to nobody. */
  checkUsable(run: DeviceRun): void {
    assert(this.isUsable(run), "an extent uses pages that are allocated");
  }

  isUsable({ page, count }: DeviceRun): boolean {
    return !this.allocator.intersects(page, count) && !this.freed.intersects(page, count) && !this.#withheld.intersects(page, count);
  }

  /** Runs of the file whose blocks lie outside the data area, or are not that extent's alone though it does not say shared. */
  notOwn({ dataStart, blockCount }: Geometry, extents: Iterable<Extent>): DeviceRun[] {
    const runs: DeviceRun[] = [];
    for (const { filePage, devicePage: page, count, state } of extents) {
      const inside = page >= dataStart && page + count <= blockCount;
      if (!inside || (state !== "shared" && !this.#isSole({ page, count }))) runs.push({ page: filePage, count });
    }
    return runs;
  }

  #isSole(run: DeviceRun): boolean {
    return this.isUsable(run) && this.reservedPages(run) === 0 && this.references.soleRuns(run.page, run.count)[0]?.count === run.count;
  }

  /** How many pages of the run are reserved. */
  reservedPages(run: DeviceRun): number {
    return pagesIn(this.#reserved, run);
  }

  /** Pages that no extent uses, whatever becomes of them. */
  get unusedPages(): number {
    return this.freePages + this.freed.inUsePages + this.#reserved.pages + this.#withheld.pages;
  }

  /** Takes over what a commit did. Returns the runs that nobody uses any more; requests may until `release`. */
  settle(effects: Effects): DeviceRun[] {
    for (const run of effects.added) this.#use(run);
    const unused: DeviceRun[] = [];
    for (const { page, count, shared } of effects.removed) {
      for (const run of this.references.drop(page, count)) {
        this.freed.add(run);
        unused.push(run);
      }
      if (shared) addNew(this.#unshared, page, count);
    }
    return unused;
  }

  /** Dropped or reserved pages are no longer wanted. */
  release(runs: readonly DeviceRun[]): void {
    for (const run of this.#ended ? [] : runs) {
      const released = run.count === 0 ? 0 : this.freed.release(run, this.#reserved);
      assert(released === run.count, "pages that are released were dropped or reserved");
    }
  }

  /** A flush of the device begins: what has been released so far is free, or being discarded, when it has ended. */
  flushBegins(): void {
    this.freed.flushBegins();
    for (const run of this.#unshared.takeAll()) addNew(this.#unsharedFlushing, run.page, run.count);
  }

  /** The flush ended well. */
  flushEnded(): void {
    this.#unsharedFlushing.takeAll();
    this.freed.flushEnded();
  }

  #reserve(runs: DeviceRun[]): DeviceRun[] {
    for (const run of runs) this.#reserved.add(run.page, run.count);
    return runs;
  }

  #free({ page, count }: DeviceRun): void {
    const below = Math.max(0, Math.min(count, this.#limit - page));
    if (below > 0) this.allocator.add(page, below);
    if (below < count) this.#withheld.add(page + below, count - below);
  }

  /** Reserved pages get their first user, others one more. */
  #use(run: DeviceRun): void {
    let at = run.page;
    for (const part of this.#reserved.within(run.page, run.count)) {
      if (part.page > at) this.references.add(at, part.page - at);
      this.#reserved.remove(part.page, part.count);
      at = part.page + part.count;
    }
    const end = run.page + run.count;
    if (at < end) this.references.add(at, end - at);
  }
}

function pagesIn(set: RunSet, { page, count }: DeviceRun): number {
  return pagesOf(set.within(page, count));
}

/** Adds what is not in the set yet. */
function addNew(set: RunSet, page: number, count: number): void {
  for (const run of set.without(page, count)) set.add(run.page, run.count);
}

interface UsedRun extends DeviceRun {
  readonly shared: boolean;
}

/** What all extents use, by device page. */
function usedRuns(state: VolumeState): UsedRun[] {
  const used: UsedRun[] = [];
  for (const inode of state.inodes.values()) {
    for (const { devicePage, count, state: kind } of inode.extents) used.push({ page: devicePage, count, shared: kind === "shared" });
  }
  return used.sort((a, b) => a.page - b.page);
}
