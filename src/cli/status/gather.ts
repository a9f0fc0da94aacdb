// A volume's status as data, from three sources: /proc, the session segment, and the control plane where it answers.

import { messageOf } from "../../base/errors";
import type { Latency } from "../../dataplane/latency";
import type { controlStatus } from "../../engine/native/status";
import { processStatus } from "../../sys/procstatus";
import { loopsOverFilesOf } from "../../sys/loopswaps";
import type { SwapArea } from "../../sys/procswaps";
import { ask } from "../common/control";
import type { MountedVolume } from "../common/mounted";
import { readSession, requestsByOpcode, type SessionView } from "./session";
import { swapsOf } from "../swap/swapareas";

export interface ProcessFacts {
  readonly pid: number;
  readonly running: boolean;
  /** starts since the mount, 1 for a process that never died */
  readonly starts: number;
  readonly residentBytes: number;
  readonly lockedBytes: number;
}

/** What the control plane answers (src/engine/native/status.ts); nothing while it is down. */
type ControlStatus = Partial<ReturnType<typeof controlStatus>>;

export interface VolumeStatus extends ControlStatus {
  readonly mountpoint: string;
  readonly source: string;
  readonly device: string;
  readonly runDir: string;
  readonly engine: MountedVolume["engine"];
  readonly processes: { readonly keeper: ProcessFacts; readonly dataPlane: ProcessFacts; readonly controlPlane: ProcessFacts } | undefined;
  readonly privileges: { readonly ioFlusher: boolean; readonly memoryLocked: boolean; readonly oomProtected: boolean } | undefined;
  /** `through`: the loop device of swapon --loop */
  readonly swap: readonly (SwapArea & { readonly through?: string })[];
  /** requests read from /dev/fuse since the mount */
  readonly requests: Record<string, number>;
  readonly counters: Record<string, number>;
  /** how long answers took, by kind of request */
  readonly latency: Record<string, Latency>;
  /** why the control plane's part is missing */
  readonly problem?: string;
}

export async function gatherStatus(volume: MountedVolume): Promise<VolumeStatus> {
  const session = readSession(volume);
  const [control, areas] = await Promise.all([askStatus(volume), swapsOf(volume)]);
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
    swap: [...areas, ...loopSwaps(volume)],
    requests: session ? requestsByOpcode(session.counters.requests) : {},
    counters: session ? { ...session.counters.totals } : {},
    latency: session ? { ...session.counters.latency } : {},
    ...control,
  };
}

function loopSwaps({ deviceNumber }: MountedVolume): (SwapArea & { through: string })[] {
  return loopsOverFilesOf(deviceNumber).flatMap(({ device, file, area }) => (area ? [{ ...area, path: file, through: device }] : []));
}

async function askStatus(volume: MountedVolume): Promise<ControlStatus & { problem?: string }> {
  if (volume.engine === "fuse-native") return {};
  try {
    return (await ask(volume.runDir, { command: "status" })) as ControlStatus;
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

function processes({ header }: SessionView): NonNullable<VolumeStatus["processes"]> {
  return {
    keeper: facts(header.keeper_pid, 1),
    dataPlane: facts(header.data_pid, header.data_generation),
    controlPlane: facts(header.control_pid, header.control_generation),
  };
}

function facts(pid: number, starts: number): ProcessFacts {
  const status = pid === 0 ? undefined : processStatus(pid);
  return {
    pid, starts, running: status !== undefined && status.state !== "Z",
    residentBytes: status?.residentBytes ?? 0, lockedBytes: status?.lockedBytes ?? 0,
  };
}
