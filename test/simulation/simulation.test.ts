// Thousands of simulations of programs that meet on the same files. SWAPFS_SEEDS=100000 runs more, SWAPFS_SEED=n that one,
// looked at after every step.

import { simulate, type Outcome } from "./simulation";

const fixed = process.env["SWAPFS_SEED"];
const seeds = Number(process.env["SWAPFS_SEEDS"] ?? 3000);
const first = fixed === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(fixed);

function report(seed: number, { error, simulation, lines }: Outcome): string {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const trace = simulation.scheduler.trace.slice(-60).join("\n");
  return `seed ${seed}, run again with SWAPFS_SEED=${seed}\n${what}\n${lines.slice(-10).join("")}\nlast steps:\n${trace}`;
}

test("whatever overlaps, no acknowledged data is lost, no leased page moves, no block has two owners, all comes to an end", async () => {
  let swapons = 0;
  let restarts = 0;
  const until = fixed === undefined ? first + seeds : first + 1;
  for (let seed = first; seed < until; seed += 1) {
    const outcome = await simulate(seed, fixed === undefined ? 16 : 1);
    if (outcome.error !== undefined) throw new Error(report(seed, outcome));
    swapons += outcome.simulation.swapons;
    restarts += outcome.simulation.restarts;
  }
  if (fixed !== undefined) return;
  expect(swapons).toBeGreaterThan(seeds / 20);
  expect(restarts).toBeGreaterThan(seeds / 20);
}, 40 * 60_000);

test("a seed reproduces: the same steps in the same order", async () => {
  const [one, other] = [await simulate(first), await simulate(first)];
  expect(other.simulation.scheduler.trace).toEqual(one.simulation.scheduler.trace);
});
