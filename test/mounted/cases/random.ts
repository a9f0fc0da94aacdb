// A random history of writes, truncations, holes and reads on one file, beside a Buffer that is the oracle.

import { promises as fs } from "node:fs";
import path from "node:path";

import { addon } from "#src/sys/addon";

import type { Case } from "./case";

const longest = 600_000;
const keepSize = 1;
const punchHole = 2;
const zeroRange = 0x10;

/** Seeded: mulberry32. */
function makeRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Runs `steps` steps, or until `over` says so. Returns "equal", or where file and oracle first differ. */
export async function randomHistory(file: string, seed: number, steps: number, over: () => boolean = () => false): Promise<string> {
  const random = makeRandom(seed);
  const one = new History(await fs.open(file, seed % 2 === 0 ? "w+" : "as+"), file);
  one.appending = seed % 2 !== 0;
  try {
    for (let step = 0; step < steps && !over(); step += 1) {
      await one.step(random);
      if (step % 25 === 24 && !(await one.matches())) return `seed ${seed}: differs at step ${step}`;
    }
    return (await one.matches()) ? "equal" : `seed ${seed}: differs at the end`;
  } finally {
    await one.handle.close();
  }
}

class History {
  readonly handle: fs.FileHandle;
  readonly #file: string;
  /** opened with O_APPEND: every write goes to the end */
  appending = false;
  #model: Buffer = Buffer.alloc(0);

  constructor(handle: fs.FileHandle, file: string) {
    this.handle = handle;
    this.#file = file;
  }

  async matches(): Promise<boolean> {
    return (await fs.readFile(this.#file)).equals(this.#model);
  }

  async step(random: (below: number) => number): Promise<void> {
    const from = random(2) === 0 ? random(longest) : random(longest / 4096) * 4096;
    const length = 1 + random(random(4) === 0 ? 200_000 : 9000);
    switch (random(8)) {
      case 0:
        await this.handle.truncate(from);
        this.#resize(from);
        break;
      case 1:
        if (this.#fallocate(keepSize | punchHole, from, length)) this.#zero(from, length);
        break;
      case 2:
        if (this.#fallocate(zeroRange | keepSize, from, length)) this.#zero(from, length);
        break;
      case 3:
        if (this.#fallocate(0, from, length)) this.#grow(from + length);
        break;
      default:
        await this.#write(this.appending ? Math.min(this.#model.length, 2 * longest) : from, Buffer.alloc(length, 1 + random(255)));
    }
  }

  async #write(at: number, bytes: Buffer): Promise<void> {
    if (this.appending && this.#model.length > longest) {
      await this.handle.truncate(0);
      this.#resize(0);
      at = 0;
    }
    for (let done = 0; done < bytes.length; ) {
      done += (await this.handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
    }
    this.#grow(at + bytes.length);
    bytes.copy(this.#model, at);
  }

  /** False where there is no fallocate. */
  #fallocate(mode: number, offset: number, length: number): boolean {
    try {
      addon().fallocate(this.handle.fd, mode, offset, length);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EOPNOTSUPP") return false;
      throw error;
    }
  }

  #zero(from: number, length: number): void {
    this.#model.fill(0, Math.min(from, this.#model.length), Math.min(from + length, this.#model.length));
  }

  #grow(length: number): void {
    if (length > this.#model.length) this.#resize(length);
  }

  #resize(length: number): void {
    const made = Buffer.alloc(length);
    this.#model.copy(made, 0, 0, Math.min(length, this.#model.length));
    this.#model = made;
  }
}

export const randomCases: readonly Case[] = [1, 2, 4, 6].map((seed) => ({
  name: `a random history of writes, truncations and holes agrees with a buffer, seed ${seed}`,
  run: ({ dir }) => randomHistory(path.join(dir, "f"), seed, 150),
  expect: "equal",
}));
