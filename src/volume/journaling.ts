// What an open volume writes of itself: a record for each commit, flushes, and checkpoints. A checkpoint is written in pieces
// while the journal's half still takes records, with whatever else happens between them, and all at once by who cannot wait: a
// commit that finds the half full, an unmount, a volume that becomes shorter. docs/format.md has the order of writes.

import { setImmediate as nextTurn } from "node:timers/promises";
import { FsError } from "../base/errors";
import { debugLog } from "../base/log";
import { sectorSize } from "../base/units";
import type { Change, RequestId } from "./changes";
import { CheckpointStream, checkpointCapacity, type CheckpointFlags } from "./checkpoint";
import { Durability } from "./durability";
import { appendRecord, recordSectors, sectorsPerPage, type JournalCursor } from "./journal";
import type { MetadataBacking } from "./metadata-backing";
import type { CheckpointSteps } from "./open-options";
import { SharedFlush } from "./shared-flush";
import type { Space } from "./space";
import type { VolumeState } from "./state";
import { otherSide, sideName, type Geometry, type Side } from "./superblock";
import type { Writer } from "./writer";

const debug = debugLog("volume");
const verb = "write a checkpoint";

/** Some 500 files or 2,700 extents between two turns of the event loop. */
export const betweenTurns: CheckpointSteps = { bytes: 64 * 1024, turn: nextTurn };

export interface JournalingParts {
  readonly writer: Writer;
  /** of the metadata areas, which no resize moves */
  readonly geometry: Geometry;
  readonly state: VolumeState;
  readonly space: Space;
  readonly cursor: JournalCursor;
  readonly boot: number | undefined;
  readonly backing: MetadataBacking | undefined;
  /** undefined: all at once */
  readonly steps: CheckpointSteps | undefined;
}

/** A checkpoint that is being written. */
interface UnderWay {
  readonly stream: CheckpointStream;
  readonly side: Side;
  readonly started: number;
  /** bytes of the state, and sector of the journal, when it began */
  readonly bytes: number;
  readonly sector: number;
  /** The header of before is gone for good: what is written now is known to be no whole checkpoint, and ours. */
  isWiped: boolean;
}

export class Journaling {
  /** Everything committed, and all file data written, before the call is durable when it resolves. Calls share a flush. */
  readonly flush: () => Promise<void>;
  readonly counts = { records: 0, checkpoints: 0, checkpointMs: 0 };
  readonly #parts: JournalingParts;
  readonly #writer: Writer;
  readonly #durability = new Durability();
  #cursor: JournalCursor;
  /** Its payload is being written; the journal is still in the other half. */
  #underWay: UnderWay | undefined;
  /** Its payload is written and its half takes the records, but its header is not durable: the other checkpoint counts. */
  #ending: UnderWay | undefined;

  constructor(parts: JournalingParts) {
    this.#parts = parts;
    this.#writer = parts.writer;
    this.#cursor = parts.cursor;
    const flushes = new SharedFlush(() => this.#flushAll());
    this.flush = () => flushes.flush();
  }

  get cursor(): JournalCursor {
    return this.#cursor;
  }

  /** Writes one record. Throws FsError ENOSPC when it is longer than a half of the journal, EIO. */
  record(changes: readonly Change[], request?: RequestId): void {
    const { geometry, state, boot } = this.#parts;
    const sectors = recordSectors(changes);
    if (sectors > geometry.journalSectors) {
      throw new FsError("ENOSPC", `cannot commit ${changes.length} changes: they are larger than half the journal, use fewer at a time`);
    }
    this.#makeRoom(sectors);
    const note = { nextIno: state.nextIno, durable: this.#durability.durable, boot, request };
    const { step, cursor } = appendRecord(geometry, this.#cursor, changes, note);
    this.#writer.perform("commit", [step]);
    this.#cursor = cursor;
    this.#durability.written(cursor.sequence, changes);
    this.counts.records += 1;
  }

  /**
   * What gives blocks to a file must not lie beside what dropped them from another one: one bad sector of 4 KiB would take both, and who
   * accepts that loss would see in the one file what the other wrote. Records that say nothing fill the block up.
   */
  leaveBlock(): void {
    while (this.#cursor.sector % sectorsPerPage !== 0) this.record([]);
  }

  /** Before a change of the record is applied: what a checkpoint that is under way has of it already is no longer so. */
  note(change: Change): void {
    this.#underWay?.stream.note(change);
  }

  /** Writes the checkpoint of `side`, or what is left to do of one that is under way, and goes on in its half of the journal. */
  checkpoint(flags: CheckpointFlags = 0, side?: Side): void {
    this.#settleNow();
    this.#underWay ??= this.#begun(side ?? otherSide(this.#cursor.half));
    this.#encode(this.#underWay, Infinity);
    this.#end(this.#underWay, flags);
    this.#settleNow();
  }

  flushNow(): void {
    this.#flushBegins();
    const { sequence } = this.#cursor;
    this.#writer.flush();
    this.#durability.flushed(sequence);
    if (this.#durability.needsNote) {
      this.record([]);
      this.#writer.flush();
      this.#durability.noted(sequence);
    }
    this.#parts.space.flushEnded();
  }

  async #flushAll(): Promise<void> {
    const writer = this.#writer;
    if (writer.readOnly && writer.failure !== undefined) throw writer.failure;
    if (writer.readOnly) return; // nothing is waiting to be written
    this.#flushBegins();
    const { sequence } = this.#cursor;
    await writer.flushAsync();
    if (writer.readOnly) return;
    this.#durability.flushed(sequence);
    if (this.#durability.needsNote) {
      this.record([]);
      await writer.flushAsync();
      this.#durability.noted(sequence);
    }
    // Only now may blocks that a record of before dropped be used again: a cut can no longer want them back.
    if (!writer.readOnly) this.#parts.space.flushEnded();
  }

  /** Blocks that are free when the flush has ended are given out by records of another block of the journal. */
  #flushBegins(): void {
    const { space } = this.#parts;
    if (space.awaitsFlush) this.leaveBlock();
    space.flushBegins();
  }

  /** So that `sectors` fit the half: nearly always by what was done before. */
  #makeRoom(sectors: number): void {
    const { geometry, steps } = this.#parts;
    if (this.#underWay !== undefined) this.#keepUp(this.#underWay);
    else if (steps !== undefined && this.#mayBegin()) {
      const begun = (this.#underWay = this.#begun(otherSide(this.#cursor.half)));
      this.#writer.perform(verb, [begun.stream.wiped]);
      void this.#inSteps(begun, steps);
    }
    if (this.#cursor.sector + sectors > geometry.journalSectors) this.checkpoint();
  }

  /** In the last quarter of the half, when there is room for what may change meanwhile: each change may be in it twice. */
  #mayBegin(): boolean {
    const { geometry, state, backing } = this.#parts;
    const left = geometry.journalSectors - this.#cursor.sector;
    const bytesMax = state.checkpointBytes + 2 * left * sectorSize;
    return this.#ending === undefined && left * 4 <= geometry.journalSectors && bytesMax <= checkpointCapacity(geometry)
      && backing?.has(bytesMax) !== false;
  }

  #begun(side: Side): UnderWay {
    const { geometry, state } = this.#parts;
    return {
      stream: new CheckpointStream(geometry, state, side), side, started: performance.now(),
      bytes: state.checkpointBytes, sector: this.#cursor.sector, isWiped: false,
    };
  }

  /** Commits that come faster than turns of the event loop do their share: it is done when most of the half's rest is used. */
  #keepUp(begun: UnderWay): void {
    const { stream, bytes, sector } = begun;
    const used = (this.#cursor.sector - sector) / (this.#parts.geometry.journalSectors - sector);
    const behind = (4 / 3) * used * bytes - stream.emitted;
    if (behind > 0) this.#encode(begun, behind);
  }

  #encode(begun: UnderWay, bytes: number): void {
    if (!begun.isWiped) this.#writer.perform(verb, [begun.stream.wiped, { kind: "flush" }]);
    begun.isWiped = true;
    this.#writer.perform(verb, begun.stream.encode(bytes));
  }

  /** Each await lets others in, who may have been unable to wait. Fails when the volume is read-only: that has been told. */
  async #inSteps(begun: UnderWay, { bytes, turn }: CheckpointSteps): Promise<void> {
    try {
      // Records go to its half before it is complete. By then no cut may bring the old one back, which that half led on from.
      await this.flush();
      begun.isWiped = true;
      for (; this.#underWay === begun; await turn()) {
        this.#encode(begun, bytes);
        if (begun.stream.isEncoded) this.#end(begun, 0);
      }
      if (this.#ending !== begun) return;
      await this.flush();
      if (this.#ending !== begun) return;
      this.#writer.perform(verb, [begun.stream.head]);
      await this.flush();
      if (this.#ending === begun) this.#settled(begun);
    } catch (error) {
      debug("%s", error);
    }
  }

  /** It contains every record so far, and the next one goes to its half. */
  #end(begun: UnderWay, flags: CheckpointFlags): void {
    this.#writer.perform(verb, begun.stream.end(this.#cursor, flags));
    this.#underWay = undefined;
    this.#ending = begun;
    this.#cursor = { ...this.#cursor, half: begun.side, sector: 0 };
  }

  #settleNow(): void {
    if (this.#ending === undefined) return;
    this.#writer.flush(); // its payload, and the data of which that says where it lies
    this.#parts.space.flushBegins();
    this.#writer.perform(verb, [this.#ending.stream.head, { kind: "flush" }]);
    this.#settled(this.#ending);
    this.#durability.flushed(this.#cursor.sequence);
    this.#parts.space.flushEnded();
  }

  #settled({ stream, side, started }: UnderWay): void {
    this.#ending = undefined;
    this.#durability.noted(stream.sequence);
    this.counts.checkpoints += 1;
    this.counts.checkpointMs = performance.now() - started;
    debug("checkpoint %s: after sequence %d, %d ms", sideName(side), stream.sequence, Math.round(this.counts.checkpointMs));
  }
}
