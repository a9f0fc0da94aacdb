// What grow and shrink have in common: the volume, mounted or not, the words for what came out.

import { bytesOfPages, formatByteLength } from "../../base/units";
import { openReadOnly, openWritable, withDevice } from "../../engine/sourcedevice";
import { bootNumber } from "../../sys/kernel";
import { signaturesOn } from "../../sys/signature";
import type { DeviceRun } from "../../volume/blockdevice";
import { endLeases } from "../../volume/lease";
import { loadSuperblock } from "../../volume/replay";
import { grow, shrink, type Resized } from "../../volume/resizing";
import type { TailProgress } from "../../volume/tail";
import { Volume } from "../../volume/volume";
import { ask, HungUp } from "../common/control";
import { volumePath } from "./fsck";
import { closeQuietly } from "../mount/keeper";
import { volumeAt, type MountedVolume } from "../common/mounted";
import { lockForWriting, sourceMountedBefore } from "../mount/inuse";
import { failed } from "../common/outcome";
import { show, type Progress } from "../common/output";

/** The volume that is mounted at `given` or has it as its source. Throws for the engine that has no control socket. */
export function mountedAs(given: string, verb: string): MountedVolume | undefined {
  const volume = volumeAt(given) ?? sourceMountedBefore(given);
  if (volume?.engine === "fuse-native") throw failed(`cannot ${verb} ${given}: the engine fuse-native cannot while it is mounted, umount it first`);
  return volume;
}

/** Opens the unmounted volume on `given`, for as long as `work` takes. */
export async function withUnmounted<T>(given: string, verb: string, work: (volume: Volume) => T | Promise<T>): Promise<T> {
  const path = volumePath(given, verb);
  const lock = await lockForWriting(path, verb);
  try {
    const volume = Volume.open(openWritable(path), { boot: bootNumber() });
    try {
      endLeases(volume); // whose views are gone: else it were not locked
      return await work(volume);
    } finally {
      volume.close();
    }
  } finally {
    closeQuietly(lock);
  }
}

export async function growVolume(given: string, { bytes, force }: { bytes: number | undefined; force: boolean }): Promise<Resized> {
  const mounted = mountedAs(given, "grow");
  if (!force) refuseForeign(given, mounted ? mounted.image ?? mounted.device : volumePath(given, "grow"));
  if (!mounted) return withUnmounted(given, "grow", (volume) => grow(volume, bytes));
  return (await ask(mounted.runDir, { command: "grow", bytes })) as Resized;
}

/** As when a device is made a volume: a signature behind the volume's end says that somebody has something there. */
function refuseForeign(given: string, path: string): void {
  const end = withDevice(openReadOnly(path), (device) => bytesOfPages(loadSuperblock(device, true).fields.blockCount));
  const foreign = signaturesOn(path).find(({ offset }) => offset >= end);
  if (foreign === undefined) return;
  throw failed(`cannot grow ${given}: behind the volume ${path} carries a signature of ${foreign.type}, at byte ${foreign.offset}; add --force to destroy what is there`);
}

export async function shrinkVolume(given: string, bytes: number, progress: Progress, signal: AbortSignal): Promise<Resized> {
  const mounted = mountedAs(given, "shrink");
  if (mounted) return shrinkMounted(mounted, bytes, progress, signal);
  return withUnmounted(given, "shrink", (volume) => {
    const parts = {
      volume, commit: volume.commit.bind(volume), isPinned: () => false, nameOf: (ino: number) => `inode ${ino}`,
      exclusive: <R>(_ino: number, work: () => Promise<R>): Promise<R> => work(),
      free: (_ino: number, runs: readonly DeviceRun[]): void => volume.release(runs),
    };
    return shrink(parts, bytes, { moved: 0, total: 0 }, signal);
  });
}

async function shrinkMounted({ runDir, mountpoint }: MountedVolume, bytes: number, progress: Progress, signal: AbortSignal): Promise<Resized> {
  const event = (told: unknown): void => {
    const { moved, total } = told as TailProgress;
    if (total > 0) progress.show(`moving files out of the tail ${Math.floor((100 * moved) / total)} %`);
  };
  try {
    return (await ask(runDir, { command: "shrink", bytes }, { event, signal })) as Resized;
  } catch (error) {
    if (!(error instanceof HungUp)) throw error;
    throw failed(`cannot shrink ${mountpoint}: its control plane was restarted meanwhile, run it again to go on`);
  } finally {
    progress.end();
  }
}

export function showResized(given: string, verb: string, result: Resized, json: boolean): void {
  const { before, bytes, dataBytes, inodes } = result;
  const now = `room for ${formatByteLength(dataBytes)} of data and ${inodes} files`;
  show(json, { source: given, ...result }, before === bytes
    ? `${given} has ${formatByteLength(bytes)} already: ${now}`
    : `${given} ${verb} from ${formatByteLength(before)} to ${formatByteLength(bytes)}: ${now}`);
}
