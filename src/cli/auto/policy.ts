// When swap grows and when it shrinks: pure functions of a series of samples. What they decide is done elsewhere (run.ts, native/autoswap).

import { pageSize } from "../../base/units";
import { largestPriority } from "../common/outcome";

/** A look at the machine's memory. */
export interface Sample {
  readonly atMs: number;
  readonly availableBytes: number;
  readonly swapTotalBytes: number;
  readonly swapFreeBytes: number;
  /** somebody has waited for memory in the last seconds (PSI) */
  readonly pressed: boolean;
}

/** A swap area that was added. */
export interface Area {
  readonly path: string;
  /** of its file */
  readonly byteLength: number;
  readonly usedBytes: number;
  readonly priority: number;
  readonly sinceMs: number;
}

export interface Settings {
  readonly maxBytes: number;
  readonly chunkBytes: number;
  /** so long there must have been plenty before an area goes */
  readonly calmMs: number;
  readonly firstPriority: number;
}

export interface Situation {
  /** oldest first */
  readonly series: readonly Sample[];
  readonly areas: readonly Area[];
  /** of the file that lies ready */
  readonly readyBytes: number | undefined;
  readonly swaponUsPerPage: number;
}

export interface Decision {
  /** The file that lies ready is swapped on as soon as less than this of swap is free. */
  readonly addBelowBytes: number;
  readonly remove: Area | undefined;
}

/** The kernel knows some 25 swap areas (MAX_SWAPFILES, include/linux/swap.h). */
const mostAreas = 16;
/** of the next file's length: less than this free, and it is swapped on */
const freeShare = 1 / 4;
/** the same while swap fills and somebody waits for memory */
const pressedShare = 3 / 8;
/** So much is to be left free after a removal: more than at what an area would be added. */
const plentyShare = 1 / 2;
/** The fastest that swap has been filled so lately counts. */
const rateMs = 10_000;
/** Shorter pieces of a series say little of a rate. */
const leastStepMs = 200;

export function decide(situation: Situation, settings: Settings): Decision {
  const now = situation.series.at(-1);
  const addBelowBytes = boundOf(situation, settings);
  const short = now === undefined || now.swapFreeBytes < addBelowBytes;
  return { addBelowBytes, remove: short ? undefined : removable(situation, settings, now) };
}

/** What is on doubles, so that there are few areas; 0: no room for another. `roomBytes`: what the source may give. */
export function nextBytes(areas: readonly Area[], { maxBytes, chunkBytes }: Settings, roomBytes: number): number {
  const on = sumOf(areas, ({ byteLength }) => byteLength);
  const largest = Math.max(8 * chunkBytes, maxBytes / mostAreas);
  const bytes = Math.min(Math.max(on, chunkBytes), largest, maxBytes - on, roomBytes);
  return bytes < chunkBytes ? 0 : Math.floor(bytes / pageSize) * pageSize;
}

/** The youngest is used first: it has whole runs of free pages, and older ones drain. */
export function nextPriority(areas: readonly Area[], { firstPriority }: Pick<Settings, "firstPriority">): number {
  return Math.min(largestPriority, Math.max(firstPriority - 1, ...areas.map(({ priority }) => priority)) + 1);
}

/** A share of what would come next; more when swap is filled so fast that swapon, which asks for each page, would come too late. */
function boundOf({ series, areas, readyBytes, swaponUsPerPage }: Situation, settings: Settings): number {
  const next = Math.min(nextBytes(areas, settings, Infinity), readyBytes ?? Infinity);
  const swaponMs = (((readyBytes ?? next) / pageSize) * swaponUsPerPage) / 1000;
  const rate = fillRate(series);
  const share = rate > 0 && series.at(-1)!.pressed ? pressedShare : freeShare;
  return Math.floor(Math.min(2 * next, Math.max(next * share, 2 * swaponMs * rate)));
}

/** Bytes of swap a ms; areas that came or went meanwhile do not count. */
export function fillRate(series: readonly Sample[]): number {
  const end = (series.at(-1)?.atMs ?? 0) - rateMs;
  let rate = 0;
  let from: Sample | undefined;
  for (const sample of series) {
    if (sample.atMs < end) continue;
    if (from === undefined || sample.swapTotalBytes !== from.swapTotalBytes) from = sample;
    const ms = sample.atMs - from.atMs;
    if (ms < leastStepMs) continue;
    rate = Math.max(rate, (from.swapFreeBytes - sample.swapFreeBytes) / ms);
    from = sample;
  }
  return rate;
}

/** The longest area of those whose pages fit elsewhere, in memory on their way too, with plenty left for as long as `calmMs`. */
function removable({ series, areas }: Situation, settings: Settings, now: Sample): Area | undefined {
  const begin = now.atMs - settings.calmMs;
  if (series[0]!.atMs > begin) return undefined;
  const leastFree = Math.min(...series.filter(({ atMs }) => atMs >= begin).map(({ swapFreeBytes }) => swapFreeBytes));
  const fits = areas.filter((area) => {
    const next = nextBytes(areas.filter((one) => one !== area), settings, Infinity);
    return area.sinceMs <= begin && area.usedBytes <= now.availableBytes / 2 && leastFree - area.byteLength >= next * plentyShare;
  });
  return fits.sort((a, b) => b.byteLength - a.byteLength || a.usedBytes - b.usedBytes || a.sinceMs - b.sinceMs)[0];
}

function sumOf<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}
