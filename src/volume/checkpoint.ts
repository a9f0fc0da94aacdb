// A checkpoint: the whole state as items, behind a header block. Written to the side that is older, so that the newer
// one and its journal half stay what they are until this one is complete.

import { assert } from "../base/assert";
import { crc32c } from "../base/crc32c";
import { pageSize } from "../base/units";
import type { BlockDevice, Step } from "./blockdevice";
import { decodeItems, encodeItem, itemBytes, requestBytes, type Item } from "./codec";
import type { Extent } from "./changes";
import { checkpointMagic, checkpoint_disk, decoded, formatVersion } from "./format";
import type { InodeRecord } from "./inode";
import type { JournalCursor } from "./journal";
import { apply, extentsPerItem, recentRequestsMax, VolumeState } from "./state";
import { sideName, type Geometry, type Side } from "./superblock";

const windowBytes = 256 * 1024;

/** How the volume was left: checkpointClean and checkpointUndiscarded. 0 while it is mounted. */
export type CheckpointFlags = number;

export interface CheckpointHead {
  readonly side: Side;
  readonly flags: CheckpointFlags;
  readonly sequence: number;
  readonly nextIno: number;
  readonly previous: number;
  readonly payloadBytes: number;
  readonly payloadCrc32c: number;
}

export function checkpointCapacity(geometry: Geometry): number {
  return (geometry.checkpointBlocks - 1) * pageSize;
}

/**
 * Writes `state` to side `side`. One flush makes it durable, and the journal that leads here as well, so that it can
 * stand in for this checkpoint when that is damaged later. The bytes of a step are reused by the next one.
 */
export function* checkpointSteps(
  geometry: Geometry, state: VolumeState, side: Side, last: JournalCursor, flags: CheckpointFlags,
): Iterable<Step> {
  const start = geometry.checkpoint[side] * pageSize;
  let at = start + pageSize;
  let window: Buffer = Buffer.allocUnsafe(windowBytes);
  let used = 0;
  let crc = geometry.seed;
  for (const item of itemsOf(state)) {
    const bytes = itemBytes(item);
    if (used + bytes > window.length) {
      const whole = used - (used % pageSize);
      crc = crc32c(window.subarray(0, whole), crc);
      yield { kind: "write", offset: at, bytes: window.subarray(0, whole) };
      at += whole;
      const rest = window.subarray(whole, used);
      used -= whole;
      if (used + bytes > window.length) window = Buffer.concat([rest], roundUpToPage(used + bytes));
      else window.copyWithin(0, whole, whole + used);
    }
    used = encodeItem(window, used, item);
  }
  crc = crc32c(window.subarray(0, used), crc);
  const payloadBytes = at - start - pageSize + used;
  assert(payloadBytes <= checkpointCapacity(geometry), "a checkpoint fits its area");
  if (used > 0) yield { kind: "write", offset: at, bytes: window.fill(0, used, roundUpToPage(used)).subarray(0, roundUpToPage(used)) };
  const head = { side, flags, sequence: last.sequence, nextIno: state.nextIno, previous: last.previous, payloadBytes, payloadCrc32c: crc };
  yield { kind: "write", offset: start, bytes: encodeHead(head, geometry.seed) };
  yield { kind: "flush" };
}

/** What a checkpoint of `state` takes at most, counted item by item. */
export function checkpointBytesOf(state: VolumeState): number {
  let bytes = recentRequestsMax * requestBytes;
  for (const item of itemsOf(state)) if (item.kind !== "request") bytes += itemBytes(item);
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
  const { flags, sequence, nextIno, previous, payloadBytes, payloadCrc32c } = head;
  return { side, flags, sequence, nextIno, previous, payloadBytes, payloadCrc32c };
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

function* itemsOf(state: VolumeState): Iterable<Item> {
  for (const inode of state.inodes.values()) {
    yield { kind: "put-inode", ino: inode.ino, attributes: inode, target: inode.target, parent: inode.parent };
    yield* extentItems(inode);
    for (const [name, value] of inode.xattrs) yield { kind: "put-xattr", ino: inode.ino, name, value };
  }
  for (const { ino: parent, entries } of state.inodes.values()) {
    if (entries === undefined) continue;
    for (const [name, { ino, type }] of entries) yield { kind: "put-entry", parent, name, ino, type };
  }
  for (const request of state.requests()) yield { kind: "request", request };
}

function* extentItems(inode: InodeRecord): Iterable<Item> {
  let batch: Extent[] = [];
  for (const extent of inode.extents) {
    if (batch.push(extent) < extentsPerItem) continue;
    yield extentsItem(inode.ino, batch);
    batch = [];
  }
  if (batch.length > 0) yield extentsItem(inode.ino, batch);
}

function extentsItem(ino: number, extents: Extent[]): Item {
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
  checkpoint_disk.encodeInto(block, 0, {
    magic: checkpointMagic, crc32c: 0, version: formatVersion, side: head.side, flags: head.flags,
    sequence: head.sequence, nextIno: head.nextIno, payloadBytes: head.payloadBytes,
    payloadCrc32c: head.payloadCrc32c, previous: head.previous,
  });
  block.writeUInt32LE(crc32c(block, seed), checkpoint_disk.offsets.crc32c);
  return block;
}
