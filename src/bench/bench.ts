// The benchmark: the rows that were asked for, one contender at a time, everything undone at the end.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError, exitCode } from "../base/errors";
import type { BenchReport, Row } from "../report/row";
import { benchActivate } from "./activate";
import { Cleanup } from "./cleanup";
import type { BenchContext } from "./context";
import { identify } from "./identity";
import { benchIo } from "./io";
import { benchMetadata } from "./metadata";
import { benchSwap } from "./swap";

export const groups = { swap: benchSwap, activate: benchActivate, io: benchIo, metadata: benchMetadata } as const;
export type GroupName = keyof typeof groups;

export interface BenchOptions {
  readonly groups: readonly GroupName[];
  readonly device: string | undefined;
  readonly pairs: number;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

export async function runBench(options: BenchOptions): Promise<BenchReport> {
  const cleanup = new Cleanup();
  const folder = mkdtempSync(join(tmpdir(), "swapfs-bench-"));
  cleanup.add(`remove ${folder}`, () => rmSync(folder, { recursive: true, force: true }));
  const context: BenchContext = {
    folder, cleanup, signal: options.signal, pairs: options.pairs, givenDevice: options.device, say: options.say,
  };
  const rows: Row[] = [];
  try {
    for (const name of options.groups) {
      const mark = cleanup.mark();
      try {
        rows.push(...(await groups[name](context)));
      } finally {
        await undo(cleanup, mark);
      }
    }
  } finally {
    await undo(cleanup, 0);
  }
  return { identity: identify(), device: options.device ?? "zram", pairs: options.pairs, rows };
}

async function undo(cleanup: Cleanup, mark: number): Promise<void> {
  const left = await cleanup.run(mark);
  if (left.length > 0) throw new UserError(exitCode.internal, `cannot clean up: ${left.join("; ")}`);
}
