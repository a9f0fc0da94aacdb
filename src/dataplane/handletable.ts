// Open files and pins in the session segment, so that a restarted control plane finds them. The segment is the truth; the
// maps in memory are an index, rebuilt at start.

import { assert } from "../base/assert";
import { FsError } from "../base/errors";
import { narrow } from "../base/units";
import { pinModeOf, pins, type HandleTable, type OpenHandle, type PinMode } from "../activation/handles";
import { HandleSlot, handleSlots, sessionLayout, type Session } from "./session";

/** of a handle through which the kernel swaps */
const swaponBit = 0x8000_0000;
/** of one with FOPEN_DIRECT_IO; no flag of open(2) is as high */
const directBit = 0x4000_0000;

// A slot that outlives the last handle of a pinned inode: its map may still be in the data plane. The kernel's uniques
// never come near it.
const tombstone = 0xffff_ffff_ffff_ffffn;

// A pin of its own takes a slot as if we had the file open: its fh has the bit that no unique of a handle has (the
// kernel's resend bit), `flags` says who holds it: the bits of `pins`. 0, of a control plane before this one: pinned.
const pinFhBit = 1n << 63n;

/** One user may open so many files, and nobody but root the last ones: swapon and swapoff open files too. */
export const userShare = handleSlots / 4;
export const rootReserve = handleSlots / 16;

export class SharedHandleTable implements HandleTable {
  readonly #fhs: BigUint64Array;
  readonly #words: Uint32Array;
  readonly #slotOf = new Map<bigint, number>();
  readonly #slotsOf = new Map<number, Set<number>>();
  readonly #tombstoneOf = new Map<number, number>();
  readonly #pinSlotOf = new Map<number, number>();
  /** How many handles each user has, and each inode with that bit: nothing here looks at every handle of an inode. */
  readonly #heldBy = new Map<number, number>();
  readonly #swapons = new Map<number, number>();
  readonly #directs = new Map<number, number>();
  readonly #free: number[] = [];

  constructor(session: Session) {
    this.#fhs = new BigUint64Array(session.buffer, sessionLayout.handles, handleSlots * 4);
    this.#words = new Uint32Array(session.buffer, sessionLayout.handles, handleSlots * 8);
    for (let slot = handleSlots - 1; slot >= 0; slot -= 1) this.#index(slot);
  }

  get size(): number {
    return this.#slotOf.size;
  }

  open(handle: OpenHandle): void {
    assert(handle.fh !== 0n && handle.fh !== tombstone, "a handle's fh is the unique of a request");
    const held = this.#slotOf.get(handle.fh);
    if (held !== undefined) return this.#answeredAnew(held, handle);
    const { uid = 0 } = handle;
    if ((this.#heldBy.get(uid) ?? 0) >= userShare) throw new FsError("ENFILE", `cannot open ino ${handle.ino}: uid ${uid} has ${userShare} files open`);
    const slot = this.#free.length > (uid === 0 ? 0 : rootReserve) ? this.#free.pop() : undefined;
    if (slot === undefined) throw new FsError("ENFILE", `cannot open ino ${handle.ino}: ${handleSlots} files are open`);
    this.#write(slot, handle);
    this.#add(slot, handle);
  }

  close(fh: bigint): OpenHandle | undefined {
    const slot = this.#slotOf.get(fh);
    if (slot === undefined) return undefined;
    const handle = this.#read(slot);
    const slots = this.#slotsOf.get(handle.ino)!;
    this.#slotOf.delete(fh);
    this.#count(handle, -1);
    slots.delete(slot);
    if (slots.size === 0) this.#slotsOf.delete(handle.ino);
    if (handle.swapon === true && !this.isPinned(handle.ino)) this.#bury(slot, handle.ino);
    else this.#clear(slot);
    return handle;
  }

  get(fh: bigint): OpenHandle | undefined {
    const slot = this.#slotOf.get(fh);
    return slot === undefined ? undefined : this.#read(slot);
  }

  openCount(ino: number): number {
    return this.#slotsOf.get(ino)?.size ?? 0;
  }

  of(ino: number): OpenHandle[] {
    return Array.from(this.#slotsOf.get(ino) ?? [], (slot) => this.#read(slot));
  }

  /** Every inode that is open. */
  openInodes(): number[] {
    return [...this.#slotsOf.keys()];
  }

  setSwapon(fh: bigint): void {
    const slot = this.#slotOf.get(fh);
    assert(slot !== undefined, "only an open file is swapped on: the pin ends with the release");
    if ((Atomics.or(this.#words, slot * 8 + 4, swaponBit) & swaponBit) === 0) count(this.#swapons, this.#read(slot).ino, 1);
  }

  setPins(ino: number, held: number): void {
    const found = this.#pinSlotOf.get(ino);
    if (held === 0) return void (found !== undefined && this.#endPin(found, ino));
    if (found !== undefined) return void Atomics.store(this.#words, found * 8 + 4, held);
    const slot = this.#free.pop();
    if (slot === undefined) throw new FsError("ENFILE", `cannot pin ino ${ino}: ${handleSlots} files are open`);
    this.#write(slot, { fh: pinFhBit | BigInt(ino), ino, flags: held, pid: 0 });
    this.#pinSlotOf.set(ino, slot);
  }

  pins(ino: number): number {
    const slot = this.#pinSlotOf.get(ino);
    return slot === undefined ? 0 : this.#words[slot * 8 + 4]! || pins.pinned;
  }

  pinMode(ino: number): PinMode | undefined {
    return pinModeOf(this.pins(ino));
  }

  isSwapon(ino: number): boolean {
    return this.#swapons.has(ino);
  }

  /** Somebody has `ino` open with FOPEN_DIRECT_IO. */
  isDirect(ino: number): boolean {
    return this.#directs.has(ino);
  }

  isPinned(ino: number): boolean {
    return this.#pinSlotOf.has(ino) || this.isSwapon(ino);
  }

  pinned(): number[] {
    const bySwap = [...this.#swapons.keys()].filter((ino) => !this.#pinSlotOf.has(ino));
    return [...this.#pinSlotOf.keys(), ...bySwap];
  }

  /** Inodes whose pin ended while their map may still lie in the data plane: to be revoked. */
  formerlyPinned(): number[] {
    return [...this.#tombstoneOf.keys()];
  }

  /** The data plane has forgotten the map of `ino`. */
  forgetFormerPin(ino: number): void {
    const slot = this.#tombstoneOf.get(ino);
    if (slot === undefined) return;
    this.#tombstoneOf.delete(ino);
    this.#clear(slot);
  }

  #index(slot: number): void {
    const fh = Atomics.load(this.#fhs, slot * 4);
    if (fh === 0n) return void this.#free.push(slot);
    const handle = this.#read(slot);
    if (fh === tombstone) return void this.#tombstoneOf.set(handle.ino, slot);
    if ((fh & pinFhBit) !== 0n) return void this.#pinSlotOf.set(handle.ino, slot);
    this.#add(slot, handle);
  }

  #add(slot: number, handle: OpenHandle): void {
    const { fh, ino } = handle;
    this.#slotOf.set(fh, slot);
    const slots = this.#slotsOf.get(ino);
    if (slots) slots.add(slot);
    else this.#slotsOf.set(ino, new Set([slot]));
    this.#count(handle, 1);
  }

  // A resent OPEN: only its last answer reaches the kernel, and the file's mode may be another one than at the first.
  #answeredAnew(slot: number, { direct = false }: OpenHandle): void {
    const old = this.#read(slot);
    this.#count(old, -1);
    this.#write(slot, { ...old, direct });
    this.#count({ ...old, direct }, 1);
  }

  #count({ ino, uid = 0, swapon, direct }: OpenHandle, change: number): void {
    if (uid !== 0) count(this.#heldBy, uid, change);
    if (swapon === true) count(this.#swapons, ino, change);
    if (direct === true) count(this.#directs, ino, change);
  }

  #read(slot: number): OpenHandle {
    return {
      fh: this.#fhs[slot * 4]!,
      ino: narrow(this.#fhs[slot * 4 + 1]!, "handle ino"),
      flags: this.#words[slot * 8 + 4]! & ~(swaponBit | directBit),
      pid: this.#words[slot * 8 + 5]!,
      ...(this.#words[slot * 8 + 6] !== 0 && { uid: this.#words[slot * 8 + 6]! }),
      ...((this.#words[slot * 8 + 4]! & swaponBit) !== 0 && { swapon: true }),
      ...((this.#words[slot * 8 + 4]! & directBit) !== 0 && { direct: true }),
    };
  }

  #write(slot: number, handle: OpenHandle): void {
    this.#fhs[slot * 4 + 1] = BigInt(handle.ino);
    const bits = (handle.swapon === true ? swaponBit : 0) | (handle.direct === true ? directBit : 0);
    this.#words[slot * 8 + 4] = ((handle.flags & ~(swaponBit | directBit)) | bits) >>> 0;
    this.#words[slot * 8 + 5] = handle.pid;
    this.#words[slot * 8 + 6] = handle.uid ?? 0;
    Atomics.store(this.#fhs, slot * 4, handle.fh); // last: a slot is whole or absent
  }

  #endPin(slot: number, ino: number): void {
    this.#pinSlotOf.delete(ino);
    if (this.isSwapon(ino)) this.#clear(slot);
    else this.#bury(slot, ino);
  }

  // One for each inode is enough.
  #bury(slot: number, ino: number): void {
    if (this.#tombstoneOf.has(ino)) return this.#clear(slot);
    Atomics.store(this.#fhs, slot * 4, tombstone);
    this.#tombstoneOf.set(ino, slot);
  }

  #clear(slot: number): void {
    Atomics.store(this.#fhs, slot * 4, 0n);
    this.#free.push(slot);
  }
}

function count(counts: Map<number, number>, key: number, change: number): void {
  const now = (counts.get(key) ?? 0) + change;
  if (now === 0) counts.delete(key);
  else counts.set(key, now);
}

assert(HandleSlot.size === 32, "a handle slot is four u64");
