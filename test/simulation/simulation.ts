// One simulation: a volume, a data plane, programs, and a seed that decides what happens next.

import type { Change } from "#src/volume/changes";
import { checkDevice } from "#src/volume/fsck";
import { pageSize } from "#src/base/units";
import { chooseSteps, program, restarter, setUp, tearDown } from "./actors";
import { System } from "./adapter";
import { cellBytes, cellsOfFile, Contents, valueOf, type Write } from "./contents";
import { simulatedDevice, type SimulatedDevice } from "./device";
import { Invariants, Violation, type SwapArea } from "./invariants";
import { Scheduler } from "./scheduler";

const stepsMax = 20_000;

/** A clone that is under way. */
export interface Clone {
  readonly from: number;
  readonly to: number;
  readonly pageIn: number;
  readonly pageOut: number;
  /** what it has put into the target; acknowledged with its reply */
  readonly writes: Write[];
}

export class Simulation {
  readonly scheduler: Scheduler;
  readonly device: SimulatedDevice;
  readonly system: System;
  readonly contents = new Contents();
  readonly swaps = new Set<SwapArea>();
  readonly clones = new Set<Clone>();
  readonly inSwapon = new Set<number>();
  readonly invariants: Invariants;
  /** what each program is doing, by pid */
  readonly doing = new Map<number, string>();
  /** how many there are */
  readonly files: number;
  swapons = 0;
  restarts = 0;
  /** the longest time between two looks at everything, in steps */
  readonly #every: number;
  #failure: unknown;

  constructor(seed: number, every: number) {
    this.scheduler = new Scheduler(seed);
    this.#every = every;
    this.files = 1 + this.random.below(3);
    this.device = simulatedDevice(this.scheduler, this.random.pick([14, 24, 40]));
    this.system = new System({
      scheduler: this.scheduler, device: this.device, guard: (page, writer) => this.#noting(() => this.invariants.guard(page, writer)),
      committed: (changes) => {
        this.#noting(() => this.invariants.changed());
        this.#committed(changes);
      },
    });
    this.invariants = new Invariants(this);
    this.device.guard = (page) => this.#noting(() => this.invariants.guard(page, { kind: "read" }));
  }

  get random(): Scheduler["random"] {
    return this.scheduler.random;
  }

  async run(): Promise<void> {
    await this.during([setUp(this)]);
    const steps = chooseSteps(this.random);
    const programs = Array.from({ length: 3 + this.random.below(4) }, (_, n) => program(this, 101 + n, 3 + this.random.below(4), steps));
    if (this.random.chance(0.4)) programs.push(restarter(this));
    await this.during(programs);
    await this.during([tearDown(this)]);
    this.invariants.checkAll();
    this.#checkEnd();
  }

  /** `work`, and whatever else goes on meanwhile, until nothing is left. */
  async during(work: readonly Promise<void>[]): Promise<void> {
    let left = work.length;
    for (const one of work) {
      one.then(() => void (left -= 1), (error: unknown) => {
        left -= 1;
        this.#failure ??= error;
      });
    }
    await this.scheduler.settled();
    while (await this.scheduler.step()) {
      this.invariants.check();
      if (this.scheduler.steps % this.#every === 0) this.invariants.checkAll();
      if (this.#failure !== undefined) throw this.#failure;
      if (this.scheduler.steps > stepsMax) throw new Violation("it does not come to an end");
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (left > 0) throw new Violation(`${left} operations wait for ever: ${[...this.doing.values()].join(", ")}`);
  }

  /** What is thrown inside the filesystem would become EIO. */
  #noting(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#failure ??= error;
      throw error;
    }
  }

  // A clone shows what the source held in the moment of the commit. Nobody writes to either meanwhile.
  #committed(changes: readonly Change[]): void {
    const target = changes.find((change) => change.kind === "put-inode")?.ino;
    for (const change of changes) {
      if (change.kind !== "set-extents" || change.ino !== target || change.extents.some(({ state }) => state !== "shared")) continue;
      // A truncate can look like a clone that has failed, its source being gone, and has not been replied to yet.
      const clone = [...this.clones].find(({ from, to, pageOut }) => to === change.ino && pageOut === change.filePage && this.system.volume.inode(from) !== undefined);
      if (clone !== undefined) this.#cloned(clone, change.filePage, change.count, change.extents.length > 0);
    }
  }

  #cloned({ from, to, pageIn, pageOut, writes }: Clone, filePage: number, pages: number, shares: boolean): void {
    const now = this.contents.tick();
    const [source, target] = [this.invariants.peek(from), this.invariants.peek(to)];
    const perPage = pageSize / cellBytes;
    const shift = (pageIn - pageOut) * perPage;
    for (let cell = filePage * perPage; cell < Math.min(cellsOfFile, (filePage + pages) * perPage); cell += 1) {
      const value = valueOf(cellAt(target, cell));
      if (shares && value !== valueOf(cellAt(source, cell + shift)) && cell + shift < cellsOfFile) {
        this.#failure ??= new Violation(`cell ${cell} of ino ${to}, a clone of ino ${from}, holds ${value}`);
      }
      const write: Write = { value, start: now, end: undefined };
      this.contents.file(to).begin(cell, write);
      writes.push(write);
    }
  }

  #checkEnd(): void {
    const { volume } = this.system;
    for (const { ino } of volume.inodes()) if (this.system.isExclusive(ino)) throw new Violation(`ino ${ino} stays locked`);
    const used = new Set<number>();
    for (const { extents } of volume.inodes()) for (const { devicePage, count } of extents) for (let n = 0; n < count; n += 1) used.add(devicePage + n);
    const { pages, freePages } = volume.statfs();
    if (freePages + used.size !== pages) throw new Violation(`${pages - freePages - used.size} pages are neither free nor used`);
    volume.close();
    const wrong = checkDevice(this.device).findings.filter(({ severity }) => severity !== "note");
    if (wrong.length > 0) throw new Violation(`fsck: ${wrong.map(({ message }) => message).join("; ")}`);
  }
}

function cellAt(bytes: Buffer, cell: number): Buffer {
  return bytes.subarray(cell * cellBytes, (cell + 1) * cellBytes);
}

export interface Outcome {
  readonly error: unknown;
  readonly simulation: Simulation;
  readonly lines: readonly string[];
}

/** Runs one seed; what went wrong is in the outcome. `every`: look at everything after so many steps. */
export async function simulate(seed: number, every = 16): Promise<Outcome> {
  const lines: string[] = [];
  const stderr = process.stderr.write;
  process.stderr.write = ((line: string) => lines.push(line) > 0) as typeof process.stderr.write;
  const scheduler = new Simulation(seed, every);
  let error: unknown;
  try {
    await scheduler.scheduler.withClock(() => scheduler.run());
    const bug = lines.find((line) => /cannot (carry out|free|keep|find)/.test(line));
    if (bug !== undefined) error = new Violation(bug);
  } catch (thrown) {
    error = thrown;
  } finally {
    process.stderr.write = stderr;
  }
  return { error, simulation: scheduler, lines };
}
