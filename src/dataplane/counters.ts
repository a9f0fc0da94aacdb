// What the data plane counts and notes in the session segment, read without asking it.

import { narrow } from "../base/units";
import { opcodeSlots, SessionCounters, sessionLayout, touchSlots } from "./session";
import type { Session } from "./session";

type CounterName = Exclude<keyof typeof SessionCounters.offsets, "requests">;

export interface Counters {
  /** requests read from /dev/fuse, by opcode; index 63: every larger one */
  readonly requests: readonly number[];
  readonly totals: Readonly<Record<CounterName, number>>;
}

const names = Object.keys(SessionCounters.offsets).filter((name) => name !== "requests") as CounterName[];

export function readCounters(session: Session): Counters {
  const words = new BigUint64Array(session.buffer, sessionLayout.counters, SessionCounters.size / 8);
  const at = (index: number): number => Number(Atomics.load(words, index));
  const totals = Object.fromEntries(names.map((name) => [name, at(SessionCounters.offsets[name] / 8)]));
  return {
    requests: Array.from({ length: opcodeSlots }, (_, opcode) => at(opcode)),
    totals: totals as Record<CounterName, number>,
  };
}

export interface TouchedTime {
  readonly ino: number;
  readonly timeNs: bigint;
}

/** Modification times of writes that the data plane did alone. */
export class TouchedTimes {
  readonly #slots: BigInt64Array;
  readonly #halves: Int32Array;

  constructor(session: Session) {
    this.#slots = new BigInt64Array(session.buffer, sessionLayout.touched, touchSlots * 2);
    this.#halves = new Int32Array(session.buffer, sessionLayout.touched, touchSlots * 4);
  }

  /** Takes every time that is there; the data plane may claim a slot again from then on. */
  take(): TouchedTime[] {
    const taken: TouchedTime[] = [];
    for (let slot = 0; slot < touchSlots; slot += 1) {
      // Halves first: this runs at each GETATTR, and a bigint for each empty slot would be garbage.
      if (this.#halves[slot * 4 + 2] === 0 && this.#halves[slot * 4 + 3] === 0) continue;
      const ino = Atomics.load(this.#slots, slot * 2);
      const timeNs = Atomics.exchange(this.#slots, slot * 2 + 1, 0n);
      if (timeNs !== 0n) taken.push({ ino: narrow(ino, "touched ino"), timeNs });
    }
    return taken;
  }
}
