// What the gate sees beside the volume: the image on its host, through a descriptor that was opened once, and other
// processes. Of file data nothing is read.

import fs from "node:fs";
import type { HostAllowances } from "../../activation/imagelayer";
import type { Surroundings } from "../../activation/surroundings";
import { messageOf } from "../../base/errors";
import { logLine } from "../../base/log";
import { deviceNumberOf } from "../../sys/blockdevice";
import { backingFile } from "../../sys/loop";
import { inSwapon, sharedWriters } from "../../sys/onlookers";
import { readImageLayer } from "../hostimage";

/** `lockFd`: the source, the image itself where it is one. */
export function makeSurroundings(device: string, lockFd: number, allow: HostAllowances): Surroundings {
  const deviceNumber = deviceNumberOf(fs.statSync(device).rdev);
  const image = lockFd >= 0 && fs.fstatSync(lockFd).isFile() ? lockFd : openBacking(deviceNumber);
  return {
    image: (extents, pages) => (image === undefined ? undefined : readImageLayer(image, allow, extents, pages)),
    inSwapon,
    mappedBy: (ino) => sharedWriters(deviceNumber, ino),
  };
}

// A loop device that somebody attached and gave as the source is an image all the same.
function openBacking(deviceNumber: string): number | undefined {
  const file = backingFile(deviceNumber);
  if (file === undefined) return undefined;
  try {
    const fd = fs.openSync(file, "r");
    if (fs.fstatSync(fd).isFile()) return fd;
    fs.closeSync(fd); // another block device
  } catch (error) {
    logLine(`cannot open ${file}, the file below the loop device: ${messageOf(error)}; swapon does not check its extents`);
  }
  return undefined;
}
