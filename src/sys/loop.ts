// Image files on loop devices. The device is autoclear: it lives as long as something holds it open or mounted.

import * as fs from "node:fs";
import * as path from "node:path";
import { UserError, exitCode, messageOf } from "../base/errors";
import { addon, type AttachedLoop } from "./addon";
import { readText, withOpen } from "./kernelfiles";
import { runTool } from "./tools";

/** Attaches an image. Keep `fd` open until the mount holds the device, then close it. */
export function attachImage(image: string): AttachedLoop {
  const file = path.resolve(image);
  return attaching(image, () => withOpen(file, "r+", (backing) => withoutDiscard(addon().loopAttach(backing, file, false))));
}

/** The kernel loads the module for who opens its node in /dev; without the node somebody has to ask for it. */
export function loadLoop(control = "/dev/loop-control"): void {
  if (!fs.existsSync(control)) runTool("modprobe", ["-q", "loop"]);
}

/** Bytes of a file or block device. */
export interface SourcePart {
  readonly offset: number;
  readonly length: number;
}

export interface PartOptions extends SourcePart {
  /** what `losetup` shows */
  readonly name: string;
  readonly discard: boolean;
}

/** A file, so that swap may lie on the device. */
export function attachForSwap(file: string, what: string): AttachedLoop {
  return attaching(what, () => withOpen(file, "r+", (backing) => direct(addon().loopAttach(backing, file, false), what)));
}

/** The same of a part of what `open` gives a descriptor of; `what`: for messages. */
export function attachPart(open: () => number, what: string, { name, offset, length, discard }: PartOptions): AttachedLoop {
  return attaching(what, () => {
    const backing = open();
    try {
      const loop = direct(addon().loopAttach(backing, name, false, offset, length), what);
      return discard ? loop : withoutDiscard(loop);
    } finally {
      fs.closeSync(backing);
    }
  });
}

function attaching(what: string, attach: () => AttachedLoop): AttachedLoop {
  try {
    return attach();
  } catch (error) {
    throw error instanceof UserError ? error : cannotAttach(what, error);
  }
}

/** `swapon --discard` would punch holes into the file below an active swapfile. */
function withoutDiscard(loop: AttachedLoop): AttachedLoop {
  try {
    fs.writeFileSync(path.join(blockFolder(loop.device, "/sys"), "queue/discard_max_bytes"), "0");
    return loop;
  } catch (error) {
    fs.closeSync(loop.fd); // and with it the device goes
    throw error;
  }
}

function direct(loop: AttachedLoop, what: string): AttachedLoop {
  if (loop.direct) return loop;
  fs.closeSync(loop.fd);
  throw new UserError(exitCode.mountFailed, `cannot attach ${what} to a loop device: this kernel gives ${loop.device} no direct I/O, and every swapped page would be cached a second time`);
}

function cannotAttach(what: string, error: unknown): UserError {
  return new UserError(exitCode.mountFailed, `cannot attach ${what} to a loop device: ${messageOf(error)}${loopRemedy(error)}`);
}

/** The file behind a loop device, as sysfs shows it; `device` is "/dev/loop3" or "7:3". */
export function backingFile(device: string, sysfs = "/sys"): string | undefined {
  return readText(path.join(blockFolder(device, sysfs), "loop/backing_file"));
}

/** What to do about EMFILE and ENFILE, as the end of a message. */
export const descriptorsRemedy = ", raise ulimit -n, or fs.file-max";

/** What to do about an error of `loopAttach`, as the end of a message. */
function loopRemedy(error: unknown): string {
  const { code, syscall, path: missing } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" && syscall?.includes("loop-control")) return ", load the kernel module loop (modprobe loop)";
  if (code === "ENOENT" && missing === undefined) return ", the node of the next free loop device is missing (losetup -f names it): detach one that is not used (losetup -l), or have a devtmpfs on /dev";
  if (code === "EACCES" || code === "EPERM") return ", run as root, outside of a container without devices";
  if (code === "EMFILE" || code === "ENFILE") return descriptorsRemedy;
  if (code === "EBUSY") return ", another program has the free loop device open for itself alone: end it (losetup -f names the device, fuser the program)";
  if (code === "ENOSPC") return ", detach a loop device that is not used (losetup -l)";
  return "";
}

function blockFolder(device: string, sysfs: string): string {
  return device.includes(":")
    ? path.join(sysfs, "dev/block", device)
    : path.join(sysfs, "block", path.basename(device));
}
