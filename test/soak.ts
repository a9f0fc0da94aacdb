// npm run soak -- --minutes N [--seed S] [--only KIND,KIND]
//
// What `npm test` has only a little of, in rounds with new seeds until the time is over: random histories on every source, races on
// one file, simulated volumes, mutated volumes, power cuts. Ends with the first failure, and with the seed that repeats it.

import { spawn } from "node:child_process";
import path from "node:path";
import { parseArgs } from "node:util";

const root = path.resolve(__dirname, "..");

interface Kind {
  readonly name: string;
  readonly files: readonly string[];
  /** The variable of the environment that says how many, and how many in a round: a minute or two. */
  readonly knob: string;
  readonly count: number;
}

const kinds: readonly Kind[] = [
  { name: "histories", files: ["mounted/histories-device", "mounted/histories-image"], knob: "SWAPFS_HISTORIES", count: 10 },
  { name: "races", files: ["mounted/histories-races"], knob: "SWAPFS_HISTORIES", count: 8 },
  { name: "simulation", files: ["simulation/simulation"], knob: "SWAPFS_SEEDS", count: 5000 },
  { name: "fuzz", files: ["corrupt/fuzz"], knob: "SWAPFS_FUZZ", count: 5000 },
  { name: "cuts", files: ["crash/histories", "crash/undurable", "blocks/pin-histories", "ops/model"], knob: "SWAPFS_CUTS", count: 2000 },
];

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly kinds: readonly Kind[];
}

function main(): Promise<number> {
  const options = readOptions();
  if (typeof options === "string") {
    say(`${options}\nusage: npm run soak -- --minutes N [--seed S] [--only ${kinds.map(({ name }) => name).join(",")}]`);
    return Promise.resolve(2);
  }
  return soak(options);
}

function readOptions(): Options | string {
  try {
    const { values } = parseArgs({ options: { minutes: { type: "string" }, seed: { type: "string" }, only: { type: "string" } } });
    const minutes = Number(values.minutes ?? Number.NaN);
    const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 30));
    const only = values.only?.split(",") ?? kinds.map(({ name }) => name);
    if (!(minutes > 0)) return "cannot soak: --minutes is to say how long";
    if (!Number.isSafeInteger(seed) || seed < 0) return "cannot soak: --seed is no whole number";
    const unknown = only.filter((name) => !kinds.some((kind) => kind.name === name));
    if (unknown.length > 0) return `cannot soak: --only names what is not there: ${unknown.join(", ")}`;
    return { minutes, seed, kinds: kinds.filter(({ name }) => only.includes(name)) };
  } catch (error) {
    return `cannot soak: ${(error as Error).message}`;
  }
}

async function soak({ minutes, seed, kinds: chosen }: Options): Promise<number> {
  const began = Date.now();
  const end = began + minutes * 60_000;
  const taken = new Map<string, number>();
  for (let round = 0; Date.now() < end; round += 1) {
    for (const kind of chosen) {
      if (Date.now() >= end) break;
      const first = seed + round * kind.count;
      say(`${since(began)}: round ${round + 1}, ${kind.name}, ${kind.count} from seed ${first}`);
      const status = await jest(kind, first);
      if (status !== 0) {
        say(`${kind.name} failed. The seed is above; the round again: npm run soak -- --minutes 1 --only ${kind.name} --seed ${first}`);
        return 1;
      }
      taken.set(kind.name, (taken.get(kind.name) ?? 0) + kind.count);
    }
  }
  say(`${since(began)}: no failure, ${[...taken].map(([name, count]) => `${name} ${count}`).join(", ")}, from seed ${seed}`);
  return 0;
}

function jest({ files, knob, count }: Kind, first: number): Promise<number> {
  const words = ["--runInBand", ...files.map((file) => `dist-test/${file}.test.js`)];
  const child = spawn(process.execPath, [path.join(root, "node_modules/jest/bin/jest.js"), ...words], {
    cwd: root, stdio: "inherit", env: { ...process.env, SWAPFS_FIRST_SEED: String(first), [knob]: String(count) },
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

function since(began: number): string {
  return `${((Date.now() - began) / 60_000).toFixed(1)} min`;
}

function say(text: string): void {
  process.stdout.write(`soak: ${text}\n`);
}

void main().then((status) => {
  process.exitCode = status;
});
