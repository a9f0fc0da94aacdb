// jest's globalTeardown: the run fails when the tests leave something behind.

import { rmSync } from "node:fs";

import { leaksSince } from "./leaks";
import "./leaks-setup";
import { runFolder } from "./runs";

export default async function failOnLeaks(): Promise<void> {
  // A run inside a run (test/native/sanitized.ts), beside which other tests have theirs; the outer one looks at the end.
  if (process.env["SWAPFS_INNER_RUN"] !== undefined) return;
  const leaks = await leaksSince(globalThis.swapfsStateBefore ?? [], runFolder()!);
  if (leaks.length > 0) throw new Error(`the tests leave behind:\n  ${leaks.join("\n  ")}`);
  const made = globalThis.swapfsRunMadeHere;
  if (made !== undefined) rmSync(made, { recursive: true, force: true });
}
