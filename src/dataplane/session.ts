// The session segment of native/abi/session.h: a memfd that outlives either plane. Here: its layout and the header.

import { assert } from "../base/assert";
import { bytes, Struct, u32, u64 } from "../base/struct";

export const sessionMagic = 0x3153535346505753n; // "SWPFSSS1"
export const sessionVersion = 5;
export const opcodeSlots = 64;
export const touchSlots = 512;
export const ringSlots = 4096;
export const attributeSlots = 64;
export const nameBits = 2 ** 20;
export const handleSlots = 32768;
export const counterShards = 16;
export const latencyBuckets = 40;

export const SessionHeader = new Struct("SessionHeader", {
  magic: u64, version: u32, header_bytes: u32, session: u64,
  keeper_pid: u32, data_pid: u32, control_pid: u32, data_generation: u32, control_generation: u32, control_up: u32,
  destroyed: u32, io_flusher: u32, memory_locked: u32, oom_protected: u32, locked_bytes: u64,
});

export const SessionCounters = new Struct("SessionCounters", {
  resent: u64, relayed: u64, deferred: u64, resends: u64, parked: u64, errors: u64, device_errors: u64, allocations: u64,
  maps: u64, extents: u64, evicted: u64, in_flight: u64, in_flight_max: u64,
});

/** enum LatencyClass, in its order */
export const latencyClasses = ["read", "write", "bmap", "relayed"] as const;
export type LatencyClass = (typeof latencyClasses)[number];

export const CounterShard = new Struct("CounterShard", {
  requests: bytes(opcodeSlots * 8, 8),
  mapped: u64, bmap_hits: u64, read_bytes: u64, written_bytes: u64,
  ordinary_pages_in: u64, ordinary_pages_out: u64, swap_rw_pages_in: u64, swap_rw_pages_out: u64,
  parked_pages_in: u64, parked_pages_out: u64, merged: u64, transfers: u64, polls: u64, poll_hits: u64,
  awake_began: u64, awake_ended: u64, partner_pieces: u64, reserved: bytes(56, 8),
  latency: bytes(latencyClasses.length * latencyBuckets * 8, 8),
});

export const TouchSlot = new Struct("TouchSlot", { ino: u64, time_ns: u64 });
export const RingEntry = new Struct("RingEntry", {
  ino: u64, device_page: u64, end: u64, time_ns: u64, file_page: u32, count: u32,
});
export const CommitRing = new Struct("CommitRing", {
  tail: u32, head: u32, padding: bytes(56, 4), entries: bytes(ringSlots * RingEntry.size, 8),
});
export const AttributeSlot = new Struct("AttributeSlot", {
  sequence: u32, padding: u32, ino: u64, attr_out: bytes(104, 8), reserved: u64,
});
export const DirectoryNotes = new Struct("DirectoryNotes", {
  ready: u32, no_capabilities: u32, padding: bytes(56, 4), attributes: bytes(attributeSlots * AttributeSlot.size, 8),
  names: bytes(nameBits / 8, 1),
});
export const HandleSlot = new Struct("HandleSlot", { fh: u64, ino: u64, flags: u32, pid: u32, uid: u32, padding: u32 });

// A shard lies on cache lines of its own.
const cacheLine = 64;
const shards = Math.ceil((SessionHeader.size + SessionCounters.size) / cacheLine) * cacheLine;
const touched = shards + counterShards * CounterShard.size;
const ring = touched + touchSlots * TouchSlot.size;
const directories = ring + CommitRing.size;
const handles = directories + DirectoryNotes.size;

/** struct Session */
export const sessionLayout = {
  counters: SessionHeader.size, shards, touched, ring, directories, handles,
  size: handles + handleSlots * HandleSlot.size,
} as const;

/** The mapped segment. What both planes write at different times is read anew at each access. */
export class Session {
  readonly buffer: ArrayBuffer;
  readonly #header: Buffer;

  /** `buffer`: the whole segment, mapped shared (or zeros with a header, in tests). Throws when it is not a session. */
  constructor(buffer: ArrayBuffer) {
    assert(buffer.byteLength >= sessionLayout.size, "the session segment is as long as its struct");
    this.buffer = buffer;
    this.#header = Buffer.from(buffer, 0, SessionHeader.size);
    const { magic, version, header_bytes } = this.header();
    assert(magic === sessionMagic && version === sessionVersion, "the session segment carries its magic and version");
    assert(header_bytes === SessionHeader.size, "keeper and control plane were built from the same headers");
  }

  header() {
    return SessionHeader.decode(this.#header);
  }
}

/** A segment in this process alone: of the fuse-native engine, which has no keeper, and of tests. */
export function makeSession(id = 1n): Session {
  const buffer = new ArrayBuffer(sessionLayout.size);
  SessionHeader.encodeInto(Buffer.from(buffer), 0, {
    magic: sessionMagic, version: sessionVersion, header_bytes: SessionHeader.size, session: id,
    keeper_pid: 0, data_pid: 0, control_pid: 0, data_generation: 1, control_generation: 1, control_up: 0,
    destroyed: 0, io_flusher: 0, memory_locked: 0, oom_protected: 0, locked_bytes: 0n,
  });
  return new Session(buffer);
}
