// Swap through every kind of area on the same device: one memory workload each, which gives a row for swapping out in
// order, in again in order, and random touches.

import { pageSize } from "../base/units";
import { runPressure, type PressureOptions, type PressureResult } from "../sys/pressure";
import { contender, type ContenderId } from "./contenders";
import { deviceFor, steps, turn, type BenchContext, type GroupResult, turnsOf } from "./context";
import type { BenchDevice } from "./device";
import { atMost, type RatioRule, type ValueRule, contendersOf, Samples, type RowHead } from "./samples";
import { allocated, attachLoop, fresh, swapOn, swapPriority, written } from "./stages";
import { must, requestsOf, swapfs } from "./tools";

export const areaBytes = 256 * 2 ** 20;
/** btrfs and xfs want room beside the file. */
export const swapDeviceBytes = 768 * 2 ** 20;

/** Swaps on; the turn's cleanup undoes it. Where there is a daemon that tells, gives the requests that it has seen so far. */
type SwapStage = (context: BenchContext, device: string) => void | (() => number);

/** In the order in which they are shown; pairs with a bound stand side by side. */
export const swapStages = {
  device: (context, device) => {
    must("mkswap", ["-f", device, String(areaBytes / 1024)]);
    swapOn(context, device);
  },
  swapfs: (context, device) => {
    const mountpoint = fresh(context, "swapfs", device);
    swapfs("create", `${mountpoint}/a`, "--size", String(areaBytes), "--on", "--priority", swapPriority);
    return () => requestsOf(mountpoint);
  },
  "swapfs-block": (context, device) => {
    const mountpoint = fresh(context, "swapfs", device);
    swapfs("create", `${mountpoint}/a`, "--size", String(areaBytes), "--on", "--block", "--priority", swapPriority);
    return () => requestsOf(mountpoint);
  },
  ext4: (context, device) => onFile(context, allocated(`${fresh(context, "ext4", device)}/a`, areaBytes)),
  xfs: (context, device) => onFile(context, allocated(`${fresh(context, "xfs", device)}/a`, areaBytes)),
  btrfs: (context, device) => {
    const file = `${fresh(context, "btrfs", device)}/a`;
    must("touch", [file]);
    must("chattr", ["+C", file]);
    onFile(context, allocated(file, areaBytes));
  },
  "ntfs-3g": (context, device) => onFile(context, written(`${fresh(context, "ntfs-3g", device)}/a`, areaBytes)),
  "loop-buffered": (context, device) => onLoop(context, device, false),
  "loop-direct": (context, device) => onLoop(context, device, true),
  "swapfs-loop": (context, device) => {
    const mountpoint = fresh(context, "swapfs", device);
    swapfs("create", `${mountpoint}/a`, "--size", String(areaBytes));
    swapfs("swapon", "--loop", `${mountpoint}/a`, "--priority", swapPriority);
    return () => requestsOf(mountpoint);
  },
} as const satisfies Partial<Record<ContenderId, SwapStage>>;

export type SwapContender = keyof typeof swapStages;

function onFile(context: BenchContext, file: string): void {
  must("mkswap", ["-q", file]);
  swapOn(context, file);
}

function onLoop(context: BenchContext, device: string, direct: boolean): void {
  const file = written(`${fresh(context, "ext4", device)}/a`, areaBytes);
  onFile(context, attachLoop(context, file, direct));
}

interface Variant {
  readonly threads: 1 | 4;
  readonly hugePages: boolean;
}

const variantsOf = ({ quick }: BenchContext): readonly Variant[] => [
  { threads: 1, hugePages: false },
  ...(quick ? [] : [{ threads: 4, hugePages: false }, { threads: 1, hugePages: true }] as const),
  { threads: 4, hugePages: true },
];
const perPage = ({ bytes }: PressureResult, seconds: number): number => (seconds * 1e6) / (bytes / pageSize);

/** Microseconds. */
const phases = {
  "sequential out": (result: PressureResult) => perPage(result, result.fillSeconds),
  "sequential in": (result: PressureResult) => perPage(result, result.verifySeconds),
  "random touch": ({ usPerTouch }: PressureResult) => usPerTouch,
};
type Phase = keyof typeof phases;
const phaseNames = Object.keys(phases) as Phase[];

const contenders = Object.keys(swapStages) as SwapContender[];
const requestsRow = "FUSE requests in the run";
const badPagesRow = "bad pages";

const headsOf = (variants: readonly Variant[]): readonly RowHead[] => [
  ...variants.flatMap((variant) => phaseNames.map((phase): RowHead => ({
    group: "swap", name: rowName(phase, variant), unit: "us/page", better: "less", contenders,
  }))),
  { group: "swap", name: requestsRow, unit: "", better: "less", contenders: ["swapfs", "swapfs-block", "swapfs-loop"] },
  { group: "swap", name: badPagesRow, unit: "", better: "less", contenders },
];

const times = /^(sequential|random)/;
export const swapRatios: readonly RatioRule[] = [
  { contender: "swapfs", against: "device", rows: times, bound: atMost(1.03) },
  { contender: "swapfs", against: "ext4", rows: times },
  { contender: "swapfs-block", against: "device", rows: times },
  { contender: "swapfs-block", against: "swapfs", rows: times },
  { contender: "swapfs", against: "loop-direct", rows: /^sequential/ },
  { contender: "swapfs", against: "loop-direct", rows: /^random/, bound: atMost(0.2) },
  { contender: "swapfs-loop", against: "loop-direct", rows: times, bound: atMost(1.3) },
];
const swapBounds: readonly ValueRule[] = [
  { contender: "swapfs", rows: new RegExp(`^${requestsRow}$`), bound: atMost(0) },
  { contender: "swapfs-block", rows: new RegExp(`^${requestsRow}$`), bound: atMost(0) },
  { rows: new RegExp(`^${badPagesRow}$`), bound: atMost(0) },
];

export async function benchSwap(context: BenchContext): Promise<GroupResult> {
  const device = await deviceFor(context, swapDeviceBytes);
  const samples = new Samples();
  const variants = variantsOf(context);
  const next = steps(context, "swap", context.rounds * variants.length * contenders.length);
  for (let round = 0; round < context.rounds; round += 1) {
    const totals = new Map<SwapContender, { requests: number; badPages: number }>();
    for (const [index, variant] of variants.entries()) {
      for (const who of turnsOf(contenders, round + index)) {
        await next(`round ${round + 1}, ${variantText(variant)}, ${contender(who).name}`);
        const rows = phaseNames.map((phase) => rowName(phase, variant));
        await turn(context, samples, who, [...rows, requestsRow, badPagesRow], async () => {
          const { result, requests } = await measure(context, device, who, variant);
          for (const phase of phaseNames) samples.add(rowName(phase, variant), who, round, phases[phase](result));
          const total = totals.get(who) ?? { requests: 0, badPages: 0 };
          totals.set(who, { requests: total.requests + requests, badPages: total.badPages + result.badPages });
        });
      }
    }
    for (const [who, { requests, badPages }] of totals) {
      samples.add(requestsRow, who, round, requests);
      samples.add(badPagesRow, who, round, badPages);
    }
  }
  const heads = headsOf(variants);
  return { contenders: contendersOf(heads), rows: samples.rows(heads, swapRatios, swapBounds) };
}

async function measure(
  context: BenchContext, device: BenchDevice, who: SwapContender, variant: Variant,
): Promise<{ result: PressureResult; requests: number }> {
  await device.renew();
  const stage: SwapStage = swapStages[who];
  const requests = stage(context, device.path);
  const before = requests?.() ?? 0;
  const result = await runPressure({ ...workload(context), ...variant, signal: context.signal });
  return { result, requests: (requests?.() ?? 0) - before };
}

function workload({ quick }: BenchContext): PressureOptions {
  const resident = { residentBytes: 64 * 2 ** 20 };
  return quick ? { ...resident, byteLength: 96 * 2 ** 20, touches: 2000 } : { ...resident, byteLength: 192 * 2 ** 20, seconds: 1 };
}

function rowName(phase: Phase, variant: Variant): string {
  return `${phase}, ${variantText(variant)}`;
}

function variantText({ threads, hugePages }: Variant): string {
  return `${threads} thread${threads === 1 ? "" : "s"}, huge pages ${hugePages ? "on" : "off"}`;
}
