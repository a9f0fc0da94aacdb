// In an image the metadata areas are backed by the host ahead of their use, as far as they are needed: a host that runs
// full is then told to whoever makes files, and never to the journal or to a checkpoint, where it would end the volume.

import { FsError, messageOf } from "../base/errors";
import { logLine } from "../base/log";
import { pagesFor, pageSize } from "../base/units";
import type { BlockDevice, DeviceRun } from "./blockdevice";
import type { Geometry } from "./superblock";

/** Of each checkpoint area: what is backed from the beginning, and by how much more at a time. */
const stepPages = (4 * 2 ** 20) / pageSize;
/** Beyond what a checkpoint takes now: deleting may add a little before it takes away. */
const slackPages = 64;

/** Blocks of an image that must be backed for checkpoints of `payloadPages`, journal and superblocks included. */
export function metadataRuns(geometry: Geometry, payloadPages = 0): DeviceRun[] {
  const pages = Math.min(geometry.checkpointBlocks, roundUp(payloadPages + slackPages));
  const [journal] = geometry.journal;
  return [
    { page: 0, count: geometry.checkpoint[0] + pages },
    { page: geometry.checkpoint[1], count: pages },
    { page: journal, count: geometry.dataStart - journal },
  ];
}

export class MetadataBacking {
  readonly #device: BlockDevice;
  readonly #geometry: Geometry;
  /** Pages of a checkpoint's payload that have room, with the slack. */
  #pages: number;

  /** Of a volume whose checkpoint takes `payloadBytes`. A full host is no reason not to open it: files can be deleted. */
  constructor(device: BlockDevice, geometry: Geometry, payloadBytes: number) {
    this.#device = device;
    this.#geometry = geometry;
    this.#pages = pagesFor(payloadBytes);
    try {
      this.#back(this.#pages);
    } catch (error) {
      logLine(`${messageOf(error)}; ${device.name} takes no new files until its host has room`);
    }
  }

  /** Before a commit after which a checkpoint takes up to `payloadBytes`. Throws FsError ENOSPC. */
  ensure(payloadBytes: number): void {
    const pages = pagesFor(payloadBytes);
    if (pages + slackPages <= this.#pages) return;
    try {
      this.#back(pages);
    } catch (error) {
      if (pages > this.#pages || !(error instanceof FsError)) throw error;
    }
  }

  /** As `ensure`; false: the host has no room. */
  has(payloadBytes: number): boolean {
    try {
      this.ensure(payloadBytes);
      return true;
    } catch {
      return false;
    }
  }

  #back(payloadPages: number): void {
    for (const { page, count } of metadataRuns(this.#geometry, payloadPages)) this.#device.allocateBacking(page, count);
    this.#pages = roundUp(payloadPages + slackPages);
  }
}

function roundUp(pages: number): number {
  return Math.ceil(pages / stepPages) * stepPages;
}
