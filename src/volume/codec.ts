// Changes as bytes: items of a journal record or of a checkpoint (docs/format.md). The caller has checked the CRC.

import { assert, assertNever } from "../base/assert";
import type { Attributes, Change, Extent, RequestId, Time } from "./changes";
import {
  entry_disk, extentStates, extent_disk, extents_disk, inode_disk, itemKind, item_disk, i53,
  request_disk, roundUp8, u53, xattr_disk,
} from "./format";

/** An item of a checkpoint: a change, or a request that was carried out. */
export type Item = Change | { readonly kind: "request"; readonly request: RequestId };

/** Bytes that `item` takes, a multiple of 8. */
export function itemBytes(item: Item): number {
  switch (item.kind) {
    case "put-inode": return inodeBytes(item.target?.length ?? 0);
    case "drop-inode": return item_disk.size;
    case "put-entry": return entryBytes(item.name.length);
    case "drop-entry": return item_disk.size + entry_disk.size + roundUp8(item.name.length);
    case "set-extents": return item_disk.size + extents_disk.size + item.extents.length * extent_disk.size;
    case "put-xattr": return xattrBytes(item.name.length, item.value.length);
    case "drop-xattr": return xattrBytes(item.name.length, 0);
    case "request": return requestBytes;
    default: return assertNever(item);
  }
}

export function inodeBytes(targetBytes: number): number {
  return item_disk.size + inode_disk.size + roundUp8(targetBytes);
}

export function entryBytes(nameBytes: number): number {
  return item_disk.size + entry_disk.size + roundUp8(nameBytes);
}

export function xattrBytes(nameBytes: number, valueBytes: number): number {
  return item_disk.size + xattr_disk.size + roundUp8(nameBytes + valueBytes);
}

export const requestBytes = item_disk.size + request_disk.size;

/** Writes `item` at `at` and returns where the next one begins. */
export function encodeItem(into: Buffer, at: number, item: Item): number {
  const end = at + itemBytes(item);
  const body = at + item_disk.size;
  switch (item.kind) {
    case "put-inode": encodeInode(into, body, item.attributes, item.parent ?? 0, item.target ?? ""); break;
    case "drop-inode": break;
    case "put-entry": encodeEntry(into, body, end, item.name, item.ino, item.type); break;
    case "drop-entry": encodeEntry(into, body, end, item.name, 0, 0); break;
    case "set-extents": encodeExtents(into, body, item.filePage, item.count, item.extents); break;
    case "put-xattr": encodeXattr(into, body, end, item.name, item.value); break;
    case "drop-xattr": encodeXattr(into, body, end, item.name, undefined); break;
    case "request": request_disk.encodeInto(into, body, item.request); break;
    default: assertNever(item);
  }
  const { offsets } = item_disk;
  into.writeUInt32LE(itemKind[item.kind], at + offsets.kind); // and `reserved`
  into.writeUInt32LE(end - at, at + offsets.bytes);
  u53.write(into, at + offsets.ino, inoOf(item));
  return end;
}

/** The items in bytes [at, end) of `from`. */
export function* decodeItems(from: Buffer, at: number, end: number): Iterable<Item> {
  const { offsets } = item_disk;
  while (at < end) {
    const bytes = at + item_disk.size <= end ? from.readUInt32LE(at + offsets.bytes) : 0;
    assert(bytes >= item_disk.size && at + bytes <= end, "an item lies inside its payload");
    const body = at + item_disk.size;
    const kind = from.readUInt16LE(at + offsets.kind);
    assert(body + bodyBytes(from, body, at + bytes, kind) <= at + bytes, "what an item holds lies inside it");
    yield decodeItem(from, body, kind, u53.read(from, at + offsets.ino));
    at += bytes;
  }
}

/** Of an item that has a body, as far as it says so itself before `end`. */
function bodyBytes(from: Buffer, at: number, end: number, kind: number): number {
  const fixed = fixedBytes.get(kind) ?? 0;
  if (at + fixed > end) return fixed;
  switch (kind) {
    case itemKind["put-inode"]: return fixed + from.readUInt32LE(at + inode_disk.offsets.targetBytes);
    case itemKind["put-entry"]: case itemKind["drop-entry"]: return fixed + from.readUInt16LE(at + entry_disk.offsets.nameBytes);
    case itemKind["set-extents"]: return fixed + from.readUInt32LE(at + extents_disk.offsets.extents) * extent_disk.size;
    case itemKind["put-xattr"]: case itemKind["drop-xattr"]:
      return fixed + from.readUInt16LE(at + xattr_disk.offsets.nameBytes) + from.readUInt32LE(at + xattr_disk.offsets.valueBytes);
    default: return fixed;
  }
}

const fixedBytes: ReadonlyMap<number, number> = new Map([
  [itemKind["put-inode"], inode_disk.size], [itemKind["put-entry"], entry_disk.size], [itemKind["drop-entry"], entry_disk.size],
  [itemKind["set-extents"], extents_disk.size], [itemKind["put-xattr"], xattr_disk.size], [itemKind["drop-xattr"], xattr_disk.size],
  [itemKind.request, request_disk.size],
]);

/** The inode that the item is about; a directory's for entries. */
function inoOf(item: Item): number {
  if (item.kind === "put-entry" || item.kind === "drop-entry") return item.parent;
  return item.kind === "request" ? item.request.ino : item.ino;
}

/** By offsets, as entries and extents: a checkpoint has hundreds of thousands of them, and requests wait for it. */
function encodeInode(into: Buffer, at: number, attributes: Attributes, parent: number, target: string): void {
  const { offsets } = inode_disk;
  const { mode, uid, gid, nlink, size, rdev, atime, mtime, ctime } = attributes;
  into.writeUInt32LE(mode, at + offsets.mode);
  into.writeUInt32LE(uid, at + offsets.uid);
  into.writeUInt32LE(gid, at + offsets.gid);
  into.writeUInt32LE(nlink, at + offsets.nlink);
  u53.write(into, at + offsets.size, size);
  u53.write(into, at + offsets.parent, parent);
  into.writeUInt32LE(rdev, at + offsets.rdev);
  into.writeUInt32LE(target.length, at + offsets.targetBytes);
  i53.write(into, at + offsets.atime, atime.seconds);
  i53.write(into, at + offsets.mtime, mtime.seconds);
  i53.write(into, at + offsets.ctime, ctime.seconds);
  into.writeUInt32LE(atime.nanoseconds, at + offsets.atimeNsec);
  into.writeUInt32LE(mtime.nanoseconds, at + offsets.mtimeNsec);
  into.writeUInt32LE(ctime.nanoseconds, at + offsets.ctimeNsec);
  into.writeUInt32LE(0, at + offsets.padding);
  const end = at + inode_disk.size;
  if (target !== "") writeText(into, end, target, end + roundUp8(target.length));
}

function encodeEntry(into: Buffer, at: number, end: number, name: string, ino: number, type: number): void {
  const { offsets } = entry_disk;
  u53.write(into, at + offsets.ino, ino);
  into.writeUInt16LE(type, at + offsets.type);
  into.writeUInt16LE(name.length, at + offsets.nameBytes);
  into.writeUInt32LE(0, at + offsets.padding);
  writeText(into, at + entry_disk.size, name, end);
}

function encodeExtents(into: Buffer, at: number, filePage: number, count: number, extents: readonly Extent[]): void {
  const { offsets } = extent_disk;
  at = extents_disk.encodeInto(into, at, { filePage, count, extents: extents.length, padding: 0 });
  for (const extent of extents) {
    assert(extent.devicePage > 0, "block 0 means hole to bmap and is never allocated");
    u53.write(into, at + offsets.filePage, extent.filePage);
    u53.write(into, at + offsets.devicePage, extent.devicePage);
    into.writeUInt32LE(extent.count, at + offsets.count);
    into.writeUInt32LE(extentStates.indexOf(extent.state), at + offsets.state);
    at += extent_disk.size;
  }
}

function encodeXattr(into: Buffer, at: number, end: number, name: string, value: Buffer | undefined): void {
  const text = xattr_disk.encodeInto(into, at, { nameBytes: name.length, padding: 0, valueBytes: value?.length ?? 0 });
  writeText(into, text, name, end);
  value?.copy(into, text + name.length);
}

/** Buffers are reused, so what follows the text is zeroed up to `end`. */
function writeText(into: Buffer, at: number, text: string, end: number): void {
  into.fill(0, at + text.length, end);
  into.write(text, at, text.length, "latin1");
}

function decodeItem(from: Buffer, at: number, kind: number, ino: number): Item {
  switch (kind) {
    case itemKind["put-inode"]: return decodeInode(from, at, ino);
    case itemKind["drop-inode"]: return { kind: "drop-inode", ino };
    case itemKind["put-entry"]: case itemKind["drop-entry"]: {
      const { offsets } = entry_disk;
      const text = at + entry_disk.size;
      const name = from.toString("latin1", text, text + from.readUInt16LE(at + offsets.nameBytes));
      if (kind === itemKind["drop-entry"]) return { kind: "drop-entry", parent: ino, name };
      return { kind: "put-entry", parent: ino, name, ino: u53.read(from, at + offsets.ino), type: from.readUInt16LE(at + offsets.type) };
    }
    case itemKind["set-extents"]: return decodeExtents(from, at, ino);
    case itemKind["put-xattr"]: case itemKind["drop-xattr"]: {
      const { nameBytes, valueBytes } = xattr_disk.decode(from, at);
      const text = at + xattr_disk.size;
      const name = from.toString("latin1", text, text + nameBytes);
      if (kind === itemKind["drop-xattr"]) return { kind: "drop-xattr", ino, name };
      const value = Buffer.from(from.subarray(text + nameBytes, text + nameBytes + valueBytes));
      return { kind: "put-xattr", ino, name, value };
    }
    case itemKind.request: {
      const { session, unique } = request_disk.decode(from, at);
      return { kind: "request", request: { session, unique, ino } };
    }
    default:
      assert(false, `an item is of a kind that version 1 knows, not ${kind}`);
  }
}

/** By offsets rather than with `decode`: a mount reads tens of thousands of these. */
function decodeInode(from: Buffer, at: number, ino: number): Change {
  const { offsets } = inode_disk;
  const word = (field: number): number => from.readUInt32LE(at + field);
  const time = (seconds: number, nanoseconds: number): Time => (
    { seconds: i53.read(from, at + seconds), nanoseconds: from.readUInt32LE(at + nanoseconds) }
  );
  const parent = u53.read(from, at + offsets.parent);
  const targetBytes = word(offsets.targetBytes);
  const text = at + inode_disk.size;
  return {
    kind: "put-inode", ino,
    attributes: {
      mode: word(offsets.mode), uid: word(offsets.uid), gid: word(offsets.gid), nlink: word(offsets.nlink),
      size: u53.read(from, at + offsets.size), rdev: word(offsets.rdev),
      atime: time(offsets.atime, offsets.atimeNsec),
      mtime: time(offsets.mtime, offsets.mtimeNsec),
      ctime: time(offsets.ctime, offsets.ctimeNsec),
    },
    target: targetBytes > 0 ? from.toString("latin1", text, text + targetBytes) : undefined,
    parent: parent > 0 ? parent : undefined,
  };
}

function decodeExtents(from: Buffer, at: number, ino: number): Change {
  const { filePage, count, extents: total } = extents_disk.decode(from, at);
  const { offsets } = extent_disk;
  const extents: Extent[] = [];
  at += extents_disk.size;
  for (let n = 0; n < total; n += 1, at += extent_disk.size) {
    const devicePage = u53.read(from, at + offsets.devicePage);
    assert(devicePage > 0, "block 0 means hole to bmap and is never allocated");
    const state = extentStates[from.readUInt32LE(at + offsets.state)];
    assert(state !== undefined, "an extent is written, unwritten or shared");
    extents.push({ filePage: u53.read(from, at + offsets.filePage), devicePage, count: from.readUInt32LE(at + offsets.count), state });
  }
  return { kind: "set-extents", ino, filePage, count, extents };
}
