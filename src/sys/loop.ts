// Image files on loop devices. The device is autoclear: it lives as long as something holds it open or mounted.

import * as fs from "node:fs";
import * as path from "node:path";

import { UserError, exitCode, messageOf } from "../base/errors";
import { addon, type AttachedLoop } from "./addon";

/**
 * Attaches an image. Keep `fd` open until the mount holds the device, then close it. `direct` false means that the
 * host filesystem cannot do direct I/O: every swapped page would be kept in its page cache a second time.
 */
export function attachImage(image: string, options: { readOnly?: boolean } = {}): AttachedLoop {
  const readOnly = options.readOnly ?? false;
  const backing = openImage(image, readOnly);
  try {
    const loop = addon().loopAttach(backing, path.resolve(image), readOnly);
    setDiscard(loop.device, false);
    return loop;
  } catch (error) {
    throw new UserError(exitCode.mountFailed, `cannot attach ${image} to a loop device: ${messageOf(error)}${next(error)}`);
  } finally {
    fs.closeSync(backing);
  }
}

/** The file behind a loop device, as sysfs shows it; `device` is "/dev/loop3" or "7:3". */
export function backingFile(device: string, sysfs = "/sys"): string | undefined {
  try {
    return fs.readFileSync(path.join(blockFolder(device, sysfs), "loop/backing_file"), "utf8").replace(/\n$/, "");
  } catch {
    return undefined;
  }
}

/**
 * Forbids or allows discard. `swapon --discard` on a file of the mount would punch holes into the image below an active
 * swapfile, so it is off while we use the device. The kernel keeps the setting for the device's next user: allow it
 * again while the device is still attached, when the last file is no longer swapped on.
 */
export function setDiscard(device: string, allowed: boolean, sysfs = "/sys"): void {
  const queue = path.join(blockFolder(device, sysfs), "queue");
  const number = (name: string): number => Number(fs.readFileSync(path.join(queue, name), "utf8"));
  // queue_discard_max_store (block/blk-sysfs.c) refuses what is not a multiple of the granularity.
  const granularity = number("discard_granularity") || 512;
  const bytes = allowed ? Math.floor(number("discard_max_hw_bytes") / granularity) * granularity : 0;
  fs.writeFileSync(path.join(queue, "discard_max_bytes"), String(bytes));
}

function blockFolder(device: string, sysfs: string): string {
  return device.includes(":")
    ? path.join(sysfs, "dev/block", device)
    : path.join(sysfs, "block", path.basename(device));
}

function openImage(image: string, readOnly: boolean): number {
  try {
    return fs.openSync(image, readOnly ? "r" : "r+");
  } catch (error) {
    throw new UserError(exitCode.mountFailed, `cannot open ${image}: ${messageOf(error)}`);
  }
}

function next(error: unknown): string {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" && syscall?.includes("loop-control")) return ", load the kernel module loop (modprobe loop)";
  if (code === "ENOENT") return ", its device node is missing: is /dev a devtmpfs?";
  if (code === "EACCES" || code === "EPERM") return ", run as root, outside of a container without devices";
  if (code === "EBUSY" || code === "ENOSPC") return ", detach a loop device that is not used (losetup -l)";
  return "";
}
