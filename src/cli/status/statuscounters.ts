// What a volume's processes have counted, for a person.

import type { VolumeStatus } from "./gather";
import { table } from "../../base/table";

const noteworthy = new Set([
  "mapped", "relayed", "parked", "bmap_hits", "merged", "resent", "resends", "deferred", "errors", "device_errors", "allocations",
  "evicted",
]);

export function requestLines({ requests, counters }: VolumeStatus): string[] {
  const seen = Object.entries(requests).sort(([, a], [, b]) => b - a);
  if (seen.length === 0) return [];
  const notable = Object.entries(counters).filter(([name, value]) => value > 0 && noteworthy.has(name));
  return [
    `requests: ${seen.map(([name, value]) => `${name} ${value}`).join(", ")}`,
    ...(notable.length > 0 ? [`counters: ${notable.map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ")}`] : []),
    ...pageLines(counters),
  ];
}

/** Pages read and written, by the path that their requests took. */
function pageLines(counters: VolumeStatus["counters"]): string[] {
  const paths = ["ordinary", "swap_rw", "parked"].flatMap((path) => {
    const [pagesIn, pagesOut] = [counters[`${path}_pages_in`] ?? 0, counters[`${path}_pages_out`] ?? 0];
    return pagesIn + pagesOut === 0 ? [] : [`${path} ${pagesIn} in, ${pagesOut} out`];
  });
  if (paths.length === 0) return [];
  return [`pages: ${paths.join("; ")} (in flight: ${counters["in_flight"] ?? 0} requests, ${counters["in_flight_max"] ?? 0} at most)`];
}

export function latencyLines({ latency }: VolumeStatus): string[] {
  const rows = Object.entries(latency).flatMap(([kind, { count, p50Ns, p99Ns }]) =>
    p50Ns === undefined || p99Ns === undefined ? [] : [[kind, count, `p50 ${duration(p50Ns)}`, `p99 ${duration(p99Ns)}`]]);
  return rows.length === 0 ? [] : ["latency:", ...table(rows).map((line) => `  ${line}`)];
}

function duration(ns: number): string {
  if (ns < 1e6) return `${(ns / 1e3).toFixed(1)} us`;
  return ns < 1e9 ? `${(ns / 1e6).toFixed(1)} ms` : `${(ns / 1e9).toFixed(1)} s`;
}
