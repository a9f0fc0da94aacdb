// `swapfs prepare`: carries out the steps of plan.ts, one at a time. Each is alone on the file while it lasts, and the
// file's readers and writers go on between two of them. Whatever dies at any moment, the file's contents are what they
// were, and what was done is kept: the next run plans anew from where the file lies by then.

import { FsError } from "../../base/errors";
import { formatPages, wholePages } from "../../base/units";
import { freeOrphan } from "../../namespace/links";
import { isFile } from "../../namespace/modes";
import { inodeOf } from "../../namespace/space";
import type { DeviceRun } from "../../volume/blockdevice";
import type { Extent } from "../../volume/changes";
import type { Inode } from "../../volume/inode";
import { pagesOf } from "../../volume/runs";
import { allocateRetrying } from "../allocate-retrying";
import type { FileSystem } from "../filesystem";
import { extentsIn, holesIn, nearOf, sharedIn, type FileRun } from "../runs-to-extents";
import { Destination } from "./destination";
import { sharedWithImage, type PrepareImage } from "./image";
import { contiguousPages, planMove, planSteps, type PrepareStep, type StepKind, type StepMax } from "./plan";
import { noRoom, relocate, type Chosen } from "./relocate";

export interface PrepareOptions {
  /** Everything into one run of the device. */
  readonly contiguous?: boolean;
  /** Ends it after the step that is under way. */
  readonly signal?: AbortSignal;
  readonly progress?: (progress: PrepareProgress) => void;
  /** Other sizes of steps than plan.ts has. */
  readonly stepMax?: StepMax;
}

export interface PrepareProgress {
  readonly kind: StepKind;
  /** pages copied or written, of those that are to be: `total` follows what others do to the file meanwhile */
  readonly done: number;
  readonly total: number;
}

export interface PrepareOutcome {
  /** the signal ended it, and there is more to do */
  readonly stopped: boolean;
  /** pages, by what was done to them */
  readonly pages: Readonly<Record<StepKind, number>>;
}

/** Steps follow from steps: a hole that was allocated in an image is then written. Beyond this others are making work. */
const roundsMax = 5;
const writerEndsMs = 200;

/** Throws FsError: EISDIR, EINVAL, EBUSY (open for writing, or prepared already), ETXTBSY (pinned), ENOSPC, EIO. */
export async function prepare(fs: FileSystem, ino: number, options: PrepareOptions = {}, image?: PrepareImage): Promise<PrepareOutcome> {
  const inode = inodeOf(fs, ino);
  if (!isFile(inode)) throw new FsError(inode.entries ? "EISDIR" : "EINVAL", "only a regular file can be prepared, name one");
  const preparation = new Preparation(fs, ino, options, image);
  try {
    return await fs.leases.whilePrepared(ino, async () => {
      await fs.settleSharingAlone(ino); // what nobody else uses any more is not copied
      return preparation.run();
    });
  } finally {
    freeOrphan(fs, ino);
    // swapon(8) looks for holes in st_blocks, which the kernel has kept.
    if (preparation.changed && fs.volume.inode(ino) !== undefined) await fs.data.invalidate(ino);
  }
}

class Preparation {
  readonly #fs: FileSystem;
  readonly #ino: number;
  readonly #options: PrepareOptions;
  readonly #image: PrepareImage | undefined;
  readonly #pages: Record<StepKind, number> = { allocate: 0, unshare: 0, move: 0, rewrite: 0 };
  #done = 0;
  #total = 0;
  /** Steps were left out because the signal said so. */
  #cut = false;

  constructor(fs: FileSystem, ino: number, options: PrepareOptions, image: PrepareImage | undefined) {
    this.#fs = fs;
    this.#ino = ino;
    this.#options = options;
    this.#image = image;
  }

  async run(): Promise<PrepareOutcome> {
    const moves = this.#options.contiguous === true && !this.#isContiguous();
    const first = this.#plan();
    if (!moves && first.length === 0) return this.#outcome();
    this.#fs.leases.checkMayMove(this.#ino);
    await this.#checkNobodyWrites();
    if (moves) await this.#moveAll();
    else this.#checkRoom(first);
    for (let round = 0; round < roundsMax && !this.#stopped; round += 1) {
      const steps = this.#plan();
      if (steps.length === 0) break;
      await this.#carryOut(steps, (step) => this.#step(step));
    }
    return this.#outcome();
  }

  get changed(): boolean {
    return Object.values(this.#pages).some((pages) => pages > 0);
  }

  get #stopped(): boolean {
    return this.#options.signal?.aborted === true;
  }

  #outcome(): PrepareOutcome {
    return { stopped: this.#cut || (this.#stopped && this.#plan().length > 0), pages: this.#pages };
  }

  #plan(): PrepareStep[] {
    const inode = inodeOf(this.#fs, this.#ino);
    const pages = wholePages(inode.size);
    const image = this.#image?.unready(extentsIn(inode, 0, pages)) ?? [];
    return planSteps(pages, inode.extents, image, this.#options.stepMax);
  }

  #isContiguous(): boolean {
    const { size, extents } = inodeOf(this.#fs, this.#ino);
    return contiguousPages(wholePages(size), extents) === wholePages(size);
  }

  async #moveAll(): Promise<void> {
    const destination = await Destination.find(this.#fs, this.#ino);
    try {
      const steps = planMove(destination.from, destination.end, this.#options.stepMax);
      await this.#carryOut(steps, (step) => relocate(this.#fs, this.#ino, step, (_, pages) => [pages],
        (_, pieces) => destination.blocks(pieces)));
    } finally {
      destination.release();
    }
  }

  async #carryOut(steps: readonly PrepareStep[], work: (step: PrepareStep) => Promise<number>): Promise<void> {
    const inode = inodeOf(this.#fs, this.#ino);
    const costs = steps.map((step) => costOf(inode, step, this.#image !== undefined));
    this.#total = this.#done + costs.reduce((sum, cost) => sum + cost, 0);
    for (const [index, step] of steps.entries()) {
      if (this.#stopped) return void (this.#cut = true);
      this.#report(step.kind);
      this.#pages[step.kind] += await this.#fs.exclusive(this.#ino, () => work(step));
      this.#done += step.kind === "allocate" ? 0 : costs[index]!;
      this.#report(step.kind);
    }
  }

  #step(step: PrepareStep): Promise<number> {
    if (step.kind === "rewrite") return this.#rewrite(step);
    const choose: Chosen = step.kind === "allocate" ? holesIn : (inode, pages) => this.#notOwned(inode, pages);
    return relocate(this.#fs, this.#ino, step, choose, (inode, pieces) => this.#allocate(inode, pieces));
  }

  #notOwned(inode: Inode, pages: FileRun): FileRun[] {
    const image = this.#image;
    return image === undefined ? sharedIn(inode, pages) : sharedWithImage(image, inode, pages);
  }

  #allocate(inode: Inode, pieces: readonly FileRun[]): DeviceRun[] | Promise<DeviceRun[]> {
    return allocateRetrying(this.#fs, pagesOf(pieces), nearOf(inode, pieces[0]!.page));
  }

  // What an unwritten or unbacked block of the image holds is zeros, whatever the file's extent says, and so the file
  // reads as it did. Looked at again here: nobody writes to the file now.
  async #rewrite(pages: FileRun): Promise<number> {
    const image = this.#image!;
    const inode = inodeOf(this.#fs, this.#ino);
    this.#fs.leases.checkMayMove(this.#ino);
    const runs = image.unready(extentsIn(inode, pages.page, pages.count)).filter(({ state }) => state !== "shared");
    for (const { page, count } of runs.flatMap((run) => extentsIn(inode, run.page, run.count)).map(deviceRunOf)) {
      await image.writeZeros({ page, count });
    }
    return pagesOf(runs);
  }

  #report(kind: StepKind): void {
    this.#options.progress?.({ kind, done: this.#done, total: this.#total });
  }

  #checkRoom(steps: readonly PrepareStep[]): void {
    const needed = pagesOf(steps.filter(({ kind }) => kind !== "rewrite"));
    const free = this.#fs.volume.statfs().freePages;
    if (needed > free) throw noRoom(`${sizeOf(needed)} in new blocks`, `the volume has ${sizeOf(free)} free`);
  }

  // A writer that has just exited: its RELEASE may still be on its way.
  async #checkNobodyWrites(): Promise<void> {
    const end = Date.now() + writerEndsMs;
    for (;;) {
      const writers = this.#fs.leases.writers(this.#ino);
      if (writers === undefined) return;
      if (Date.now() >= end) throw new FsError("EBUSY", `it is open for writing by ${writers}, close it there (lsof FILE shows who)`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** Pages that a step copies or writes; what is allocated in an image is written by a later step. */
function costOf(inode: Inode, { kind, page, count }: PrepareStep, onImage: boolean): number {
  if (kind === "rewrite" || kind === "unshare") return count;
  if (onImage) return count;
  return kind === "allocate" ? 0 : pagesOf(extentsIn(inode, page, count).filter(({ state }) => state !== "unwritten"));
}

function deviceRunOf({ devicePage, count }: Extent): DeviceRun {
  return { page: devicePage, count };
}

function sizeOf(pages: number): string {
  return `${formatPages(pages)} (${pages} pages)`;
}
