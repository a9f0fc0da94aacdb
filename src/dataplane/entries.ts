// Extents as the data plane takes them: entries of 16 bytes with a count of 30 bits.

import { assert } from "../base/assert";
import type { Extent, ExtentState } from "../volume/changes";
import { AnswerMessage, ExtentEntry, InstallMessage, mapFlags, messageType } from "./messages";

/** Chunks of a map stay far below the longest datagram, so that a reply never waits long behind one. */
export const chunkBytesMax = 64 * 1024;
export const entriesPerChunk = Math.floor((chunkBytesMax - InstallMessage.size) / ExtentEntry.size);

const countMax = 2 ** 30 - 1;

const stateCodes: Readonly<Record<ExtentState, number>> = { written: 0, unwritten: 1, shared: 2 };

/** `extents` with every count within 30 bits. */
export function splitLong(extents: Iterable<Extent>): Extent[] {
  const made: Extent[] = [];
  for (const extent of extents) {
    for (let done = 0; done < extent.count; done += countMax) {
      const count = Math.min(countMax, extent.count - done);
      made.push({ ...extent, filePage: extent.filePage + done, devicePage: extent.devicePage + done, count });
    }
  }
  return made;
}

function writeEntry(to: Buffer, at: number, extent: Extent): void {
  assert(extent.devicePage > 0, "block 0 means hole to bmap and is never allocated");
  assert(extent.count > 0 && extent.count <= countMax, "an entry's count fits 30 bits");
  to.writeUInt32LE(extent.devicePage % 2 ** 32, at);
  to.writeUInt32LE(Math.floor(extent.devicePage / 2 ** 32), at + 4);
  to.writeUInt32LE(extent.filePage, at + 8);
  to.writeUInt32LE((extent.count | (stateCodes[extent.state] << 30)) >>> 0, at + 12);
}

/** kAnswer. `error`: 0 or a negative errno. */
export function answerMessage(tag: bigint, error: number, size: number, extents: readonly Extent[]): Buffer {
  const entries = splitLong(extents);
  const length = AnswerMessage.size + entries.length * ExtentEntry.size;
  const message = Buffer.allocUnsafe(length);
  AnswerMessage.encodeInto(message, 0, {
    header: { type: messageType.kAnswer, length, tag }, size: BigInt(size), error, extents: entries.length,
  });
  entries.forEach((extent, index) => writeEntry(message, AnswerMessage.size + index * ExtentEntry.size, extent));
  return message;
}

export interface MapToInstall {
  readonly ino: number;
  readonly size: number;
  readonly extents: Iterable<Extent>;
  /** mapFlags without `first` and `last` */
  readonly flags: number;
  /** extents more that a granted map may get by being split */
  readonly room?: number;
}

/** kInstall in chunks; a map without extents is one chunk without entries. */
export function installMessages(serial: bigint, map: MapToInstall): Buffer[] {
  const entries = splitLong(map.extents);
  const messages: Buffer[] = [];
  for (let at = 0; at === 0 || at < entries.length; at += entriesPerChunk) {
    const chunk = entries.slice(at, at + entriesPerChunk);
    const first = at === 0 ? mapFlags.first : 0;
    const last = at + entriesPerChunk >= entries.length ? mapFlags.last : 0;
    const length = InstallMessage.size + chunk.length * ExtentEntry.size;
    const message = Buffer.allocUnsafe(length);
    InstallMessage.encodeInto(message, 0, {
      header: { type: messageType.kInstall, length, tag: serial },
      ino: BigInt(map.ino), size: BigInt(map.size), flags: map.flags | first | last,
      extents: chunk.length, total: entries.length, room: map.room ?? 0,
    });
    chunk.forEach((extent, index) => writeEntry(message, InstallMessage.size + index * ExtentEntry.size, extent));
    messages.push(message);
  }
  return messages;
}
