// Which records, and which data that they speak of, a power cut cannot undo. A record may reach the device before the data
// of its extents does: both are made durable by one flush, in any order. So a record after the last one that is *noted* as
// durable is not trusted when the machine was cut (undurable.ts), and a flush that an fsync waits for leaves a note.

import type { Change } from "./changes";

export class Durability {
  /** Sequence of the last record that is known to be durable, with the data that it and those before it speak of. */
  #durable = 0;
  /** Of the last record that gives data to a file. */
  #data = 0;
  /** Up to here the device itself says that records are durable: a checkpoint, or a later record that is durable, too. */
  #noted = 0;

  get durable(): number {
    return this.#durable;
  }

  written(sequence: number, changes: readonly Change[]): void {
    if (changes.some(givesData)) this.#data = sequence;
  }

  /** A flush that began after record `sequence` has ended. */
  flushed(sequence: number): void {
    this.#durable = Math.max(this.#durable, sequence);
  }

  /** A checkpoint that contains record `sequence` is durable, or a record that notes it as durable. */
  noted(sequence: number): void {
    this.#noted = Math.max(this.#noted, sequence);
  }

  /** True when a cut now would cost data that is durable, for want of a note. */
  get needsNote(): boolean {
    return this.#data > this.#noted && this.#durable > this.#noted;
  }
}

function givesData(change: Change): boolean {
  return change.kind === "set-extents" && change.extents.some((extent) => extent.state !== "unwritten");
}
