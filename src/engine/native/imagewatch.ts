// An image that somebody truncates while it is mounted: the loop device keeps its length, reads of what is gone fail with
// EIO, and a write there would silently make the image long again, with zeros in between.

import fs from "node:fs";
import { messageOf } from "../../base/errors";
import { logLine } from "../../base/log";
import { formatByteLength } from "../../base/units";
import { backingFile } from "../../sys/loop";
import type { BlockDevice } from "../../volume/blockdevice";

/**
 * Gives what a person should know, as a list for `status`, and logs it when it is new. `imageFd`: of the image, or of anything else, which is
 * not watched.
 */
export function imageWatch(device: BlockDevice, imageFd: number): () => string[] {
  if (imageFd < 0 || !fs.fstatSync(imageFd).isFile()) return () => [];
  let before: string | undefined;
  return () => {
    const warning = wrongWith(device, imageFd);
    if (warning !== undefined && warning !== before) logLine(warning);
    before = warning;
    return warning === undefined ? [] : [warning];
  };
}

function wrongWith(device: BlockDevice, imageFd: number): string | undefined {
  const image = backingFile(device.name) ?? device.name;
  const wanted = device.byteLength;
  let size: number;
  try {
    ({ size } = fs.fstatSync(imageFd));
  } catch (error) {
    // An xfs that has shut down refuses even this.
    return `cannot look at ${image}: ${messageOf(error)}; its host has failed, see the kernel's log`;
  }
  if (size >= wanted) return undefined;
  return `${image} was truncated from outside: ${formatByteLength(size)} of ${formatByteLength(wanted)} are left, what lay behind is lost; swapoff, umount, truncate -s ${wanted} ${image}, and swapfs fsck it`;
}
