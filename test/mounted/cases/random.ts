// A random history of writes, truncations and holes on one file, beside a Buffer that is the oracle.

import { promises as fs } from "node:fs";
import path from "node:path";

import { withOpen, type Case } from "./case";

const longest = 600_000;

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

async function history(file: string, seed: number): Promise<string> {
  const random = makeRandom(seed);
  let model: Buffer = Buffer.alloc(0);
  await fs.writeFile(file, "");
  const flags = seed % 2 === 0 ? "r+" : "rs+";
  return withOpen(file, flags, async (handle) => {
    for (let step = 0; step < 150; step += 1) {
      const at = random(longest);
      if (random(6) === 0) {
        await handle.truncate(at);
        model = resized(model, at);
      } else {
        const bytes = Buffer.alloc(1 + random(random(4) === 0 ? 200_000 : 9000), 1 + random(255));
        await handle.write(bytes, 0, bytes.length, at);
        if (at + bytes.length > model.length) model = resized(model, at + bytes.length);
        bytes.copy(model, at);
      }
      if (step % 25 === 24 && !(await fs.readFile(file)).equals(model)) return `seed ${seed}: differs at step ${step}`;
    }
    return (await handle.stat()).size === model.length ? "equal" : `seed ${seed}: size differs`;
  });
}

function resized(model: Buffer, length: number): Buffer {
  const made = Buffer.alloc(length);
  model.copy(made, 0, 0, Math.min(length, model.length));
  return made;
}

export const randomCases: readonly Case[] = [1, 2, 3].map((seed) => ({
  name: `a random history of writes and truncations agrees with a buffer, seed ${seed}`,
  run: ({ dir }) => history(path.join(dir, "f"), seed),
  expect: "equal",
}));
