// A volume's status for a person.

import { table } from "../../base/table";
import { countOf, formatByteLength, formatPages } from "../../base/units";
import type { ProcessFacts, VolumeStatus } from "./gather";

const filesShown = 20;
const refusalsShown = 5;
const pathColumns = 56;

export function statusLines(status: VolumeStatus): string[] {
  return [
    `${status.mountpoint}  <-  ${status.source}${status.source === status.device ? "" : ` (through ${status.device})`}`,
    ...indent([
      ...problemLines(status), ...volumeLines(status), ...processLines(status), ...swapLines(status),
      ...fileLines(status), ...requestLines(status), ...latencyLines(status), ...refusalLines(status),
    ]),
  ];
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => (line === "" ? "" : `  ${line}`));
}

function problemLines({ engine, problem, warnings = [] }: VolumeStatus): string[] {
  const lines = warnings.map((warning) => `warning: ${warning}`);
  return problem === undefined || engine === "fuse-native" ? lines : [...lines, `control plane: ${problem}`];
}

function volumeLines({ volume, orphans }: VolumeStatus): string[] {
  if (!volume) return [];
  const line = `volume: ${formatPages(volume.pages)}, ${formatPages(volume.freePages)} free, ${countOf(volume.inodes, "inode")}`;
  const unlinked = orphans ? [`${countOf(orphans, "unlinked file")} still open or pinned: the blocks stay until then`] : [];
  return [line, ...unlinked, `journal: ${formatByteLength(volume.journalBytes)} of ${formatByteLength(volume.journalCapacity)}, record ${volume.sequence}`];
}

function processLines(status: VolumeStatus): string[] {
  const { processes, privileges } = status;
  if (status.engine === "fuse-native") return ["engine fuse-native: one process, no counters, swapon is refused"];
  if (!processes) return [process.geteuid?.() === 0
    ? "processes: all gone, the mount is dead: swapfs umount it (swap that is on goes on, but only a reboot swaps it off, unless it is on a block view: swapfs swapoff --all-views)"
    : "processes: only root sees them"];
  const row = (name: string, { pid, running, starts, residentBytes, lockedBytes }: ProcessFacts): string[] => [
    name, running ? `process ${pid}` : "DOWN", `${countOf(starts, "start")}`,
    `${formatByteLength(residentBytes)} resident`, lockedBytes > 0 ? `${formatByteLength(lockedBytes)} locked` : "",
  ];
  const lines = table([row("keeper", processes.keeper), row("data plane", processes.dataPlane), row("control plane", processes.controlPlane)]);
  const missing = [
    ...(privileges?.memoryLocked === false ? ["memory is not locked"] : []),
    ...(privileges?.ioFlusher === false ? ["not an IO_FLUSHER"] : []),
    ...(privileges?.oomProtected === false ? ["not protected from the OOM killer"] : []),
  ];
  return ["processes:", ...indent(lines), ...(missing.length > 0 ? [`  data plane: ${missing.join(", ")} (see swapfs doctor)`] : [])];
}

function swapLines({ swap, hugePages }: VolumeStatus): string[] {
  if (swap.length === 0) return ["swapped on: nothing"];
  return ["swapped on:", ...indent(table(swap.map((area) => [
    `${area.path}${area.deleted ? " (unlinked)" : ""}${area.through === undefined ? "" : ` ${area.way === undefined ? "through" : "by its block view"} ${area.through}${area.way?.replace("block view", "") ?? ""}`}`, formatByteLength(area.byteLength),
    `${formatByteLength(area.usedBytes)} used`, `priority ${area.priority}`, area.rotational === true ? "says that it is rotational: huge pages are split" : "",
  ]))), ...(hugePages.whole + hugePages.split === 0 ? [] : [`huge pages swapped out on this machine: ${hugePages.whole} whole, ${hugePages.split} split`])];
}

function fileLines({ files = [], views = [] }: VolumeStatus): string[] {
  if (files.length === 0) return [];
  const viewOf = ({ ino }: { ino: number }) => views.find((view) => view.ino === ino);
  const row = (file: NonNullable<VolumeStatus["files"]>[number]): string[] => [
    shortened(file.path ?? `inode ${file.ino}`), formatByteLength(file.size), `${formatPages(file.pages)} allocated`,
    countOf(file.extents, "extent"), file.mode === "swap_rw" ? "activated" : viewOf(file) !== undefined ? `leased to ${viewOf(file)!.device ?? "a block view"}` : file.pinned ? "pinned" : "", file.open > 0 ? `open ${file.open}x` : "",
  ];
  const more = files.length > filesShown ? [`and ${files.length - filesShown} more (--json shows all)`] : [];
  return ["files:", ...indent([...table(files.slice(0, filesShown).map(row)), ...more])];
}

function refusalLines({ refusals = [] }: VolumeStatus): string[] {
  if (refusals.length === 0) return [];
  return ["last refusals:", ...indent(refusals.slice(-refusalsShown).map((refusal) =>
    `${new Date(refusal.time).toISOString()} ${refusal.path ?? `inode ${refusal.ino}`}: ${refusal.text}`))];
}

/** The end of a long path: what tells it from its neighbours. */
function shortened(path: string): string {
  return path.length <= pathColumns ? path : `…${path.slice(1 - pathColumns)}`;
}

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
