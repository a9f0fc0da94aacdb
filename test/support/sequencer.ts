// The order in which jest starts the test files: long ones first, so that none of them is still under way when all else is
// over. Jest itself goes by the time that each took before, which a fresh machine does not know, and then by size.

import type { Test } from "@jest/test-result";
import Sequencer from "@jest/test-sequencer";

/**
 * Those of more than twenty seconds. Where it goes, one that takes turns with others (turns.ts) stands between two that do not:
 * two beside each other would wait for each other.
 */
export const longOnes: readonly string[] = [
  "native/sanitized-thread", "mounted/noleak", "native/sanitized-address", "bench/bench", "mounted/histories-image",
  "mounted/unlinkedswap", "mounted/histories-device", "mounted/elastic", "mounted/imagegate", "mounted/resize", "mounted/prepare",
  "bench/device", "mounted/operations", "mounted/restarts", "mounted/activation-races", "mounted/loopswap", "native/restarts",
  "cli/demo", "mounted/faults", "mounted/session", "mounted/clones", "simulation/simulation", "mounted/many", "corrupt/fuzz",
  "native/readers", "native/faults", "mounted/histories-races", "mounted/ablation", "bench/ablation", "crash/histories",
  "mounted/activated", "mounted/fusenative", "mounted/filegate", "cli/badinput", "cli/damage", "report/html", "mounted/create", "install/install",
  "install/package",
];

export default class LongOnesFirst extends Sequencer {
  override sort(tests: Test[]): Test[] {
    return orderOf(super.sort(tests) as Test[], ({ path }) => path);
  }
}

/** Stable: what is not named comes after, as it stood. */
export function orderOf<T>(files: readonly T[], pathOf: (file: T) => string): T[] {
  const rank = (file: T): number => {
    const at = longOnes.findIndex((name) => pathOf(file).endsWith(`/dist-test/${name}.test.js`));
    return at === -1 ? longOnes.length : at;
  };
  return [...files].sort((one, other) => rank(one) - rank(other));
}
