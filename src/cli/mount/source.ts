// The source of a mount: looked at before anything is changed, so that every refusal leaves it as it was.

import { closeSync, openSync, realpathSync, statSync, statfsSync, type Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { formatByteLength, pageSize } from "../../base/units";
import { openReadOnly, withDevice } from "../../engine/sourcedevice";
import { blockDeviceFacts } from "../../sys/blockdevice";
import { isAtOrBelow, mountHolding, readMounts } from "../../sys/mounttable";
import { foreignSignature, signaturesOn } from "../../sys/signature";
import { isContent } from "../../volume/contents";
import { holdsVolume } from "../../volume/signatures";
import { failed, usageError, using } from "../common/outcome";
import { imageName, shellWord } from "../common/paths";
import { claimOn } from "./inuse";

export interface SourceOptions {
  /** bytes */
  readonly size?: number | undefined;
  readonly format: boolean;
  readonly force: boolean;
}

export interface Source {
  readonly kind: "device" | "image";
  /** resolved path of the device or the image */
  readonly path: string;
  /** what mounting does first: nothing, make the image, or write an empty volume over what is there */
  readonly first: "open" | "make" | "format";
  /** bytes of the image to be made */
  readonly size?: number;
  readonly notes: readonly string[];
}

/** Smaller volumes have no room for metadata and one swapfile that is worth its header. */
export const smallestVolume = 16 * 2 ** 20;
const largestImage = 8 * 2 ** 40;
const shareOfHost = 0.9;

/** Looks at the source and says what mounting it takes. Throws a UserError for whatever stands in the way. */
export function inspectSource(given: string, options: SourceOptions): Source {
  const stat = statOf(given);
  if (stat?.isDirectory()) return inspectImage(join(realpathSync(given), imageName), options, true);
  if (stat === undefined || stat.isFile()) return inspectImage(given, options, false);
  if (stat.isBlockDevice()) return inspectDevice(realpathSync(given), options);
  throw failed(`cannot mount ${given}: it is neither a directory, an image file nor a block device, name one of these`);
}

function statOf(path: string): Stats | undefined {
  return using("mount", path, () => statSync(path, { throwIfNoEntry: false }));
}

function inspectImage(given: string, options: SourceOptions, inDirectory: boolean): Source {
  const stat = statOf(given);
  if (stat === undefined || stat.size === 0) return imageToMake(given, stat, options, inDirectory);
  if (!stat.isFile()) throw failed(`cannot mount ${given}: it is not a regular file, move it away`);
  const path = realpathSync(given);
  using("mount", path, () => closeSync(openSync(path, "r+")));
  if (options.size !== undefined && options.size !== stat.size) {
    throw usageError(`cannot make ${path} ${formatByteLength(options.size)} long: it exists with ${formatByteLength(stat.size)}, leave --size out or name another file`);
  }
  requireLarge(path, stat.size);
  return { kind: "image", path, ...decide(path, probe(path), options) };
}

function imageToMake(given: string, stat: Stats | undefined, options: SourceOptions, inDirectory: boolean): Source {
  const folder = statOf(dirname(given));
  if (!folder?.isDirectory()) {
    throw failed(`cannot mount ${given}: there is no such file, directory or device, correct the path`);
  }
  if (isOfDev(dirname(given))) throw failed(`cannot mount ${given}: there is no such device, correct the name`);
  if (!inDirectory && options.size === undefined) {
    const state = stat === undefined ? "there is no such file, directory or device" : "the file is empty";
    throw failed(`cannot mount ${given}: ${state}, add --size 20G to make an image there`);
  }
  const path = join(realpathSync(dirname(given)), basename(given));
  const size = roundDown(options.size ?? nominalSize(dirname(path)));
  if (options.size !== undefined && size < smallestVolume) throw usageError(`cannot use --size ${formatByteLength(options.size)}: ${formatByteLength(smallestVolume)} is the least for a volume, give a larger one`);
  requireLarge(path, size);
  requireWritableFolder(dirname(path));
  return { kind: "image", path, first: "make", size, notes: [] };
}

/** /dev and what is below it on the same filesystem: not /dev/shm, where an image may be. */
function isOfDev(folder: string): boolean {
  const path = realpathSync(folder);
  const holding = mountHolding(readMounts(), path)?.mountpoint ?? "/";
  return isAtOrBelow(path, "/dev") && (holding === "/dev" || !isAtOrBelow(holding, "/dev"));
}

/** Most of what is free on the host: the image is sparse, and df on it should not promise what is not there. */
function nominalSize(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return Math.min(Math.floor(bavail * bsize * shareOfHost), largestImage);
}

function roundDown(bytes: number): number {
  const unit = bytes >= 2 ** 30 ? 2 ** 20 : pageSize;
  return Math.floor(bytes / unit) * unit;
}

function inspectDevice(path: string, options: SourceOptions): Source {
  if (options.size !== undefined) throw usageError(`cannot use --size with ${path}: a block device has its own size, leave --size out`);
  const { byteLength, readOnly } = blockDeviceFacts(path);
  if (readOnly) throw failed(`cannot mount ${path}: the device is read-only, make it writable (blockdev --setrw ${shellWord(path)})`);
  if (byteLength === 0) throw failed(`cannot mount ${path}: the device has no medium or size 0, set it up first`);
  requireLarge(path, byteLength);
  const use = claimOn(path);
  if (use !== undefined) throw failed(`cannot mount ${path}: ${use}`);
  const { first, notes } = decide(path, probe(path), options);
  return { kind: "device", path, first, notes: first === "format" ? [...notes, looksBlank(path)] : notes };
}

/** libblkid does not know the format, and a signature that it knows would have the volume taken for what it is not. */
function looksBlank(path: string): string {
  return `blkid, lsblk, mkfs and installers show ${path} as empty while it is not mounted: name its partition or logical volume for what it is`
    + " (sgdisk -t 1:8301 -c 1:swapfs DISK, lvcreate -n swapfs), never of type Linux swap";
}

/**
 * `ours`: a superblock of ours is there, perhaps damaged. `foreign`: another filesystem, partition table, swap or RAID signature, in
 * blkid's words.
 */
function probe(path: string): { ours: boolean; foreign: string | undefined } {
  return withDevice(openReadOnly(path), (device) => {
    const ours = holdsVolume(device);
    // Of a volume's own contents some may look like a signature.
    const type = ours ? signaturesOn(path).find(({ offset }) => !isContent(device, offset))?.type : foreignSignature(path);
    return { ours, foreign: type !== undefined && partitionTables.has(type) ? `partition table ${type}` : type };
  });
}

/** blkid gives them by their bare name (PTTYPE), which few would take for what it is. */
const partitionTables: ReadonlySet<string> = new Set(["dos", "gpt", "PMBR", "mac", "bsd", "sun", "sgi", "atari"]);

function decide(path: string, probed: ReturnType<typeof probe>, options: SourceOptions): Pick<Source, "first" | "notes"> {
  if (probed.ours) {
    if (options.format && options.force) return { first: "format", notes: [] };
    if (probed.foreign !== undefined) {
      throw failed(`cannot mount ${path}: beside a swapfs volume it carries a signature of ${probed.foreign}, so it was used for something else since; wipefs ${shellWord(path)} shows where, and takes it away if it is only left over, or add --format --force to destroy what is on it`);
    }
    const kept = `${path} is a swapfs volume already and is kept as it is; --format --force makes it empty`;
    return { first: "open", notes: options.format ? [kept] : [] };
  }
  if (probed.foreign !== undefined && !(options.format && options.force)) {
    throw failed(`cannot mount ${path}: it carries a signature of ${probed.foreign}, name another device, or add --format --force to destroy what is on it`);
  }
  if (!options.format) throw failed(`cannot mount ${path}: it is not a swapfs volume, add --format to make it one (what is on it is lost)`);
  return { first: "format", notes: [] };
}

function requireLarge(path: string, bytes: number): void {
  if (bytes >= smallestVolume) return;
  throw failed(`cannot mount ${path}: ${formatByteLength(bytes)} is too small for a volume, ${formatByteLength(smallestVolume)} is the least`);
}

function requireWritableFolder(folder: string): void {
  if (mountHolding(readMounts(), folder)?.options.includes("ro")) {
    throw failed(`cannot make an image in ${folder}: its filesystem is read-only, remount it writable`);
  }
}
