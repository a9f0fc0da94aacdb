// From the device to the state: superblock, the newest good checkpoint, the journal after it.

import { isDeepStrictEqual } from "node:util";
import { AssertionError, assert } from "../base/assert";
import { UserError, exitCode, messageOf, type ExitCode } from "../base/errors";
import { formatByteLength, pageSize } from "../base/units";
import type { BlockDevice } from "./blockdevice";
import { loadCheckpoint, payloadIsGood, readCheckpointHead, type CheckpointHead } from "./checkpoint";
import { checkpointClean, checkpointUndiscarded } from "./format";
import { lookBeyond, readHalf, readJournal, type JournalCursor } from "./journal";
import { givenSince } from "./loss";
import { foreignSignature } from "./signatures";
import { apply } from "./state";
import { findUndurable, nothingUndurable } from "./undurable";
import {
  decodeSuperblock, encodeSuperblock, geometryOf, knownReadOnly, knownRequired, sideName, type Geometry, type Side, type SuperblockFields,
  type SuperblockRead,
} from "./superblock";

export type LoadedSuperblock = Readonly<ReturnType<typeof loadSuperblock>>;
export type LoadedState = Readonly<ReturnType<typeof loadState>>;

/**
 * `damagedCopies` must be written again. `stale`: a change of both was cut short, copy 1 is good but has another length, or other
 * features, than copy 0, which counts. Throws a UserError that says what the device holds instead of a volume that this version opens.
 */
export function loadSuperblock(device: BlockDevice, readOnly: boolean) {
  const name = device.name;
  if (device.byteLength < 2 * pageSize) {
    throw new UserError(exitCode.mountFailed, `cannot open ${name}: ${device.byteLength} bytes are too few for a swapfs volume`);
  }
  const blocks = [0, 1].map((copy) => device.read(copy * pageSize, pageSize));
  const copies = blocks.map(decodeSuperblock);
  for (const read of copies) {
    if (read.kind === "newer") {
      throw new UserError(exitCode.mountFailed, `cannot open ${name}: its format version is ${read.version}, this swapfs knows 1; use a newer swapfs`);
    }
  }
  const good = copies.find((read) => read.kind === "good");
  if (good === undefined) throw noSuperblock(device, copies.some((read) => read.kind === "damaged"));
  refuseForeign(device, copies, blocks[0]!, good.fields);
  checkFeatures(name, good.fields, readOnly || device.readOnly);
  const needed = good.fields.blockCount * pageSize;
  if (device.byteLength < needed) {
    throw new UserError(exitCode.damaged, `cannot open ${name}: the volume has ${formatByteLength(needed)}, the device only ${formatByteLength(device.byteLength)}; enlarge the device or run swapfs fsck ${name}`);
  }
  const damagedCopies = [0, 1].filter((copy) => copies[copy]!.kind !== "good");
  const stale = copies.some((read) => read.kind === "good"
    && (read.fields.blockCount !== good.fields.blockCount || read.fields.featuresRequired !== good.fields.featuresRequired));
  return { fields: good.fields, geometry: geometryOf(good.fields), damagedCopies: stale ? [1] : damagedCopies, stale };
}

/**
 * Throws a UserError (damaged) when neither checkpoint can be used. `boot` names the boot that the machine runs in: what it
 * wrote itself is there, flushed or not. Without it everything is taken to be.
 */
export function loadState(device: BlockDevice, geometry: Geometry, boot?: number) {
  const heads: CheckpointHead[] = [];
  const damagedSides: Side[] = [];
  for (const side of [0, 1] as const) {
    const head = readCheckpointHead(device, geometry, side);
    if (head !== undefined && payloadIsGood(device, geometry, head)) heads.push(head);
    else damagedSides.push(side);
  }
  heads.sort((a, b) => b.sequence - a.sequence);
  const head = heads[0];
  if (head === undefined) {
    throw new UserError(exitCode.damaged, `cannot open ${device.name}: both checkpoints are damaged, run swapfs fsck ${device.name}`);
  }
  try {
    const replayed = replay(device, geometry, head, boot);
    const beyond = lookBeyond(device, geometry, replayed.cursor);
    // What a power cut may have left without its data, or lost records have given to another file.
    const undurable = beyond.lostDurable ? givenSince(replayed.state, beyond) : replayed.undurable;
    return { ...replayed, undurable, side: head.side, damagedSides, beyond, olderShort: whyShort(device, geometry, heads) };
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    throw new UserError(exitCode.damaged, `cannot open ${device.name}: checkpoint ${sideName(head.side)} or its journal does not apply (${messageOf(error)}), run swapfs fsck ${device.name}`);
  }
}

/**
 * Why the older checkpoint and its half do not lead to the newer one; undefined when they do, as they must before the
 * newer one may be trusted alone: either may be found damaged next time.
 */
function whyShort(device: BlockDevice, geometry: Geometry, heads: readonly CheckpointHead[]): string | undefined {
  const [newer, older] = heads;
  if (newer === undefined || older === undefined || newer.sequence === older.sequence) return undefined;
  const end = readHalf(device, geometry, startOf(older), () => {});
  if (end.sequence === newer.sequence && end.previous === newer.previous) return undefined;
  const [half, side] = [sideName(older.side), sideName(newer.side)];
  return `journal half ${half} ends at record ${end.sequence}, checkpoint ${side} is at ${newer.sequence}: half ${half} could not stand in for it`;
}

function startOf(head: CheckpointHead): JournalCursor {
  return { half: head.side, sector: 0, sequence: head.sequence, previous: head.previous };
}

const countedMax = 2 ** 52;

/** `clean`: closed properly, and nothing written since. `discarded`: all that is free was discarded before. */
function replay(device: BlockDevice, geometry: Geometry, head: CheckpointHead, boot: number | undefined) {
  const state = loadCheckpoint(device, geometry, head);
  let records = 0;
  let durable = head.sequence; // data is flushed before a checkpoint is written
  let lastSuspect = 0;
  let writtenIn = 0;
  const cursor = readJournal(device, geometry, startOf(head), (record) => {
    durable = Math.max(durable, record.durable);
    writtenIn = record.boot ?? writtenIn;
    for (const item of record.items) {
      apply(state, item);
      if (item.kind === "set-extents" && writtenIn !== boot) lastSuspect = record.sequence;
    }
    state.nextIno = Math.max(state.nextIno, record.nextIno);
    if (record.request !== undefined) state.remember(record.request);
    records += 1;
  });
  assert(state.nextIno < countedMax && cursor.sequence < countedMax, "what is counted from 1 is nowhere near 2^53");
  const undurable = boot !== undefined && lastSuspect > durable
    ? findUndurable(device, geometry, head, startOf(head), durable, boot)
    : nothingUndurable;
  const clean = (head.flags & checkpointClean) !== 0 && records === 0;
  return { state, cursor, clean, discarded: clean && (head.flags & checkpointUndiscarded) === 0, records, undurable };
}

/** Block 0 with more wrong bytes than this is not a damaged superblock: somebody else has written there. */
const damagedBytesMax = 16;

/**
 * The device was used for something else since it was a volume. A superblock that is left would otherwise repair the other one,
 * over what is there now. Throws a UserError, and nothing has been written.
 */
function refuseForeign(device: BlockDevice, copies: readonly SuperblockRead[], block0: Buffer, fields: SuperblockFields): void {
  const [first, second] = copies;
  const refuse = (what: string, next: string, exit: ExitCode = exitCode.damaged): UserError => new UserError(exit, `cannot open ${device.name}: ${what}; ${next}, or --format --force to lose what is on it`);
  if (first?.kind === "good" && second?.kind === "good") {
    if (isOneVolume(first.fields, second.fields)) return;
    throw refuse("its two superblocks are of two volumes", "find out which is meant");
  }
  const foreign = foreignSignature(device, 2 * pageSize); // behind that may be a checkpoint, with what users named and set
  if (foreign !== undefined) throw refuse(`it holds ${foreign} over a part of a swapfs volume`, "use it as that", exitCode.mountFailed);
  if (first?.kind !== "none") return;
  const expected = encodeSuperblock(fields, 0);
  if (expected.filter((byte, at) => byte !== block0[at]).length <= damagedBytesMax) return;
  throw refuse("block 0 is not ours, only the superblock's copy in block 1 is left of a swapfs volume",
    `if nothing else was put there, dd if=${device.name} of=${device.name} bs=4096 skip=1 count=1 conv=notrunc brings it back`);
}

/** A change of both that was cut short leaves two lengths, or two sets of features (Volume.#setSuperblock), and no other difference. */
function isOneVolume(first: SuperblockFields, second: SuperblockFields): boolean {
  const [a, b] = [first, second].map((fields) => ({ ...fields, blockCount: 0, featuresRequired: 0, copy: 0, crc32c: 0 }));
  return isDeepStrictEqual(a, b);
}

function noSuperblock(device: BlockDevice, damaged: boolean): UserError {
  const name = device.name;
  if (damaged) {
    return new UserError(exitCode.damaged, `cannot open ${name}: both copies of its superblock are damaged, run swapfs fsck ${name}`);
  }
  const foreign = foreignSignature(device);
  if (foreign !== undefined) {
    return new UserError(exitCode.mountFailed, `cannot open ${name}: it holds ${foreign}, not a swapfs volume; name another device`);
  }
  return new UserError(exitCode.mountFailed, `cannot open ${name}: it holds no swapfs volume, name another device, or make one with swapfs mount --format`);
}

function checkFeatures(name: string, fields: SuperblockFields, readOnly: boolean): void {
  const required = fields.featuresRequired & ~knownRequired;
  const writing = fields.featuresReadOnly & ~knownReadOnly;
  if (required !== 0 || (writing !== 0 && !readOnly)) {
    const bits = `0x${(required !== 0 ? required : writing).toString(16)}`;
    throw new UserError(exitCode.mountFailed, `cannot open ${name}: it uses features ${bits} that this swapfs does not know, use a newer swapfs`);
  }
}
