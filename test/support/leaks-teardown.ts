// jest's globalTeardown: the run fails when the tests leave something behind.

import { leaksSince } from "./leaks";
import "./leaks-setup";

export default async function failOnLeaks(): Promise<void> {
  // A run inside a run (test/native/sanitized.ts), beside which other tests have theirs; the outer one looks at the end.
  if (process.env["SWAPFS_INNER_RUN"] !== undefined) return;
  const leaks = await leaksSince(globalThis.swapfsStateBefore ?? []);
  if (leaks.length > 0) throw new Error(`the tests leave behind:\n  ${leaks.join("\n  ")}`);
}
