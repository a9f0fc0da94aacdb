// A checkpoint: the whole state as items, behind a header block. Written to the side that is older, so that the newer
// one and its journal half stay what they are until this one is complete.

import { assert } from "../base/assert";
import { crc32c } from "../base/crc32c";
import type { ValuesOf } from "../base/struct";
import { pageSize } from "../base/units";
import type { BlockDevice, Step } from "./blockdevice";
import { decodeItems, encodeItem, itemBytes, requestBytes, type Item } from "./codec";
import type { Change, Extent } from "./changes";
import { endOf } from "./extents";
import { checkpointMagic, checkpoint_disk, decoded, formatVersion } from "./format";
import type { InodeRecord, ReadonlyExtentMap } from "./inode";
import type { JournalCursor } from "./journal";
import { zerosBehind } from "./signatures";
import { apply, extentsPerItem, recentRequestsMax, VolumeState } from "./state";
import { sideName, type Geometry, type Side } from "./superblock";

const windowBytes = 256 * 1024;
/** Written at once; the window has room for most items behind it. */
const pieceBytes = 192 * 1024;

/** How the volume was left: checkpointClean and checkpointUndiscarded. 0 while it is mounted. */
export type CheckpointFlags = number;

/** What its header says beside what every header does. */
export type CheckpointHead = Readonly<Omit<ValuesOf<typeof checkpoint_disk>, "magic" | "crc32c" | "version" | "side">> & { readonly side: Side };

export function checkpointCapacity(geometry: Geometry): number {
  return (geometry.checkpointBlocks - 1) * pageSize;
}

/**
 * The payload of a checkpoint of `state`, in pieces between which `state` may change: a change of what has been encoded already is
 * encoded as well (`note`), behind it, so that the items, applied in their order, make the state as it is at the `end`. What has
 * not been encoded yet will be as it is then. The bytes of a step are reused by the next one.
 */
export class CheckpointStream {
  /** Bytes of items that were encoded for themselves, not for a change of them. */
  emitted = 0;
  /** Nothing is left but changes. */
  isEncoded = false;
  readonly #geometry: Geometry;
  readonly #state: VolumeState;
  readonly #side: Side;
  readonly #items: Iterator<Item>;
  readonly #begun = new Begun();
  #window: Buffer = Buffer.allocUnsafe(windowBytes);
  #used = 0;
  /** Where the window goes on the device. */
  #at: number;
  #crc: number;
  #head: CheckpointHead | undefined;

  constructor(geometry: Geometry, state: VolumeState, side: Side) {
    this.#geometry = geometry;
    this.#state = state;
    this.#side = side;
    this.#items = itemsOf(state, this.#begun);
    this.#at = this.#payloadAt;
    this.#crc = geometry.seed;
  }

  /** The header of the checkpoint that was there before goes: its payload is written over. */
  get wiped(): Step {
    return { kind: "write", offset: this.#payloadAt - pageSize, bytes: Buffer.alloc(pageSize) };
  }

  /** Items of `bytes` bytes, with the last one a little more, or all that are left. */
  *encode(bytes: number): Iterable<Step> {
    for (const until = this.emitted + bytes; this.emitted < until && !this.isEncoded; ) {
      const next = this.#items.next();
      if (next.done === true) this.isEncoded = true;
      else this.emitted += this.#put(next.value);
      if (this.#used < pieceBytes) continue;
      const whole = this.#used - (this.#used % pageSize);
      yield this.#write(whole);
      this.#window.copyWithin(0, whole, this.#used);
      this.#used -= whole;
    }
  }

  /** Before `change` is applied to the state. */
  note(change: Change): void {
    if (this.#concerns(change)) this.#put(change);
  }

  /** The rest of the payload. `last`: the last record whose changes were applied to the state. */
  *end(last: JournalCursor, flags: CheckpointFlags): Iterable<Step> {
    for (const request of this.#state.requests()) this.#put({ kind: "request", request });
    const payloadBytes = this.#at - this.#payloadAt + this.#used;
    assert(payloadBytes <= checkpointCapacity(this.#geometry), "a checkpoint fits its area");
    if (this.#used > 0) yield this.#write(this.#used);
    yield* zerosBehind(this.#at, (this.#geometry.checkpoint[this.#side] + this.#geometry.checkpointBlocks) * pageSize);
    const { sequence, previous } = last;
    this.#head = { side: this.#side, flags, sequence, nextIno: this.#state.nextIno, previous, payloadBytes, payloadCrc32c: this.#crc };
  }

  /** After the end. Durable, it makes the payload count, which is durable with it or before. */
  get head(): Step {
    return { kind: "write", offset: this.#payloadAt - pageSize, bytes: encodeHead(this.#ended, this.#geometry.seed) };
  }

  /** Of the last record that it contains; after the end. */
  get sequence(): number {
    return this.#ended.sequence;
  }

  get #ended(): CheckpointHead {
    assert(this.#head !== undefined, "a checkpoint has a header when its payload is complete");
    return this.#head;
  }

  get #payloadAt(): number {
    return (this.#geometry.checkpoint[this.#side] + 1) * pageSize;
  }

  /** What it changes has been encoded. Of the inode that is half encoded, names that have not been are still to come. */
  #concerns(change: Change): boolean {
    const { inodes, directories, current, names } = this.#begun;
    const isEntry = change.kind === "put-entry" || change.kind === "drop-entry";
    const owner = isEntry ? change.parent : change.ino;
    const isBegun = isEntry ? this.isEncoded || directories?.has(owner) : directories !== undefined || inodes.has(owner);
    if (isBegun !== true || current !== owner || isEntry !== (directories !== undefined) || !("name" in change)) return isBegun === true;
    return change.kind.startsWith("drop-") ? names.delete(change.name) : names.has(change.name);
  }

  #put(item: Item): number {
    const bytes = itemBytes(item);
    if (this.#used + bytes > this.#window.length) {
      this.#window = Buffer.concat([this.#window.subarray(0, this.#used)], roundUpToPage(2 * (this.#used + bytes)));
    }
    this.#used = encodeItem(this.#window, this.#used, item);
    return bytes;
  }

  /** The first `bytes` bytes of the window, and zeros to the end of their last page. */
  #write(bytes: number): Step {
    const [offset, whole] = [this.#at, roundUpToPage(bytes)];
    this.#crc = crc32c(this.#window.subarray(0, bytes), this.#crc);
    this.#at += whole;
    return { kind: "write", offset, bytes: this.#window.fill(0, bytes, whole).subarray(0, whole) };
  }
}

/** A whole checkpoint at once. One flush makes it durable, and the journal that leads here as well, so that it can stand in for it. */
export function* checkpointSteps(
  geometry: Geometry, state: VolumeState, side: Side, last: JournalCursor, flags: CheckpointFlags,
): Iterable<Step> {
  const stream = new CheckpointStream(geometry, state, side);
  yield* stream.encode(Infinity);
  yield* stream.end(last, flags);
  yield stream.head;
  yield { kind: "flush" };
}

/** What a checkpoint of `state` takes at most, counted item by item. */
export function checkpointBytesOf(state: VolumeState): number {
  let bytes = recentRequestsMax * requestBytes;
  for (const item of itemsOf(state, new Begun())) bytes += itemBytes(item);
  return bytes;
}

/** The header of side `side`, undefined when it is damaged or was never completed. */
export function readCheckpointHead(device: BlockDevice, geometry: Geometry, side: Side): CheckpointHead | undefined {
  const block = device.read(geometry.checkpoint[side] * pageSize, pageSize);
  const stored = block.readUInt32LE(checkpoint_disk.offsets.crc32c);
  block.writeUInt32LE(0, checkpoint_disk.offsets.crc32c);
  if (block.readUInt32LE(0) !== checkpointMagic || crc32c(block, geometry.seed) !== stored) return undefined;
  const head = decoded(() => checkpoint_disk.decode(block));
  if (head === undefined || head.version !== formatVersion || head.side !== side || head.payloadBytes > checkpointCapacity(geometry)) return undefined;
  return { ...head, side };
}

/** True when the payload is what was written. Reads it through a small buffer. */
export function payloadIsGood(device: BlockDevice, geometry: Geometry, head: CheckpointHead): boolean {
  let crc = geometry.seed;
  const start = (geometry.checkpoint[head.side] + 1) * pageSize;
  for (let at = 0; at < head.payloadBytes; at += windowBytes) {
    crc = crc32c(device.read(start + at, Math.min(windowBytes, head.payloadBytes - at)), crc);
  }
  return crc === head.payloadCrc32c;
}

/** The state that the checkpoint holds; its payload has been checked. */
export function loadCheckpoint(device: BlockDevice, geometry: Geometry, head: CheckpointHead): VolumeState {
  const payload = device.read((geometry.checkpoint[head.side] + 1) * pageSize, head.payloadBytes);
  assert(crc32c(payload, geometry.seed) === head.payloadCrc32c, `checkpoint ${sideName(head.side)} was checked before`);
  const state = new VolumeState();
  for (const item of decodeItems(payload, 0, payload.length)) apply(state, item);
  state.nextIno = head.nextIno;
  return state;
}

/** How far `itemsOf` has come. */
class Begun {
  readonly inodes = new Set<number>();
  /** Whose entries have been begun; undefined: nobody's, inodes are still to come. */
  directories: Set<number> | undefined;
  /** The one that may be half done, and its names that have been: of xattrs, then of entries. */
  current: number | undefined;
  names = new Set<string>();
}

/** All items but requests. Whatever changes between two of them, the maps' iterators go on in what they have not come to. */
function* itemsOf(state: VolumeState, begun: Begun): IterableIterator<Item> {
  for (const inode of state.inodes.values()) {
    begun.inodes.add((begun.current = inode.ino));
    for (const item of inodeItems(inode)) {
      if (state.inodes.get(inode.ino) !== inode) break; // dropped meanwhile
      if (item.kind === "put-xattr") begun.names.add(item.name);
      yield item;
    }
    begun.names.clear();
  }
  begun.directories = new Set();
  for (const { ino: parent, entries } of state.inodes.values()) {
    if (entries === undefined) continue;
    begun.directories.add((begun.current = parent));
    for (const [name, { ino, type }] of entries) {
      begun.names.add(name);
      yield { kind: "put-entry", parent, name, ino, type };
    }
    begun.names.clear();
  }
  begun.current = undefined;
}

function* inodeItems(inode: InodeRecord): IterableIterator<Item & { kind: "put-inode" | "set-extents" | "put-xattr" }> {
  const { ino, extents } = inode;
  yield { kind: "put-inode", ino, attributes: inode, target: inode.target, parent: inode.parent };
  for (let batch = batchFrom(extents, 0); batch.length > 0; batch = batchFrom(extents, endOf(batch.at(-1)!))) yield extentsItem(ino, batch);
  for (const [name, value] of inode.xattrs) yield { kind: "put-xattr", ino, name, value };
}

function batchFrom(extents: ReadonlyExtentMap, filePage: number): Extent[] {
  const batch: Extent[] = [];
  for (const extent of extents.range(filePage, Infinity)) if (batch.push(extent) === extentsPerItem) break;
  return batch;
}

function extentsItem(ino: number, extents: Extent[]): Extract<Item, { kind: "set-extents" }> {
  const filePage = extents[0]!.filePage;
  const last = extents.at(-1)!;
  return { kind: "set-extents", ino, filePage, count: last.filePage + last.count - filePage, extents };
}

/** All writes are whole pages, so that the page cache need not read any. */
function roundUpToPage(bytes: number): number {
  return Math.ceil(bytes / pageSize) * pageSize;
}

function encodeHead(head: CheckpointHead, seed: number): Buffer {
  const block = Buffer.alloc(pageSize);
  checkpoint_disk.encodeInto(block, 0, { ...head, magic: checkpointMagic, crc32c: 0, version: formatVersion });
  block.writeUInt32LE(crc32c(block, seed), checkpoint_disk.offsets.crc32c);
  return block;
}
