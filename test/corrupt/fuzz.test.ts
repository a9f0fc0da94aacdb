// Mutated volumes: a refusal in words or a sound state, never another exception, nor much time. SWAPFS_FUZZ=1000000 tries more,
// SWAPFS_SEED=n that one.

import { seedsFor } from "../support/seeds";
import { openMutated } from "./mutated";

const { first, count, single } = seedsFor(400, "SWAPFS_FUZZ");
const slowMs = 5000;

test("a mutated volume is refused in words, or nothing in it harms anything else", async () => {
  const lines: string[] = [];
  const spy = jest.spyOn(process.stderr, "write").mockImplementation((line) => lines.push(String(line)) > 0);
  let opened = 0;
  for (let seed = first; seed < first + count; seed += 1) {
    lines.length = 0;
    const before = process.cpuUsage();
    try {
      opened += Number(await openMutated(seed));
      const bug = lines.find((line) => line.includes("cannot carry out"));
      if (bug !== undefined) throw new Error(bug);
      const { user, system } = process.cpuUsage(before); // not the time, in which a busy machine may do nothing of this
      const tookMs = (user + system) / 1000;
      if (tookMs > slowMs) throw new Error(`it took ${Math.round(tookMs)} ms of a processor`);
    } catch (error) {
      spy.mockRestore();
      throw new Error(`seed ${seed}, run again with SWAPFS_SEED=${seed}\n${error instanceof Error ? error.stack : String(error)}\n${lines.slice(-5).join("")}`);
    }
  }
  spy.mockRestore();
  if (!single) expect(opened).toBeGreaterThan(count / 20);
}, 6 * 3_600_000);
