// Block views by loop device: attached for who asks, looked for at each flush and whenever somebody wants to know. Nothing here is
// kept: what is there is what the kernel shows.

import fs from "node:fs";
import type { Verdict } from "../../activation/verdict";
import { messageOf } from "../../base/errors";
import { logLine } from "../../base/log";
import { bytesOfPages } from "../../base/units";
import { endLease, leaseBlocks, leasedInodes } from "../../blocks/block-view";
import type { FileSystem } from "../../blocks/filesystem";
import type { AttachedLoop } from "../../sys/addon";
import { deviceNumberOf } from "../../sys/blockdevice";
import { discardBytesMax, isSameFile } from "../../sys/imagebelow";
import { attachForSwap, backingFile, forbidDiscard, type SourcePart } from "../../sys/loop";
import { viewName, viewsOfParts } from "../../sys/loopviews";
import type { DeviceRun } from "../../volume/blockdevice";
import { leaseOf } from "../../volume/lease";
import type { Asker } from "../control-socket";

export interface BlockView {
  readonly ino: number;
  readonly way: "loop";
  /** null: it is being attached, or has just gone */
  readonly device: string | null;
}

/** The event before the answer to `view`; the asker holds the device and says when it is over. */
export interface Attached {
  readonly device: string;
  readonly name: string;
}

export interface ViewOutcome {
  /** undefined: it was there already */
  readonly verdict?: Verdict;
  readonly device: string | null;
}

export class BlockViews {
  readonly #fs: FileSystem;
  /** The source, as it can be opened anew: the image itself where it is one. */
  readonly #source: string;
  readonly #stat: fs.Stats;
  readonly #making = new Set<number>();

  constructor(fileSystem: FileSystem, device: string, lockFd: number) {
    this.#fs = fileSystem;
    const source = lockFd >= 0 ? `/proc/self/fd/${lockFd}` : device;
    this.#stat = fs.statSync(source);
    // By its name where it has that still: the descriptor may be older than it, and the kernel would show the other.
    const image = backingFile(device);
    this.#source = image !== undefined && isSameFile(image, source) ? image : source;
  }

  /** Leases whose device is gone end. Resolves when that is durable. */
  async look(): Promise<void> {
    const gone = this.shown().filter(({ ino, device }) => device === null && !this.#making.has(ino));
    if (gone.length === 0) return;
    for (const { ino } of gone) await endLease(this.#fs, ino);
    await this.#fs.volume.flush();
  }

  /** As `look`, for who does not wait. */
  lookNow(): void {
    this.look().catch((error: unknown) => logLine(`cannot end the lease of a block view: ${messageOf(error)}`));
  }

  async list(): Promise<BlockView[]> {
    await this.look();
    return this.shown();
  }

  shown(): BlockView[] {
    const leased = leasedInodes(this.#fs).flatMap((ino) => {
      const run = leaseOf(this.#fs.volume.inode(ino));
      return run === undefined ? [] : [{ ino, part: partOf(run) }];
    });
    const devices = viewsOfParts(this.#stat, leased.map(({ part }) => part));
    return leased.map(({ ino }, index) => ({ ino, way: "loop", device: devices[index] ?? null }));
  }

  /**
   * Leases the blocks of `ino`, attaches the device and holds it until the asker has swapped on and says so, or is gone. The device goes
   * with its last user, and the lease with the device: whoever dies meanwhile.
   */
  async make(ino: number, { tell, signal }: Asker): Promise<ViewOutcome> {
    await this.look();
    const device = this.#deviceOf(ino);
    if (device !== null) return { device };
    this.#making.add(ino);
    try {
      const { verdict, run } = await leaseBlocks(this.#fs, ino);
      if (run === undefined) return { verdict, device: null };
      const loop = this.#attach(ino, run);
      try {
        tell({ device: loop.device, name: this.#nameOf(ino) } satisfies Attached);
        await ended(signal);
      } finally {
        fs.closeSync(loop.fd);
      }
      return { verdict, device: this.#deviceOf(ino) };
    } finally {
      this.#making.delete(ino);
      this.lookNow();
    }
  }

  #attach(ino: number, run: DeviceRun): AttachedLoop {
    const loop = attachForSwap(this.#source, `the blocks of ino ${ino}`, this.#nameOf(ino), partOf(run));
    if (!this.#stat.isBlockDevice() || discardBytesMax(deviceNumberOf(this.#stat.rdev)) === 0) forbidDiscard(loop.device);
    logLine(`ino ${ino} has a block view, ${loop.device}`);
    return loop;
  }

  #nameOf(ino: number): string {
    return viewName(this.#fs.volume.geometry.uuid, ino);
  }

  #deviceOf(ino: number): string | null {
    return this.shown().find((view) => view.ino === ino)?.device ?? null;
  }
}

function partOf({ page, count }: DeviceRun): SourcePart {
  return { offset: bytesOfPages(page), length: bytesOfPages(count) };
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve())));
}
