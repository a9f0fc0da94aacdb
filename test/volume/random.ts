// Random numbers from a seed that a failing test prints, so that it can be run again: SWAPFS_SEED=n.

import { seedsFor } from "../support/seeds";

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). mulberry32. */
  next = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };

  /** 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  shuffle<T>(items: T[]): T[] {
    for (let n = items.length - 1; n > 0; n -= 1) {
      const other = this.below(n + 1);
      [items[n], items[other]] = [items[other]!, items[n]!];
    }
    return items;
  }
}

/** The numbers of a seed as a function of what they are to be below. */
export function randomFrom(seed: number): (below: number) => number {
  const random = new Random(seed);
  return (below) => random.below(below);
}

/** Runs `body` for `count` seeds, a new set at every run, and names the seed that failed. */
export function forSeeds(count: number, body: (random: Random, seed: number) => void): void {
  for (const seed of seedsOf(count)) {
    try {
      body(new Random(seed), seed);
    } catch (error) {
      throw withSeed(seed, error);
    }
  }
}

/** As `forSeeds`, one after the other. */
export async function forSeedsInTurn(count: number, body: (random: Random, seed: number) => Promise<void>): Promise<void> {
  for (const seed of seedsOf(count)) await body(new Random(seed), seed).catch((error: unknown) => Promise.reject(withSeed(seed, error)));
}

function seedsOf(count: number): number[] {
  const seeds = seedsFor(count);
  return Array.from({ length: seeds.count }, (_, n) => seeds.first + n);
}

function withSeed(seed: number, error: unknown): Error {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new Error(`seed ${seed}, run again with SWAPFS_SEED=${seed}\n${message}`);
}

/** Turns of the event loop that a test takes itself. */
export class Turns {
  #waiting: (() => void)[] = [];

  turn = (): Promise<void> => new Promise((resolve) => this.#waiting.push(resolve));

  /** Whoever waits for a turn goes on, to where it waits for the next one. */
  async take(): Promise<void> {
    for (const resolve of this.#waiting.splice(0)) resolve();
    await new Promise((resolve) => void setImmediate(resolve));
  }
}
