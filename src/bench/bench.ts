// The benchmark: the groups that were asked for, one contender at a time, everything undone at the end.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir, cpus, totalmem } from "node:os";
import { join } from "node:path";
import type { Ablation, BenchReport, Contender, Row, Identity } from "../report/model";
import { kernelVersion } from "../sys/kernel";
import { readVersion } from "../sys/version";
import { benchAblation } from "./ablation";
import { benchActivate } from "./activate";
import { Cleanup } from "./cleanup";
import { undoing, type BenchContext, type GroupResult } from "./context";
import { deviceName } from "./device";
import { benchExtents } from "./extents";
import { benchIo } from "./io";
import { benchMetadata } from "./metadata";
import { benchPressure } from "./pressure";
import { benchSwap } from "./swap";

/** What can be asked for; metadata gives the rows of memory as well. */
export const groups = {
  swap: benchSwap, io: benchIo, activate: benchActivate, extents: benchExtents, metadata: benchMetadata, ablation: benchAblation, pressure: benchPressure,
} as const satisfies Readonly<Record<string, (context: BenchContext) => Promise<GroupResult>>>;
export type Measured = keyof typeof groups;

/** What is measured when nothing is asked for: minutes of pressure are not. */
export const usualGroups = (Object.keys(groups) as Measured[]).filter((name) => name !== "pressure");

export interface BenchOptions extends Pick<BenchContext, "signal" | "rounds" | "quick" | "minutes" | "say" | "note"> {
  readonly groups: readonly Measured[];
  readonly device: string | undefined;
}

export async function runBench(options: BenchOptions): Promise<BenchReport> {
  const results: GroupResult[] = [];
  const begun = identify();
  await inScratch(options, async (context) => {
    for (const name of options.groups) results.push(await undoing(context, () => groups[name](context)));
  });
  return { format: 3, identity: begun, device: deviceName(options.device), rounds: options.rounds, ...together(results) };
}

/** A scratch folder, and everything that is set up in it, are gone when `work` has ended. */
export async function inScratch<T>(options: Omit<BenchOptions, "groups">, work: (context: BenchContext) => Promise<T>): Promise<T> {
  const { device, ...rest } = options;
  const folder = mkdtempSync(join(tmpdir(), "swapfs-bench-"));
  const context: BenchContext = { ...rest, folder, cleanup: new Cleanup(), givenDevice: device };
  return undoing(context, () => {
    context.cleanup.add(`remove ${folder}`, () => rmSync(folder, { recursive: true, force: true }));
    return work(context);
  });
}

function together(results: readonly GroupResult[]): Pick<BenchReport, "contenders" | "rows" | "ablation"> {
  const contenders = new Map<string, Contender>();
  for (const contender of results.flatMap((result) => result.contenders)) contenders.set(contender.id, contender);
  const rows: Row[] = results.flatMap((result) => result.rows);
  const ablation: Ablation | undefined = results.find((result) => result.ablation !== undefined)?.ablation;
  return { contenders: [...contenders.values()], rows, ...(ablation && { ablation }) };
}

export function identify(): Identity {
  return {
    date: new Date().toISOString().slice(0, 16).replace("T", " "),
    commit: readVersion().commit,
    kernel: kernelVersion().release,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cpus: cpus().length,
    memoryBytes: totalmem(),
  };
}
