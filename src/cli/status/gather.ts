// A volume's status as data, from three sources: /proc, the session segment, and the control plane where it answers.

import { basename } from "node:path";
import { messageOf } from "../../base/errors";
import type { Latency } from "../../dataplane/latency";
import type { controlStatus } from "../../engine/native/status";
import { readText } from "../../sys/kernelfiles";
import { processStatus } from "../../sys/procstatus";
import { loopsOverFilesOf } from "../../sys/loopswaps";
import { swapCounts } from "../../sys/pressure";
import type { SwapArea } from "../../sys/procswaps";
import { ask } from "../common/control";
import type { MountedVolume } from "../common/mounted";
import { readSession, requestsByOpcode, type SessionView } from "./session";
import { wayOf } from "../../sys/mapper";
import { viewsOf, type ViewOfFile } from "../swap/blockview";
import { swapsOf } from "../swap/swapareas";

export type ProcessFacts = Readonly<ReturnType<typeof facts>>;
export type SharedStatus = Readonly<ReturnType<typeof sharedStatus>>;
export type VolumeStatus = Readonly<Awaited<ReturnType<typeof gatherStatus>>>;

/** What the control plane answers (src/engine/native/status.ts); nothing while it is down. */
type ControlStatus = Partial<ReturnType<typeof controlStatus>>;

export async function gatherStatus(volume: MountedVolume) {
  const [control, areas, { found, problem }] = await Promise.all([askStatus(volume), swapsOf(volume), askViews(volume)]);
  return { ...sharedStatus(volume, areas, found), hugePages: hugePages(), ...control, ...(problem === undefined ? {} : { problem }) };
}

/** What no process is asked for: it works while the planes are down, and costs no request. */
export function sharedStatus(volume: MountedVolume, areas: readonly SwapArea[], views: readonly ViewOfFile[]) {
  const session = readSession(volume);
  return {
    mountpoint: volume.mountpoint,
    source: volume.image ?? volume.device,
    device: volume.device,
    runDir: volume.runDir,
    engine: volume.engine,
    processes: session && processes(session),
    privileges: session && {
      ioFlusher: session.header.io_flusher === 1,
      memoryLocked: session.header.memory_locked === 1,
      oomProtected: session.header.oom_protected === 1,
    },
    /** `through`: the loop device of swapon --loop, or the device of --block or --encrypt */
    swap: [
      ...areas, ...loopSwaps(volume), ...views.flatMap(({ area, file, device }) => (area ? [{ ...area, path: file, through: device, way: shownWay(device), rotational: isRotational(device) }] : [])),
    ] as (SwapArea & { through?: string; way?: string; rotational?: boolean })[],
    /** requests read from /dev/fuse since the mount */
    requests: session ? requestsByOpcode(session.counters.requests) : {},
    counters: (session?.counters.totals ?? {}) as Record<string, number>,
    /** how long answers took, by kind of request */
    latency: (session?.counters.latency ?? {}) as Record<string, Latency>,
  };
}

function loopSwaps({ deviceNumber }: MountedVolume): (SwapArea & { through: string })[] {
  return loopsOverFilesOf(deviceNumber).flatMap(({ device, file, area }) => (area ? [{ ...area, path: file, through: device }] : []));
}

/** Of the whole machine since its start: those that were swapped out in one piece, and those that were split before. */
function hugePages() {
  const { hugePagesWhole: whole, hugePagesSplit: split } = swapCounts();
  return { whole, split };
}

/** "block view" by a loop device; else what it is by is said as well. */
function shownWay(device: string): string {
  const way = wayOf(device);
  return way === "loop" ? "block view" : `block view, ${way}`;
}

/** The kernel splits huge pages before it swaps to a device that says so. */
function isRotational(device: string): boolean {
  return readText(`/sys/block/${basename(device)}/queue/rotational`) === "1";
}

/** `problem`: why it is missing. */
async function askStatus(volume: MountedVolume): Promise<ControlStatus & { problem?: string }> {
  if (volume.engine === "fuse-native") return {};
  try {
    return (await ask(volume.runDir, { command: "status" })) as ControlStatus;
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

async function askViews(volume: MountedVolume): Promise<{ found: ViewOfFile[]; problem?: string }> {
  try {
    return { found: volume.engine === "native" ? await viewsOf(volume) : [] };
  } catch (error) {
    return { found: [], problem: messageOf(error) };
  }
}

function processes({ header }: SessionView) {
  return {
    keeper: facts(header.keeper_pid, 1),
    dataPlane: facts(header.data_pid, header.data_generation),
    controlPlane: facts(header.control_pid, header.control_generation),
  };
}

/** `starts`: since the mount, 1 for a process that never died. */
function facts(pid: number, starts: number) {
  const status = pid === 0 ? undefined : processStatus(pid);
  return {
    pid, starts, running: status !== undefined && status.state !== "Z",
    residentBytes: status?.residentBytes ?? 0, lockedBytes: status?.lockedBytes ?? 0,
  };
}
