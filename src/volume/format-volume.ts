// Making a volume: the steps, and what is checked before them.

import { UserError, exitCode } from "../base/errors";
import { bytesOfPages, pageSize } from "../base/units";
import type { BlockDevice, Step } from "./blockdevice";
import { S_IFDIR } from "./changes";
import { checkpointSteps } from "./checkpoint";
import { checkpointClean } from "./format";
import { foreignSignature, holdsVolume } from "./signatures";
import { VolumeState, apply, rootIno } from "./state";
import { geometryOf, newSuperblock, superblockStep, type AreaSizes, type SuperblockFields } from "./superblock";

export interface FormatOptions {
  /** Destroy whatever is there. */
  readonly force?: boolean;
  readonly uuid?: Buffer;
  /** Seconds since 1970. */
  readonly created?: number;
  /** Other than the usual lengths of the metadata areas, for tests. */
  readonly areas?: AreaSizes;
}

/** The superblock that `device` would get. Throws a UserError (usage) when it must not or cannot be formatted. */
export function planFormat(device: BlockDevice, options: FormatOptions): SuperblockFields {
  const { name } = device;
  if (device.readOnly) throw new UserError(exitCode.usage, `cannot format ${name}: it is read-only`);
  const created = options.created ?? Math.floor(Date.now() / 1000);
  const fields = newSuperblock(name, device.byteLength, options.uuid ?? newUuid(), created, options.areas);
  if (options.force !== true) {
    const holds = holdsVolume(device) ? "a swapfs volume" : foreignSignature(device);
    if (holds !== undefined) {
      throw new UserError(exitCode.usage, `cannot format ${name}: it holds ${holds}, give --force to destroy it`);
    }
  }
  return fields;
}

/** The superblock comes last, so that a format that is cut short leaves no volume, not half of one. */
export function* formatSteps(fields: SuperblockFields): Iterable<Step> {
  const geometry = geometryOf(fields);
  const wiped = Math.min(bytesOfPages(geometry.dataStart), 128 * 1024);
  yield { kind: "write", offset: 0, bytes: Buffer.alloc(wiped) };
  for (const half of geometry.journal) yield { kind: "write", offset: half * pageSize, bytes: Buffer.alloc(pageSize) };
  yield { kind: "flush" };
  const state = newState(fields.created);
  const cursor = { half: 0, sector: 0, sequence: 0, previous: 0 } as const;
  yield* checkpointSteps(geometry, state, 0, cursor, checkpointClean);
  yield* checkpointSteps(geometry, state, 1, cursor, checkpointClean);
  for (const copy of [1, 0]) yield superblockStep(fields, copy);
  yield { kind: "flush" };
}

function newState(seconds: number): VolumeState {
  const state = new VolumeState();
  const now = { seconds, nanoseconds: 0 };
  const attributes = { mode: S_IFDIR | 0o755, uid: 0, gid: 0, nlink: 2, size: 0, rdev: 0, atime: now, mtime: now, ctime: now };
  apply(state, { kind: "put-inode", ino: rootIno, attributes, parent: rootIno });
  return state;
}

// The global is loaded at its first use: node:crypto would cost every start of the control plane 10 ms.
function newUuid(): Buffer {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(16)));
}
