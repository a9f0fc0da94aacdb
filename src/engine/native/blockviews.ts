// Block views by loop device: attached for who asks, looked for at each flush and whenever somebody wants to know. Nothing here is
// kept: what is there is what the kernel shows.

import fs from "node:fs";
import type { Verdict } from "../../activation/verdict";
import { FsError, messageOf } from "../../base/errors";
import { logLine } from "../../base/log";
import { bytesOfPages } from "../../base/units";
import { endLease, leaseBlocks, leasedInodes } from "../../blocks/block-view";
import type { FileSystem } from "../../blocks/filesystem";
import type { AttachedLoop } from "../../sys/addon";
import { deviceNumberOf } from "../../sys/blockdevice";
import { discardBytesMax } from "../../sys/imagebelow";
import { attachPart, backingFile } from "../../sys/loop";
import { viewName, viewsOfParts, type LeasedPart, type PartView } from "../../sys/loopviews";
import type { DeviceRun } from "../../volume/blockdevice";
import { leaseEnd, leaseOf } from "../../volume/lease";
import type { Asker } from "../control-socket";

export interface BlockView {
  readonly ino: number;
  readonly way: "loop";
  /** null: it is being attached, or has just gone */
  readonly device: string | null;
}

/** Of a device that is there: the event before the answer to `view`, while the asker holds it and has not said that it is over. */
export interface Attached {
  readonly device: string;
  readonly name: string;
}

export interface ViewOutcome {
  /** undefined: the device was there already */
  readonly verdict?: Verdict;
  readonly attached?: Attached;
}

/** The kernel's side: what is attached where. */
export interface LoopDevices {
  find(parts: readonly LeasedPart[]): PartView[];
  attach(ino: number, part: LeasedPart): AttachedLoop;
  nameOf(ino: number): string;
  close(loop: AttachedLoop): void;
}

const lookMs = 1000;

export class BlockViews {
  readonly #fs: FileSystem;
  readonly #loops: LoopDevices;
  /** how many of `make` are under way */
  readonly #making = new Map<number, number>();
  #lookedMs = -Infinity;

  constructor(fileSystem: FileSystem, loops: LoopDevices) {
    this.#fs = fileSystem;
    this.#loops = loops;
  }

  /** Leases whose device is gone end. Resolves when that is durable, with whether there were any; a failure is logged. */
  async look(): Promise<boolean> {
    let ended = false;
    this.#lookedMs = performance.now();
    try {
      for (const ino of this.#gone()) ended = (await endLease(this.#fs, ino, () => this.#gone().includes(ino))) || ended;
      if (ended) await this.#fs.volume.flush();
    } catch (error) {
      logLine(`cannot end the lease of a block view: ${messageOf(error)}`);
    }
    return ended;
  }

  /** The same for who asks again and again: at most once a second. */
  async lookAtTimes(): Promise<void> {
    if (performance.now() - this.#lookedMs >= lookMs) await this.look();
  }

  /** The same at the end of a mount, when nobody is at work on a file any more. */
  endGone(): void {
    try {
      const gone = this.#gone();
      if (gone.length > 0) this.#fs.commit(gone.map(leaseEnd));
    } catch (error) {
      logLine(`cannot end the lease of a block view: ${messageOf(error)}; the next mount does`);
    }
  }

  shown(): BlockView[] {
    return this.#found().map(({ ino, device }) => ({ ino, way: "loop", device: device ?? null }));
  }

  /**
   * Leases the blocks of `ino`, attaches the device and holds it until the asker has swapped on and says so, or is gone. The device goes
   * with its last user, and the lease with the device: whoever dies meanwhile.
   */
  async make(ino: number, { tell, signal }: Asker): Promise<ViewOutcome> {
    await this.look();
    const found = this.#found().find((view) => view.ino === ino);
    if (found?.device !== undefined) return { attached: { device: found.device, name: this.#loops.nameOf(ino) } };
    if (found?.lives === true) throw new FsError("EBUSY", "its block view lies over another device (run swapfs swapoff --all-views first), or /sys/block shows no loop device (losetup -f brings one)");
    this.#making.set(ino, (this.#making.get(ino) ?? 0) + 1);
    try {
      const { verdict, run } = await leaseBlocks(this.#fs, ino);
      if (run === undefined) return { verdict };
      const loop = this.#loops.attach(ino, partOf(ino, run));
      const attached = { device: loop.device, name: this.#loops.nameOf(ino) };
      logLine(`ino ${ino} has a block view, ${loop.device}`);
      try {
        tell(attached);
        await ended(signal);
      } finally {
        this.#loops.close(loop);
      }
      return { verdict, attached };
    } finally {
      const others = this.#making.get(ino)! - 1;
      if (others > 0) this.#making.set(ino, others);
      else this.#making.delete(ino);
      void this.look();
    }
  }

  #gone(): number[] {
    if (this.#fs.volume.readOnly) return []; // the next mount's
    return this.#found().filter(({ ino, lives }) => !lives && !this.#making.has(ino)).map(({ ino }) => ino);
  }

  #found(): (PartView & { ino: number })[] {
    const parts = leasedInodes(this.#fs).flatMap((ino) => {
      const run = leaseOf(this.#fs.volume.inode(ino));
      return run === undefined ? [] : [partOf(ino, run)]; // not yet durable: it is being made
    });
    const found = this.#loops.find(parts);
    return parts.map(({ ino }, index) => ({ ino, ...found[index]! }));
  }
}

/** `device`: what is mounted; `lockFd`: of the source, or -1. */
export function loopDevicesOf({ volume }: Pick<FileSystem, "volume">, device: string, lockFd: number): LoopDevices {
  const locked = lockFd >= 0 ? `/proc/self/fd/${lockFd}` : device;
  const source = fs.statSync(locked);
  const { uuid } = volume.geometry;
  const mounted = deviceNumberOf(fs.statSync(device).rdev);
  const discard = source.isBlockDevice() && discardBytesMax(deviceNumberOf(source.rdev)) > 0;
  return {
    find: (parts) => viewsOfParts(source, uuid, parts, mounted),
    nameOf: (ino) => viewName(uuid, ino),
    close: ({ fd }) => fs.closeSync(fd),
    attach: (ino, part) =>
      attachPart(() => openAgain(backingFile(device), locked, source), `the blocks of ino ${ino}`, { ...part, name: viewName(uuid, ino), discard }),
  };
}

/**
 * Anew, since a loop device over the descriptor of the lock would keep the lock. By the image's name where that is the same file still: the
 * descriptor may be older than the name, and the kernel would show the other.
 */
function openAgain(image: string | undefined, locked: string, { dev, ino }: fs.Stats): number {
  if (image !== undefined) {
    let named: number | undefined;
    try {
      named = fs.openSync(image, "r+");
      const stat = fs.fstatSync(named);
      if (stat.dev === dev && stat.ino === ino) return named;
    } catch {
      // it has that name no more
    }
    if (named !== undefined) fs.closeSync(named);
  }
  return fs.openSync(locked, "r+");
}

function partOf(ino: number, { page, count }: DeviceRun): LeasedPart {
  return { ino, offset: bytesOfPages(page), length: bytesOfPages(count) };
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve())));
}
