// fio that goes on until it is told to stop: what is done to it meanwhile comes in the middle, however slow the machine is.

import { writeFileSync } from "node:fs";
import path from "node:path";

import { run, type Done } from "./mounted-run";

export interface Running {
  readonly done: Promise<Done>;
  stop(): void;
}

let jobs = 0;
/** Shorter than a test's patience: one that nobody stops ends by itself. */
const runtime = 120;

/** Reads and writes at random, and every block that is read carries the sum that was written with it. `dir`: for its own files. */
export function verifyingFio(dir: string, ...options: string[]): Running {
  const trigger = path.join(dir, `stop-fio-${process.pid}-${(jobs += 1)}`);
  const done = run("fio", [
    "--name=job", "--rw=randrw", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--time_based", `--runtime=${runtime}`,
    `--trigger-file=${trigger}`, "--trigger=true", ...options,
  ], { cwd: dir, timeoutMs: 1000 * (runtime + 30) });
  return { done, stop: () => writeFileSync(trigger, "") };
}
