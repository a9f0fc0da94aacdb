// Hundreds of simulations of programs that meet on the same files. SWAPFS_SEEDS=100000 runs more, SWAPFS_SEED=n that one,
// looked at after every step.

import { seedsFor } from "../support/seeds";
import { simulate, type Outcome } from "./simulation";

const { first, count, single } = seedsFor(400, "SWAPFS_SEEDS");

function report(seed: number, { error, simulation, lines }: Outcome): string {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const trace = simulation.scheduler.trace.slice(-60).join("\n");
  return `seed ${seed}, run again with SWAPFS_SEED=${seed}\n${what}\n${lines.slice(-10).join("")}\nlast steps:\n${trace}`;
}

test("whatever overlaps, no acknowledged data is lost, no leased page moves, no block has two owners, all comes to an end", async () => {
  let swapons = 0;
  let restarts = 0;
  for (let seed = first; seed < first + count; seed += 1) {
    const outcome = await simulate(seed, single ? 1 : 16);
    if (outcome.error !== undefined) throw new Error(report(seed, outcome));
    swapons += outcome.simulation.swapons;
    restarts += outcome.simulation.restarts;
  }
  if (single) return;
  expect(swapons).toBeGreaterThan(count / 20);
  expect(restarts).toBeGreaterThan(count / 20);
}, 40 * 60_000);

test("a seed reproduces: the same steps in the same order", async () => {
  const [one, other] = [await simulate(first), await simulate(first)];
  expect(other.simulation.scheduler.trace).toEqual(one.simulation.scheduler.trace);
});
