// The commit ring of the session segment: writes that the data plane carried out under a granted map, to be committed.

import { narrow } from "../base/units";
import { CommitRing, RingEntry, ringSlots, sessionLayout, type Session } from "./session";

/** `count` pages from `filePage` are written at `devicePage` (count 0: no new ones), and the file reaches at least `end`. */
export interface RingWrite {
  readonly ino: number;
  readonly filePage: number;
  readonly devicePage: number;
  readonly count: number;
  /** bytes */
  readonly end: number;
  readonly timeNs: bigint;
}

export class WriteRing {
  readonly #positions: Int32Array;
  readonly #entries: Buffer;

  constructor(session: Session) {
    this.#positions = new Int32Array(session.buffer, sessionLayout.ring, 2);
    this.#entries = Buffer.from(session.buffer, sessionLayout.ring + CommitRing.offsets.entries, ringSlots * RingEntry.size);
  }

  /** Entries that wait. Asked before each request, so it costs two loads. */
  get pending(): number {
    return (Atomics.load(this.#positions, 0) - Atomics.load(this.#positions, 1)) >>> 0;
  }

  /** The oldest entries, at most `count`; they stay until `drop`. */
  peek(count: number): RingWrite[] {
    const head = Atomics.load(this.#positions, 1) >>> 0;
    return Array.from({ length: Math.min(count, this.pending) }, (_, index) => this.#at(((head + index) >>> 0) % ringSlots));
  }

  drop(count: number): void {
    Atomics.add(this.#positions, 1, count);
  }

  #at(slot: number): RingWrite {
    const at = slot * RingEntry.size;
    const { offsets } = RingEntry;
    const long = (field: "ino" | "device_page" | "end"): number => (
      narrow(this.#entries.readBigUInt64LE(at + offsets[field]), `ring ${field}`)
    );
    return {
      ino: long("ino"), devicePage: long("device_page"), end: long("end"),
      timeNs: this.#entries.readBigUInt64LE(at + offsets.time_ns),
      filePage: this.#entries.readUInt32LE(at + offsets.file_page), count: this.#entries.readUInt32LE(at + offsets.count),
    };
  }
}
