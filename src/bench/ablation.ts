// What each step of an ordinary write costs: a write of one page to an activated file, and the same write with one step more.
// Each setting is a mount of its own; what belongs to one mount is measured on it, one after the other.

import { closeSync, openSync, readSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UserError, exitCode } from "../base/errors";
import { ablationVariable, type AblationName } from "../dataplane/ablation";
import type { Ablation, AblationStep } from "../report/model";
import { summarize } from "../report/stats";
import { stepPlans, type Point, type StepPlan } from "./ablationsteps";
import { deviceFor, steps, trying, type BenchContext, type GroupResult, turnsOf } from "./context";
import type { BenchDevice } from "./device";
import { runFio } from "./fio";
import { allocated, filled, fresh, type OurFilesystem } from "./stages";
import { must, swapfs } from "./tools";

const deviceBytes = 512 * 2 ** 20;
const fileBytes = { whole: 16 * 2 ** 20, quick: 2 * 2 ** 20 };

interface WriteJob {
  readonly jobs?: number;
  readonly buffered?: boolean;
  /** in random order, each page once: the step happens at the first write to a page. Else as many as the time allows */
  readonly once?: boolean;
}

interface Place {
  readonly mountpoint: string;
  readonly byteLength: number;
  /** us a page */
  measure(file: string, job?: WriteJob): Promise<number>;
}

interface Setting {
  readonly name: string;
  readonly switches?: readonly AblationName[];
  readonly filesystem?: OurFilesystem;
  readonly points: (place: Place, context: BenchContext) => Promise<Partial<Record<Point, number>>>;
}

const once = { once: true };

const settings: readonly Setting[] = [
  {
    name: "nothing",
    points: async (place) => {
      const file = activated(place);
      return { base: await place.measure(file), "base-2-jobs": await place.measure(file, { jobs: 2 }) };
    },
  },
  { name: "lock", switches: ["lock"], points: async (place) => ({ lock: await place.measure(activated(place), { jobs: 2 }) }) },
  {
    name: "cache", switches: ["cache"],
    points: async (place) => {
      const file = activated(place);
      return { "direct-open": await place.measure(file), cache: await place.measure(file, { buffered: true }) };
    },
  },
  { name: "killpriv", switches: ["cache", "killpriv"], points: async (place) => ({ killpriv: await place.measure(activated(place)) }) },
  { name: "time", switches: ["time"], points: async (place) => ({ time: await place.measure(activated(place)) }) },
  { name: "ask", switches: ["ask"], points: async (place) => ({ ask: await place.measure(activated(place)) }) },
  { name: "commit", switches: ["ask", "commit"], points: async (place) => ({ commit: await place.measure(activated(place)) }) },
  { name: "invalidation", switches: ["keep"], points: invalidation },
  {
    name: "blocks", switches: ["direct"],
    points: async (place) => {
      const allocation = await place.measure(sparse(place), once);
      const unwritten = await place.measure(allocated(join(place.mountpoint, "preallocated"), place.byteLength), once);
      const shared = filled(join(place.mountpoint, "shared"), place.byteLength);
      must("cp", [shared, join(place.mountpoint, "clone")]);
      return { allocation, unwritten, cow: await place.measure(shared, once) };
    },
  },
  {
    name: "JavaScript", filesystem: "fuse-native",
    points: async (place) => ({ javascript: await place.measure(filled(join(place.mountpoint, "a"), place.byteLength)) }),
  },
  {
    name: "everything", switches: ["killpriv", "time", "ask", "commit"],
    points: async (place) => ({ whole: await place.measure(sparse(place), { once: true, buffered: true }) }),
  },
];

export async function benchAblation(context: BenchContext): Promise<GroupResult> {
  const device = await deviceFor(context, deviceBytes);
  const measured = new Map<Point, Map<number, number>>();
  const next = steps(context, "ablation", context.rounds * settings.length);
  for (let round = 0; round < context.rounds; round += 1) {
    for (const setting of turnsOf(settings, round)) {
      await next(`round ${round + 1}, ${setting.name} switched on`);
      for (const [point, value] of Object.entries(await pointsOf(context, device, setting)) as [Point, number][]) {
        measured.set(point, (measured.get(point) ?? new Map<number, number>()).set(round, value));
      }
    }
  }
  return { contenders: [], rows: [], ...ablationOf(measured) };
}

/** Nothing when the setting cannot be made here: the others are worth having. */
async function pointsOf(context: BenchContext, device: BenchDevice, setting: Setting): Promise<Partial<Record<Point, number>>> {
  let found: Partial<Record<Point, number>> = {};
  await trying(context, `ablation, ${setting.name}`, async () => {
    await device.renew();
    const byteLength = context.quick ? fileBytes.quick : fileBytes.whole;
    const mountpoint = mountSwitched(context, device.path, setting);
    found = await setting.points({ mountpoint, byteLength, measure: (file, job) => usPerPage(context, file, byteLength, job) }, context);
  });
  return found;
}

/** The CLI's environment is ours, and swapfs bench refuses to start with the variable set. */
function mountSwitched(context: BenchContext, device: string, { switches = [], filesystem = "swapfs" }: Setting): string {
  if (switches.length > 0) process.env[ablationVariable] = switches.join(",");
  try {
    return fresh(context, filesystem, device);
  } finally {
    delete process.env[ablationVariable];
  }
}

/** A handle that was opened before the activation keeps its page cache, and with the switch the opens of fio leave it alone. */
async function invalidation(place: Place, context: BenchContext): Promise<Partial<Record<Point, number>>> {
  const file = filled(join(place.mountpoint, "a"), place.byteLength);
  const reader = openSync(file, "r");
  const close = onceOnly(() => closeSync(reader));
  context.cleanup.add(`close ${file}`, close);
  swapfs("activate", file);
  await place.measure(file, once); // what is measured first finds a machine that has just been idle
  const without = await place.measure(file, once);
  const chunk = Buffer.allocUnsafe(2 ** 20);
  for (let offset = 0; offset < place.byteLength; offset += chunk.length) readSync(reader, chunk, 0, chunk.length, offset);
  const points = { "no-pages": without, invalidate: await place.measure(file, once) };
  close();
  return points;
}

function onceOnly(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

function activated({ mountpoint, byteLength }: Place): string {
  const file = filled(join(mountpoint, "a"), byteLength);
  swapfs("activate", file);
  return file;
}

function sparse({ mountpoint, byteLength }: Place): string {
  const file = join(mountpoint, "sparse");
  writeFileSync(file, "");
  truncateSync(file, byteLength);
  return file;
}

async function usPerPage(context: BenchContext, file: string, byteLength: number, { jobs = 1, buffered, once: each }: WriteJob = {}): Promise<number> {
  const row = "write";
  const lines = [
    "rw=randwrite", "bs=4k", "ioengine=psync", `direct=${buffered ? 0 : 1}`, `numjobs=${jobs}`, "invalidate=0", "exec_prerun=true",
    ...(each ? [] : ["time_based=1", ...(context.quick ? ["runtime=30ms"] : ["ramp_time=300ms", "runtime=700ms"])]),
  ];
  const result = (await runFio(context, file, byteLength, [{ row, direction: "write", lines }])).get(row);
  if (result === undefined || result.error !== 0 || !(result.iops > 0)) {
    throw new UserError(exitCode.mountFailed, `cannot measure writes to ${file}: fio says errno ${result?.error ?? "nothing"}`);
  }
  return 1e6 / result.iops;
}

/** Differences are taken within a round; a step without any is left out. */
export function ablationOf(measured: ReadonlyMap<Point, ReadonlyMap<number, number>>): { ablation?: Ablation } {
  const base = valuesOf(measured.get("base"));
  if (base.length === 0) return {};
  const whole = valuesOf(measured.get("whole"));
  const steps = stepPlans.flatMap((plan) => stepOf(plan, measured));
  return { ablation: { base: summarize(base), steps, ...(whole.length > 0 && { whole: summarize(whole) }) } };
}

function stepOf({ point, reference, ...plan }: StepPlan, measured: ReadonlyMap<Point, ReadonlyMap<number, number>>): AblationStep[] {
  const [withIt, without] = [measured.get(point), measured.get(reference)];
  const added = [...(withIt ?? [])].flatMap(([round, value]) => (without?.has(round) ? [value - without.get(round)!] : []));
  return added.length === 0 ? [] : [{ ...plan, withStep: summarize(valuesOf(withIt)), added: summarize(added) }];
}

function valuesOf(rounds: ReadonlyMap<number, number> | undefined): number[] {
  return [...(rounds?.values() ?? [])];
}
