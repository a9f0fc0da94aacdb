// Block views by loop device, and by device mapper over that: made for who asks, looked for at each flush and whenever somebody wants to
// know. Nothing here is kept: what is there is what the kernel shows.

import fs from "node:fs";
import type { Verdict } from "../../activation/verdict";
import { FsError, messageOf } from "../../base/errors";
import { logLine } from "../../base/log";
import { bytesOfPages } from "../../base/units";
import { endLease, leaseBlocks, leasedInodes } from "../../blocks/block-view";
import type { FileSystem } from "../../blocks/filesystem";
import { deviceNumberOf } from "../../sys/blockdevice";
import { discardBytesMax } from "../../sys/imagebelow";
import { attachPart, backingFile } from "../../sys/loop";
import { letGo, loadMapper, nameOfView, stackMapper, wayOf, type ViewWay } from "../../sys/mapper";
import { viewName, viewsOfParts, type LeasedPart, type PartView } from "../../sys/loopviews";
import type { DeviceRun } from "../../volume/blockdevice";
import { leasedPart, leaseEnd } from "../../volume/lease";
import type { Asker } from "../control-socket";

export interface BlockView {
  readonly ino: number;
  readonly way: ViewWay;
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
export interface ViewDevices {
  find(parts: readonly LeasedPart[]): PartView[];
  /** runs of blocks that a view may have */
  runsMax(): number;
  /** A device over `runs`, in this order, all of which are in `part`. */
  attach(part: LeasedPart, runs: readonly DeviceRun[], encrypted: boolean): Attached & Held;
  /** of one that is there */
  nameOf(ino: number, device: string): string;
  close(held: Held): void;
  /** What a maker that was killed has left goes, where nobody uses it. */
  letGo(ino: number): void;
}

interface Held {
  readonly fd: number;
}

const lookMs = 1000;
const goingMs = 1000;
const pollMs = 20;

export class BlockViews {
  readonly #fs: FileSystem;
  readonly #devices: ViewDevices;
  /** how many of `make` are under way */
  readonly #making = new Map<number, number>();
  #lookedMs = -Infinity;

  constructor(fileSystem: FileSystem, devices: ViewDevices) {
    this.#fs = fileSystem;
    this.#devices = devices;
  }

  /** Leases whose device is gone end. Resolves when that is durable, with whether there were any; a failure is logged. */
  async look(): Promise<boolean> {
    let ended = false;
    this.#lookedMs = performance.now();
    try {
      if (!this.#fs.volume.readOnly) for (const ino of leasedInodes(this.#fs)) if (!this.#making.has(ino)) this.#devices.letGo(ino);
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
    return this.#found().map(({ ino, device }) => ({ ino, way: wayOf(device ?? ""), device: device ?? null }));
  }

  /**
   * Leases the blocks of `ino`, attaches the device and holds it until the asker has swapped on and says so, or is gone. The device goes
   * with its last user, and the lease with the device: whoever dies meanwhile.
   */
  async make(ino: number, encrypted: boolean, { tell, signal }: Asker): Promise<ViewOutcome> {
    const found = await this.#settled(ino);
    if (found?.device !== undefined) return { attached: { device: found.device, name: this.#devices.nameOf(ino, found.device) } };
    if (found?.lives === true) throw new FsError("EBUSY", "its block view is off, but its loop device is still open (losetup -l, fuser -v DEVICE), or lies over another device (run swapfs swapoff --all-views first), or /sys/block shows no loop device (losetup -f brings one)");
    if (encrypted && this.#devices.runsMax() === 1) throw new FsError("EOPNOTSUPP", "this kernel has no device mapper, load dm_mod and dm_crypt, or swap it on without --encrypt");
    this.#making.set(ino, (this.#making.get(ino) ?? 0) + 1);
    try {
      const { verdict, runs } = await leaseBlocks(this.#fs, ino, () => this.#devices.runsMax());
      if (runs === undefined) return { verdict };
      const made = this.#devices.attach(leasedPart(this.#fs.volume.inode(ino))!, runs, encrypted);
      const attached = { device: made.device, name: made.name };
      logLine(`ino ${ino} has a block view, ${made.device}`);
      try {
        tell(attached);
        await ended(signal);
      } finally {
        this.#devices.close(made);
      }
      return { verdict, attached };
    } finally {
      const others = this.#making.get(ino)! - 1;
      if (others > 0) this.#making.set(ino, others);
      else this.#making.delete(ino);
      void this.look();
    }
  }

  /** The view of a file, after it was waited for one that is just going: its devices go one after the other. */
  async #settled(ino: number): Promise<PartView | undefined> {
    for (const end = performance.now() + goingMs; ; await new Promise((resolve) => setTimeout(resolve, pollMs))) {
      await this.look();
      const found = this.#found().find((view) => view.ino === ino);
      if (found?.lives !== true || found.device !== undefined || performance.now() > end) return found;
    }
  }

  #gone(): number[] {
    if (this.#fs.volume.readOnly) return []; // the next mount's
    return this.#found().filter(({ ino, lives }) => !lives && !this.#making.has(ino)).map(({ ino }) => ino);
  }

  #found(): (PartView & { ino: number })[] {
    const parts = leasedInodes(this.#fs).flatMap((ino) => leasedPart(this.#fs.volume.inode(ino)) ?? []); // else it is being made
    const found = this.#devices.find(parts);
    return parts.map(({ ino }, index) => ({ ino, ...found[index]! }));
  }
}

/** `device`: what is mounted; `lockFd`: of the source, or -1. */
export function viewDevicesOf({ volume }: Pick<FileSystem, "volume">, device: string, lockFd: number): ViewDevices {
  const locked = lockFd >= 0 ? `/proc/self/fd/${lockFd}` : device;
  const source = fs.statSync(locked);
  const { uuid } = volume.geometry;
  const mounted = deviceNumberOf(fs.statSync(device).rdev);
  const discard = source.isBlockDevice() && discardBytesMax(deviceNumberOf(source.rdev)) > 0;
  return {
    find: (parts) => viewsOfParts(source, uuid, parts, mounted),
    runsMax: () => (loadMapper() ? Infinity : 1),
    nameOf: (ino, view) => nameOfView(view) ?? viewName(uuid, ino),
    close: ({ fd }) => fs.closeSync(fd),
    letGo: (ino) => letGo(uuid, ino),
    attach: (part, runs, encrypted) => {
      const { ino, offset } = part;
      const name = viewName(uuid, ino);
      const loop = attachPart(() => openAgain(backingFile(device), locked, source), `the blocks of ino ${ino}`, { ...part, name, discard });
      if (runs.length === 1 && !encrypted) return { ...loop, name };
      try {
        const parts = runs.map(({ page, count }) => ({ offset: bytesOfPages(page) - offset, length: bytesOfPages(count) }));
        const made = stackMapper(deviceNumberOf(fs.fstatSync(loop.fd).rdev), { uuid, ino, parts, encrypted });
        return { ...made, name: nameOfView(made.device)! };
      } finally {
        fs.closeSync(loop.fd); // which the other holds
      }
    },
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

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve())));
}
