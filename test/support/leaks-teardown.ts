// jest's globalTeardown: the run fails when the tests leave something behind.

import { leaksSince } from "./leaks";
import "./leaks-setup";

export default async function failOnLeaks(): Promise<void> {
  const leaks = await leaksSince(globalThis.swapfsStateBefore ?? []);
  if (leaks.length > 0) throw new Error(`the tests leave behind:\n  ${leaks.join("\n  ")}`);
}
