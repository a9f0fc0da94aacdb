// The volume on a source before it is mounted: made, formatted, opened once to learn what state it is in.

import { fstatSync, fsyncSync, ftruncateSync, linkSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { openReadOnly, openWritable, withDevice } from "../../engine/sourcedevice";
import { imageFileHooks, overwriteInPlace } from "../../sys/imagefile";
import { bootNumber } from "../../sys/kernel";
import { bytesOfPages } from "../../base/units";
import { metadataRuns } from "../../volume/metadata-backing";
import type { Geometry } from "../../volume/superblock";
import { Volume } from "../../volume/volume";
import { lockNow, lockSource } from "../common/flock";
import { failed } from "../common/outcome";
import { closeQuietly } from "./keeper";

/**
 * Makes a sparse image of `byteLength` bytes that holds an empty volume. It appears under its name whole or not at all. Returns a
 * descriptor that has it locked since before it had a name: nobody else can have mounted it.
 */
export async function makeImage(path: string, byteLength: number): Promise<number> {
  const draft = `${path}.making-${process.pid}`;
  let fd: number | undefined;
  try {
    fd = openSync(draft, "wx+", 0o600);
    overwriteInPlace(fd); // before there is any data: btrfs takes it of an empty file only
    ftruncateSync(fd, byteLength);
    const geometry = formatVolume(draft);
    for (const { page, count } of metadataRuns(geometry)) imageFileHooks.allocate(fd, bytesOfPages(page), bytesOfPages(count));
    fsyncSync(fd);
    lockNow(fd);
    if (!(await replaceEmpty(draft, path))) linkSync(draft, path);
    return fd;
  } catch (error) {
    closeQuietly(fd);
    throw madeError(error, path);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Under the lock of the empty file that is there: of two who make an image at once, the other finds that it is empty no more. */
async function replaceEmpty(draft: string, path: string): Promise<boolean> {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() !== true || stat.size > 0) return false;
  const lock = await lockSource(path, 0);
  try {
    const empty = lock !== undefined && fstatSync(lock).size === 0;
    if (empty) renameSync(draft, path);
    return empty;
  } finally {
    closeQuietly(lock);
  }
}

function madeError(error: unknown, path: string): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case "EEXIST": return failed(`cannot make ${path}: somebody else made it at this moment, run the command again`);
    case "EROFS": return failed(`cannot make ${path}: the filesystem is read-only, remount it writable`);
    case "EACCES": case "EPERM": return failed(`cannot make ${path}: permission denied in ${dirname(path)}`);
    case "ENOSPC": return failed(`cannot make ${path}: the host filesystem is full, make room`);
    case "EFBIG": return failed(`cannot make ${path}: the host filesystem does not take a file that long, give a smaller --size`);
    default: return error;
  }
}

/** Writes an empty volume over whatever is there, and returns its geometry. What it held is discarded, or punched out. */
export function formatVolume(path: string): Geometry {
  return withDevice(openWritable(path), (device) => Volume.format(device, { force: true })); // inspectSource has looked at what is there
}

/** Opens the volume read-only and returns what a person should know. Throws the UserError of one that must not be written (exit 11). */
export function inspectVolume(path: string): string[] {
  const { whyReadOnly, warnings } = withDevice(openReadOnly(path), (device) => Volume.open(device, { readOnly: true }));
  if (whyReadOnly) throw whyReadOnly;
  return [...warnings];
}

/** Opens the volume as it was before a damaged journal record, for good. Returns what is lost. */
export function acceptLoss(path: string): string[] {
  return withDevice(openWritable(path), (device) => {
    const volume = Volume.open(device, { boot: bootNumber(), acceptLoss: true });
    volume.close();
    return [...volume.warnings];
  });
}
