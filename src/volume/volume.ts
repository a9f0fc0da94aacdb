// A volume: the whole state in memory, a journal record for every change of it, checkpoints when the journal fills.

import { assert } from "../base/assert";
import { UserError, exitCode } from "../base/errors";
import { debugLog } from "../base/log";
import type { AllocationHint } from "./allocator";
import { perform, type BlockDevice, type DeviceRun } from "./blockdevice";
import type { Change, Extent, RequestId } from "./changes";
import { checkpointClean, checkpointUndiscarded } from "./format";
import { checkState, type FsckReport } from "./fsck";
import { formatSteps, planFormat, type FormatOptions } from "./format-volume";
import type { Inode } from "./inode";
import { forgetBeyond } from "./journal";
import { Journaling } from "./journaling";
import { isLease } from "./lease";
import type { OpenOptions, WritableOpen } from "./open-options";
import { MetadataBacking } from "./metadata-backing";
import { loadState, loadSuperblock, type LoadedState, type LoadedSuperblock } from "./replay";
import { recount } from "./recount";
import { checkRoom } from "./room";
import { keptBackZeros, wipeSignatures } from "./signatures";
import { Space } from "./space";
import { roomOf, statsOf, type VolumeRoom, type VolumeStats } from "./stats";
import { apply, rootIno, type VolumeState } from "./state";
import { featureLeases, geometryOf, otherSide, superblockStep, type Geometry, type Side, type SuperblockFields } from "./superblock";
import { withdraw } from "./undurable";
import { checkChanges } from "./validate";
import { warningsOf, whyReadOnly } from "./warnings";
import { Writer } from "./writer";

const debug = debugLog("volume");

/** Inode numbers that are skipped after a crash: more than can have been given out in records that were lost. */
const inoSkip = 2 ** 20;

/** How long an unmount waits for discards. The next mount does the rest. */
const closeMs = 2000;

export class Volume {
  readonly device: BlockDevice;
  readonly rootIno = rootIno;
  /** What was damaged and could be opened all the same, for a person. */
  readonly warnings: readonly string[];
  /** What an open for writing refuses it with (damaged, exit 11). */
  readonly whyReadOnly: UserError | undefined;
  #superblock: SuperblockFields;
  #geometry: Geometry;
  readonly #state: VolumeState;
  readonly #space: Space;
  /** Free space may not have been discarded, and nobody has begun to. */
  #mustSweep: boolean;
  readonly #backing: MetadataBacking | undefined;
  readonly #released: (() => void) | undefined;
  readonly #writer: Writer;
  readonly #journal: Journaling;

  /** Makes an empty volume. Throws a UserError (usage) when the device is too small or holds something else. */
  static format(device: BlockDevice, options: FormatOptions = {}): Geometry {
    const fields = planFormat(device, options);
    wipeSignatures(device);
    device.discard(fields.dataStart, fields.blockCount - fields.dataStart);
    perform(device, formatSteps(fields));
    return geometryOf(fields);
  }

  /** Replays the journal; repairs what is damaged unless `readOnly`. Throws a UserError (damaged, mountFailed). */
  static open(device: BlockDevice, options: OpenOptions): Volume {
    const writable = options.readOnly === true ? undefined : options;
    if (device.readOnly && writable) {
      throw new UserError(exitCode.mountFailed, `cannot open ${device.name}: it is read-only`);
    }
    const superblock = loadSuperblock(device, writable === undefined);
    const loaded = loadState(device, superblock.geometry, writable?.boot);
    return new Volume(device, superblock, loaded, writable);
  }

  private constructor(device: BlockDevice, superblock: LoadedSuperblock, loaded: LoadedState, options: WritableOpen | undefined) {
    const readOnly = options === undefined;
    this.#released = options?.released;
    this.device = device;
    this.#superblock = superblock.fields;
    this.#geometry = superblock.geometry;
    this.#state = loaded.state;
    const warnings = warningsOf(device.name, superblock, loaded);
    this.#writer = new Writer(device, readOnly, warnings);
    this.#space = new Space(this.#geometry, this.#state, device);
    this.#mustSweep = !loaded.discarded;
    this.warnings = warnings;
    this.whyReadOnly = whyReadOnly(device.name, loaded, this.#space.conflicts, options?.acceptLoss === true);
    if (this.whyReadOnly && !readOnly) throw this.whyReadOnly; // nothing has been written
    debug("opened %s: %d inodes, %d records replayed", device.name, this.#state.inodes.size, loaded.records);
    this.#backing = readOnly ? undefined : new MetadataBacking(device, this.#geometry, this.#state.checkpointBytes);
    this.#journal = new Journaling({
      geometry: this.#geometry, state: this.#state, space: this.#space, cursor: loaded.cursor, writer: this.#writer,
      boot: options?.boot, backing: this.#backing, steps: options?.steps,
    });
    if (!readOnly) this.#begin(superblock, loaded);
  }

  get superblock(): SuperblockFields {
    return this.#superblock;
  }

  get geometry(): Geometry {
    return this.#geometry;
  }

  get readOnly(): boolean {
    return this.#writer.readOnly;
  }

  inode(ino: number): Inode | undefined {
    return this.#state.inodes.get(ino);
  }

  inodes(): IterableIterator<Inode> {
    return this.#state.inodes.values();
  }

  /** Inodes that no directory names: to be dropped when nothing holds them open. */
  orphans = (): number[] => [...this.#state.orphans];

  /** A number that no inode of this volume ever had, not even one that a crash undid. */
  nextIno(): number {
    this.#writer.mustBeWritable("allocate an inode");
    return this.#state.nextIno++;
  }

  /**
   * Writes one record, then applies it: all of `changes` or nothing. Durable after the next flush. Returns the runs that
   * no file uses any more; they stay taken until `release`. Throws FsError ENOSPC when metadata is full, EIO when the
   * device fails (then nothing has changed and the volume is read-only), EROFS.
   */
  commit(changes: readonly Change[], request?: RequestId): DeviceRun[] {
    this.#writer.mustBeWritable("commit");
    checkChanges(this.#geometry, this.#state, this.#space, changes);
    const growth = checkRoom(this.#geometry, this.#state, changes);
    if (growth > 0) this.#backing?.ensure(this.#state.checkpointBytes + growth);
    if ((this.#superblock.featuresRequired & featureLeases) === 0 && changes.some(isLease)) {
      this.#setSuperblock("note the first lease", { ...this.#superblock, featuresRequired: this.#superblock.featuresRequired | featureLeases });
    }
    this.#journal.record(changes, request);
    const effects = { added: [], removed: [] };
    for (const change of changes) {
      this.#journal.note(change);
      apply(this.#state, change, effects);
    }
    if (request !== undefined) this.#state.remember(request);
    return this.#space.settle(effects);
  }

  /** Pages that `commit` returned or `allocate` reserved are no longer wanted. They are given out again once that is durable. */
  release(runs: readonly DeviceRun[]): void {
    this.#space.release(runs);
    this.#released?.();
  }

  /** Reserved pages that nobody was told of: free again without a flush, few of them at once. */
  giveBack = (runs: readonly DeviceRun[]): void => this.#space.unreserve(runs);

  /** Discards what is free where that may not have happened when it became free: there was a crash, or no time at the last close. */
  sweep(): void {
    const { dataStart, blockCount } = this.#geometry;
    if (this.#mustSweep) this.#space.freed.sweep(dataStart, blockCount - dataStart);
    this.#mustSweep = false;
  }

  /** Resolves when pages that were released and flushed, or given back, are free; undefined when they are. */
  reclaimed = (): Promise<void> | undefined => this.#space.freed.done();

  /**
   * Reserves `count` pages, in one run where there is one. Whoever gets them commits extents that use them, or releases
   * them. Throws FsError ENOSPC having reserved nothing: also when the host of an image has no room.
   */
  allocate(count: number, hint?: AllocationHint): DeviceRun[] {
    const runs = this.#reserve(count, hint);
    try {
      for (const run of runs) this.device.allocateBacking(run.page, run.count);
    } catch (error) {
      throw this.#undone(runs, error);
    }
    return runs;
  }

  /**
   * The same for many pages: on an image they are not only backed but written by the host with zeros, so that no write
   * to them ever needs a transaction of the host. `signal` ends it with EINTR.
   */
  allocateWritten(count: number, hint?: AllocationHint, signal?: AbortSignal): DeviceRun[] | Promise<DeviceRun[]> {
    if (this.device.writeBacking === undefined) return this.allocate(count, hint);
    return this.#written(this.#reserve(count, hint), signal);
  }

  /** Reserves these very pages: a control plane that died had. False: not all of them are free. */
  adopt = (run: DeviceRun): boolean => this.#space.adopt(run);

  /** The parts of [page, page + count) that one extent alone uses, also after a cut. */
  soleRuns = (page: number, count: number): DeviceRun[] => this.#space.soleRuns(page, count);

  /** Runs of a file with these extents that are not its own alone, and do not say so: what the gate must not accept. */
  notOwn = (extents: Iterable<Extent>): DeviceRun[] => this.#space.notOwn(this.#geometry, extents);

  /** Resolves when no page waits for a flush to be one extent's alone; undefined when none does. */
  sharingSettled(): Promise<void> | undefined {
    return this.#space.isSharingSettled ? undefined : this.flush();
  }

  /** What an earlier commit of the same request answered: a resent request is not carried out again. */
  doneRequest = (session: bigint, unique: bigint): RequestId | undefined => this.#state.doneRequest(session, unique);

  /** Everything committed, and all file data written, before the call is durable when it resolves. Calls share a flush. */
  flush = (): Promise<void> => this.#journal.flush();

  /** Writes the older checkpoint anew and goes on in its half of the journal. */
  checkpoint(): void {
    this.#writer.mustBeWritable("write a checkpoint");
    this.#journal.checkpoint();
  }

  /** What is free is discarded, for as long as an unmount may take; checkpoint; the device is closed. The volume is not used afterwards. */
  close(): void {
    if (!this.#writer.readOnly) {
      this.#journal.flushNow();
      this.sweep();
      const discarded = this.#space.end(closeMs);
      this.#journal.checkpoint(checkpointClean | (discarded ? 0 : checkpointUndiscarded));
    }
    this.#writer.close();
  }

  statfs = (): VolumeRoom => roomOf(this.#geometry, this.#state, this.#space);

  stats(): VolumeStats {
    return statsOf(this.#geometry, this.#state, this.#space, this.#journal);
  }

  /** Pages from `end` on are given to nobody until `resize`; undefined: as before. Returns how many are still used. */
  withhold(end: number | undefined): number {
    this.#space.withhold(end);
    return end === undefined ? 0 : this.#geometry.blockCount - end - this.#space.withheldPages;
  }

  /**
   * The volume has `blockCount` blocks, durably. Longer: the device is so already. Shorter: `withhold` says that nobody
   * uses the rest; both checkpoints are written first, so that neither knows of an extent there. Opening goes by copy 0 of the
   * superblock while it is good: until that is written the volume has its old length, and the device the longer one of both.
   */
  resize(blockCount: number): void {
    this.#writer.mustBeWritable("resize the volume");
    assert(Number.isSafeInteger(blockCount) && blockCount > this.#geometry.dataStart, "a volume has data blocks");
    const fields = { ...this.#superblock, blockCount };
    const before = this.#geometry.blockCount;
    if (blockCount < before) {
      for (let n = 0; n < 2; n += 1) this.checkpoint();
      this.#writer.perform("resize the volume", [keptBackZeros(geometryOf(fields)), { kind: "flush" }]);
    }
    this.#setSuperblock("resize the volume", fields);
    this.#space.resize(before, this.#geometry);
  }

  /** What fsck finds in the state as it is now, and where what is counted at run time differs from it. */
  check(): FsckReport {
    const report = checkState(this.#geometry, this.#state);
    const findings = [...report.findings, ...recount(this.#geometry, this.#state, this.#space)];
    return { ...report, findings, sequence: this.#journal.cursor.sequence };
  }

  #reserve(count: number, hint: AllocationHint | undefined): DeviceRun[] {
    this.#writer.mustBeWritable("allocate");
    if (count > this.#space.allocator.pages && this.#space.freed.releasedPages > 0) this.#journal.flushNow();
    return this.#space.reserve(count, hint);
  }

  async #written(runs: DeviceRun[], signal: AbortSignal | undefined): Promise<DeviceRun[]> {
    try {
      for (const run of runs) await this.device.writeBacking!(run.page, run.count, signal);
    } catch (error) {
      this.#writer.mustBeWritable("allocate");
      throw this.#undone(runs, error);
    }
    this.#writer.mustBeWritable("allocate");
    return runs;
  }

  /** Whoever asks next finds the room of the host again, also that of blocks which wait for a flush. */
  #undone(runs: readonly DeviceRun[], error: unknown): unknown {
    this.#space.unreserve(runs);
    if (this.#space.freed.releasedPages > 0) this.#journal.flushNow();
    return error;
  }

  /** Copy 1 before copy 0, by which opening goes while it is good: until that is written all is as before. */
  #setSuperblock(verb: string, fields: SuperblockFields): void {
    for (const copy of [1, 0]) this.#writer.perform(verb, [superblockStep(fields, copy), { kind: "flush" }]);
    this.#superblock = fields;
    this.#geometry = geometryOf(fields);
  }

  /** Repairs, then durably notes the first inode number of this run: numbers given out in lost records stay unused. */
  #begin(superblock: LoadedSuperblock, loaded: LoadedState): void {
    if (!loaded.clean) this.#state.nextIno += inoSkip;
    this.#writer.perform("repair the superblock", superblock.damagedCopies.map((copy) => superblockStep(superblock.fields, copy)));
    withdraw(this.#geometry, this.#state, this.#space, loaded.undurable);
    for (const side of loaded.damagedSides) this.#repairCheckpoint(side);
    if (loaded.olderShort !== undefined) this.#repairCheckpoint(otherSide(loaded.side));
    // Neither side may lead back to what was withdrawn.
    if (loaded.undurable.pages.pages > 0) for (let n = 0; n < 2; n += 1) this.checkpoint();
    // Not before: without them nothing would tell that a loss is to be accepted, and what files must not show.
    if (loaded.beyond.found.length > 0) this.#writer.perform("repair the journal", forgetBeyond(loaded.beyond));
    this.#journal.leaveBlock(); // what its records dropped is free already
    this.#journal.record([]);
    this.#journal.flushNow();
  }

  /**
   * The damaged side must be good again before anything may happen to the other one. When it was the newer one, its
   * half of the journal holds what the other needs, and the other is written as well before that half is used again.
   */
  #repairCheckpoint(side: Side): void {
    const wasNewer = this.#journal.cursor.half === side;
    this.#journal.checkpoint(0, side);
    if (wasNewer) this.#journal.checkpoint(0, otherSide(side));
  }
}
