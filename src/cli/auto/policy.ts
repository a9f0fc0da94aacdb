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
  /** The next file is so many times as long as all that is on. */
  readonly growth: number;
}

/** What `swapfs auto` is told. */
export interface AutoOptions extends Omit<Settings, "growth"> {
  /** of the volume */
  readonly keepFreeShare: number;
  readonly pressure: string | undefined;
  /** no block views */
  readonly bmap: boolean;
  readonly meminfo: string | undefined;
  readonly json: boolean;
}

/**
 * How a file is swapped on, and how long that takes until it was measured. By its block view it is on at once, however long it is, and to make the one after
 * it takes long when memory is short. Of a file itself the kernel asks for each page where it lies, and a program goes on growing meanwhile.
 */
export const ways = { block: { growth: 3, usPerPage: 0.5 }, bmap: { growth: 1, usPerPage: 15 } };

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
/** of what is on, or of the next file if that is shorter: less than this free, and it is swapped on */
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

/** 0: no room for another. `roomBytes`: what the source may give. */
export function nextBytes(areas: readonly Area[], { maxBytes, chunkBytes, growth }: Settings, roomBytes: number): number {
  const on = onBytes(areas);
  const largest = Math.max(8 * chunkBytes, maxBytes / mostAreas);
  const bytes = Math.min(Math.max(growth * on, chunkBytes), largest, maxBytes - on, roomBytes);
  return bytes < chunkBytes ? 0 : Math.floor(bytes / pageSize) * pageSize;
}

/** The youngest is used first: it has whole runs of free pages, and older ones drain. */
export function nextPriority(areas: readonly Area[], { firstPriority }: Pick<Settings, "firstPriority">): number {
  return Math.min(largestPriority, Math.max(firstPriority - 1, ...areas.map(({ priority }) => priority)) + 1);
}

/** A share of what is on, so that few areas come; more when swap is filled so fast that swapon, which asks for each page, would come too late. */
function boundOf({ series, areas, readyBytes, swaponUsPerPage }: Situation, settings: Settings): number {
  const next = Math.min(nextBytes(areas, settings, Infinity), readyBytes ?? Infinity);
  const step = stepOf(areas, next);
  const swaponMs = (((readyBytes ?? next) / pageSize) * swaponUsPerPage) / 1000;
  const rate = fillRate(series);
  const share = rate > 0 && series.at(-1)!.pressed ? pressedShare : freeShare;
  return Math.floor(Math.min(2 * next, Math.max(step * share, 2 * swaponMs * rate)));
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
    const others = areas.filter((one) => one !== area);
    const plenty = stepOf(others, nextBytes(others, settings, Infinity)) * plentyShare;
    return area.sinceMs <= begin && area.usedBytes <= now.availableBytes / 2 && leastFree - area.byteLength >= plenty;
  });
  return fits.sort((a, b) => b.byteLength - a.byteLength || a.usedBytes - b.usedBytes || a.sinceMs - b.sinceMs)[0];
}

function stepOf(areas: readonly Area[], next: number): number {
  return areas.length === 0 ? next : Math.min(next, onBytes(areas));
}

function onBytes(areas: readonly Area[]): number {
  return areas.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
