// Whether a source may be opened for writing: the one question of mount (--format and --accept-loss among it), grow and shrink.
// The lock on it says too little alone: the file below a loop device has another, and that of a device has no holder while
// its control plane starts again.

import { closeSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openReadOnly, withDevice } from "../../engine/sourcedevice";
import { deviceNumberOf, deviceUses } from "../../sys/blockdevice";
import { bytesOf, overlap } from "../../sys/bytesbelow";
import { isSameFile, placeOf, shareBytes, wholeFile, type DevicePlace } from "../../sys/imagebelow";
import { ifAny, listFolder, readText, statIfAny } from "../../sys/kernelfiles";
import { cannotTell, isOver, loopsHidden, loopsSharing, loopViews, mayLieOver, type LeasedPart, type LoopView } from "../../sys/loopviews";
import { readSwaps } from "../../sys/procswaps";
import { leasedPart, wrongWithLease } from "../../volume/lease";
import { loadSuperblock } from "../../volume/replay";
import { featureLeases } from "../../volume/superblock";
import { Volume } from "../../volume/volume";
import { dyingPredecessorMs, lockSource } from "../common/flock";
import { loopsOn, mountedVolumes, type MountedVolume } from "../common/mounted";
import { failed, unusable } from "../common/outcome";
import { imageName, shellWord } from "../common/paths";
import { findDetached, mountedElsewhere } from "./attaching";
import { closeQuietly } from "./keeper";

/**
 * The lock on the device or image `path`, which nobody else uses. Throws a UserError that says who does. `adopts`: who takes over the block
 * views that the volume has leases for.
 */
export function lockForWriting(path: string, verb: string, adopts = false): Promise<number> {
  return lockUnless(path, verb, (source) => volumeOn(source) ?? claimOn(source) ?? loopOn(source, adopts));
}

/** The same for who only reads: no volume may live on it. */
export function lockForReading(path: string, verb: string): Promise<number> {
  return lockUnless(path, verb, volumeOn, "r");
}

/** A predecessor that has just ended lets its loop device go, and its last process end, a moment after its lock. */
async function lockUnless(path: string, verb: string, inTheWay: (path: string) => string | undefined, flags: "r" | "r+" = "r+"): Promise<number> {
  const end = Date.now() + dyingPredecessorMs;
  for (;;) {
    const lock = await lockSource(path, end - Date.now(), flags).catch((error: unknown) => {
      throw unusable(verb, path, error);
    });
    const user = inTheWay(path);
    if (lock !== undefined && user === undefined) return lock;
    closeQuietly(lock); // meanwhile a control plane that starts again may want it
    if (lock === undefined || Date.now() >= end) {
      throw failed(`cannot ${verb} ${path}: ${user ?? "another process has it locked (a mount that is starting or ending), wait for it or look at fuser -v"}`);
    }
    await sleep(50);
  }
}

/** The mounted volume that has this source. */
export function sourceMountedBefore(given: string): MountedVolume | undefined {
  const place = placeOfSource(given);
  return mountedVolumes().find(({ engine, device, deviceNumber }) =>
    shareBytes(place, engine === "native" ? placeOf(deviceNumber) : placeOfSource(device)));
}

/** The volume that lives on this source without a mount here. */
export function sourceDetached(given: string): MountedVolume | undefined {
  return findDetached(placeOfSource(given));
}

function placeOfSource(given: string): DevicePlace | undefined {
  const path = statIfAny(given)?.isDirectory() ? join(given, imageName) : given;
  const stat = statIfAny(path);
  return stat?.isBlockDevice() ? placeOf(deviceNumberOf(stat.rdev)) : stat && wholeFile(path);
}

function volumeOn(path: string): string | undefined {
  const mounted = sourceMountedBefore(path);
  if (mounted) return `already mounted at ${mounted.mountpoint}, use it there or umount it first`;
  const detached = sourceDetached(path);
  return detached && (mountedElsewhere(detached.deviceNumber) ?? "its volume lives, though its mount was detached (umount -l): mount it again first");
}

/** Mounts, swap areas, md and dm members, partitions of a device that are in use: everything that would lose its data. */
export function claimOn(path: string): string | undefined {
  const stat = statIfAny(path);
  if (!stat?.isBlockDevice()) return readSwaps().some((area) => isSameFile(area.path, path)) ? `it is in use as swap, run swapoff ${shellWord(path)} first` : undefined;
  const [use] = deviceUses(deviceNumberOf(stat.rdev));
  switch (use?.kind) {
    case "mounted": return `already mounted at ${use.by}, umount it first`;
    case "swapped on": return `${use.by} is in use as swap, run swapoff ${shellWord(use.by)} first`;
    case "held": return `it is in use by ${use.by}, name another device`;
    default: return isClaimed(path) ? `the kernel says that it is in use, look at lsblk ${shellWord(path)}; swap on a volume that was taken away (umount -f) keeps it until a reboot, swapfs doctor tells of that` : undefined;
  }
}

/** O_EXCL on a block device asks for the claim that a mount, swap or md holds (block/bdev.c bd_prepare_to_claim). */
function isClaimed(path: string): boolean {
  const oRdonlyExcl = 0o200;
  try {
    closeSync(openSync(path, oRdonlyExcl));
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EBUSY";
  }
}

/**
 * Over the source itself no loop device may lie at all; beside a loop device that is the source, none that is used over the same bytes. But
 * for block views that are taken over.
 */
function loopOn(path: string, adopts: boolean): string | undefined {
  const found = loopViews(path);
  const whole = (statSync(path).isBlockDevice() ? loopsOnDevice(path) : loopsOn(path)).map((name) => `/dev/${name}`);
  const beside = loopsSharing(path).filter(isClaimed);
  const other = [...whole, ...beside].find((device) => !found.views.some((view) => view.loop === device));
  return viewOn(path, found, adopts) ?? (other && attachedBySomebody(other));
}

/** No file is asked: it may be on a filesystem that does not answer. */
function loopsOnDevice(path: string): string[] {
  const { rdev } = statSync(path);
  return listFolder("/sys/block").filter((name) => {
    const below = readText(`/sys/block/${name}/loop/backing_file`);
    return below?.startsWith("/dev/") === true && statIfAny(below)?.rdev === rdev;
  });
}

/**
 * A block view of whatever volume that has bytes of the source, under whatever name that is attached; or of this volume, as the view's own name
 * says, though it lies over something else. Taken over are those of this volume over this very source that are leased.
 */
function viewOn(path: string, { views, unknown }: ReturnType<typeof loopViews>, adopts: boolean): string | undefined {
  const hidden = !adopts && loopsHidden();
  if (views.length + unknown.length === 0 && !hidden) return undefined;
  const stat = statSync(path);
  const source = bytesOf(stat);
  const { uuid, leased } = leasesOn(path);
  if (hidden && leased().length > 0) return "blocks of it are leased to block views, and /sys/block shows no loop device: run it where that shows them (mount -t sysfs sysfs /sys)";
  const isLeased = (loop: Pick<LoopView, "offset" | "sizeLimit">, ino?: number): boolean =>
    leased().some((lease) => lease.offset === loop.offset && lease.length === loop.sizeLimit && (ino === undefined || ino === lease.ino));
  for (const view of views) {
    const [isHere, isOfThis] = [isOver(view, stat), view.of?.uuid === uuid];
    if (adopts && isHere && isOfThis && isLeased(view, view.of?.ino)) continue;
    const has = isHere || overlap(view.bytes, source);
    if (view.of === undefined && (isHere || (has && isClaimed(view.device)))) return attachedBySomebody(view.device);
    if (view.of === undefined || (!has && !isOfThis)) continue;
    const use = claimOn(view.device);
    return `its inode ${view.of.ino} has a block view, ${view.device}${use === undefined ? "" : ` (${use})`}${isHere ? "" : `, under another name of the source (losetup -l ${view.loop})`}: run swapfs swapoff --all-views first`;
  }
  const other = unknown.find((loop) => mayLieOver(loop, source) || isLeased(loop));
  return other && `${cannotTell(other).found}, ${cannotTell(other).remedy}`;
}

/** Whatever is wrong with the volume: what it cannot tell is not leased. `leased`: the journal is replayed for it, where there can be any. */
function leasesOn(path: string): { uuid: string | undefined; leased: () => LeasedPart[] } {
  const fields = ifAny(() => withDevice(openReadOnly(path), (device) => loadSuperblock(device, true).fields));
  let known: LeasedPart[] | undefined = fields === undefined || (fields.featuresRequired & featureLeases) === 0 ? [] : undefined;
  const read = (): LeasedPart[] => ifAny(() => withDevice(openReadOnly(path), (device) => [...Volume.open(device, { readOnly: true }).inodes()].flatMap((inode): LeasedPart[] => {
    const part = wrongWithLease(inode) === undefined ? leasedPart(inode) : undefined;
    return part === undefined ? [] : [part];
  }))) ?? [];
  return { uuid: fields?.uuid.toString("hex"), leased: () => (known ??= read()) };
}

function attachedBySomebody(device: string): string {
  const use = claimOn(device);
  return `it is attached to ${device} by somebody else, ${use === undefined ? "" : `${use}, then `}run losetup -d ${device}`;
}
