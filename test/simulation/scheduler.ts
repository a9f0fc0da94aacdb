// Everything that a simulation waits for, in an order that a seed decides: the device, the data plane, timers, and the turns
// of the programs. Time is simulated as well.

import { Random } from "../volume/random";

interface Task {
  readonly label: string;
  readonly run: () => void;
  /** rarely chosen while others are there: a slow disk, a program that sleeps */
  readonly slow: boolean;
}

interface Timer {
  readonly due: number;
  readonly run: () => void;
}

const realImmediate = setImmediate;

export class Scheduler {
  readonly random: Random;
  /** what was done, one line a step, for whoever looks at a seed */
  readonly trace: string[] = [];
  steps = 0;
  readonly #tasks: Task[] = [];
  readonly #timers = new Map<number, Timer>();
  #nowMs = 1_700_000_000_000;
  #timer = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  /** Resolves when the seed says so. */
  point(label: string): Promise<void> {
    return new Promise((run) => this.#tasks.push({ label, run, slow: this.random.chance(0.15) }));
  }

  /** One thing happens, and everything that follows from it at once; false: nothing is left to happen. */
  async step(): Promise<boolean> {
    const next = this.#tasks.length > 0 && !(this.#timers.size > 0 && this.random.chance(0.02)) ? this.#take() : this.#fire();
    if (next === undefined) return false;
    this.steps += 1;
    this.trace.push(next.label);
    next.run();
    await this.settled();
    return true;
  }

  /** No promise that could go on is left. */
  settled(): Promise<void> {
    return new Promise((resolve) => void realImmediate(resolve));
  }

  /** Nothing that was started before goes on: its process has died. */
  forgetAll(): void {
    this.#tasks.length = 0;
    this.#timers.clear();
  }

  /** The clocks and timers of the programs are ours for as long as `work` lasts. */
  async withClock<T>(work: () => Promise<T>): Promise<T> {
    const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate } = globalThis;
    const dateNow = Date.now;
    Object.assign(globalThis, {
      setTimeout: (run: () => void, ms = 0) => this.#addTimer(run, ms),
      clearTimeout: (timer?: number) => timer !== undefined && this.#timers.delete(timer),
      // Of a wait that may be given up: here nobody is killed.
      setInterval: () => ({ unref: () => undefined }),
      clearInterval: () => undefined,
      setImmediate: (run: () => void) => void this.point("immediate").then(run),
    });
    Date.now = () => this.#nowMs;
    try {
      return await work();
    } finally {
      Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate });
      Date.now = dateNow;
    }
  }

  #addTimer(run: () => void, ms: number): number {
    this.#timers.set((this.#timer += 1), { due: this.#nowMs + ms, run });
    return this.#timer;
  }

  #take(): Task {
    const fast = this.#tasks.filter(({ slow }) => !slow);
    const from = fast.length === 0 || this.random.chance(0.03) ? this.#tasks : fast;
    const task = this.random.pick(from);
    this.#tasks.splice(this.#tasks.indexOf(task), 1);
    return task;
  }

  /** The next timer, early or late: the machine may have slept. */
  #fire(): Task | undefined {
    const [first] = [...this.#timers].sort(([, a], [, b]) => a.due - b.due);
    if (first === undefined) return undefined;
    this.#timers.delete(first[0]);
    this.#nowMs = Math.max(this.#nowMs, first[1].due) + this.random.below(100);
    return { label: "timer", run: first[1].run, slow: false };
  }
}
