// What the data plane counts and notes in the session segment, read without asking it.

import { narrow } from "../base/units";
import { bucketOf, latencyOf, type Latency } from "./latency";
import {
  counterShards, CounterShard, latencyBuckets, latencyClasses, opcodeSlots, SessionCounters, sessionLayout, touchSlots, type LatencyClass,
  type Session,
} from "./session";

type SharedName = keyof typeof SessionCounters.offsets;
/** What is in a shard beside single numbers. */
const rows = ["requests", "reserved", "latency"] as const;
type ShardName = Exclude<keyof typeof CounterShard.offsets, (typeof rows)[number]>;

const sharedNames = Object.keys(SessionCounters.offsets) as SharedName[];
const shardNames = Object.keys(CounterShard.offsets).filter((name) => !(rows as readonly string[]).includes(name)) as ShardName[];

export function readCounters(session: Session) {
  const shared = new BigUint64Array(session.buffer, sessionLayout.counters, SessionCounters.size / 8);
  const shards = Array.from({ length: counterShards }, (_, index) => shardWords(session, index));
  const sum = (word: number): number => shards.reduce((total, words) => total + Number(Atomics.load(words, word)), 0);
  const row = (offset: number, length: number): number[] => Array.from({ length }, (_, index) => sum(offset / 8 + index));
  const latency = latencyClasses.map((name, index) => {
    const offset = CounterShard.offsets.latency + index * latencyBuckets * 8;
    return [name, latencyOf(row(offset, latencyBuckets))] as const;
  });
  return {
    /** read from /dev/fuse, by opcode; index 63: every larger one */
    requests: row(CounterShard.offsets.requests, opcodeSlots),
    totals: Object.fromEntries([
      ...sharedNames.map((name) => [name, Number(Atomics.load(shared, SessionCounters.offsets[name] / 8))] as const),
      ...shardNames.map((name) => [name, sum(CounterShard.offsets[name] / 8)] as const),
    ]) as Record<SharedName | ShardName, number>,
    latency: Object.fromEntries(latency) as Record<LatencyClass, Latency>,
  };
}

function shardWords(session: Session, shard: number): BigUint64Array {
  return new BigUint64Array(session.buffer, sessionLayout.shards + shard * CounterShard.size, CounterShard.size / 8);
}

/** Counts, in the control plane's own shard, how long it took over a request that was relayed to it. */
export function relayedLatency(session: Session): (ns: number) => void {
  const words = shardWords(session, counterShards - 1);
  const row = CounterShard.offsets.latency / 8 + latencyClasses.indexOf("relayed") * latencyBuckets;
  return (ns) => void Atomics.add(words, row + bucketOf(ns), 1n);
}

export interface TouchedTime {
  readonly ino: number;
  readonly timeNs: bigint;
}

/** Takes the modification times of writes that the data plane did alone, all that are there; it may claim their slots again then. */
export function touchedTimes(session: Session): () => TouchedTime[] {
  const slots = new BigInt64Array(session.buffer, sessionLayout.touched, touchSlots * 2);
  const halves = new Int32Array(session.buffer, sessionLayout.touched, touchSlots * 4);
  return () => {
    const taken: TouchedTime[] = [];
    for (let slot = 0; slot < touchSlots; slot += 1) {
      // Halves first: this runs at each GETATTR, and a bigint for each empty slot would be garbage.
      if (halves[slot * 4 + 2] === 0 && halves[slot * 4 + 3] === 0) continue;
      const ino = Atomics.load(slots, slot * 2);
      const timeNs = Atomics.exchange(slots, slot * 2 + 1, 0n);
      if (timeNs !== 0n) taken.push({ ino: narrow(ino, "touched ino"), timeNs });
    }
    return taken;
  };
}
