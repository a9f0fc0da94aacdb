// An image that somebody truncates while it is mounted: the loop device keeps its length, reads of what is gone fail with
// EIO, and a write there would silently make the image long again, with zeros in between.

import fs from "node:fs";
import { messageOf } from "../../base/errors";
import { logLine } from "../../base/log";
import { formatByteLength } from "../../base/units";
import { backingFile } from "../../sys/loop";
import type { BlockDevice } from "../../volume/blockdevice";

export class ImageWatch {
  readonly #device: BlockDevice;
  readonly #imageFd: number;
  #warning: string | undefined;

  /** `imageFd`: of the image, or of anything else, which is not watched. */
  constructor(device: BlockDevice, imageFd: number) {
    this.#device = device;
    this.#imageFd = imageFd >= 0 && fs.fstatSync(imageFd).isFile() ? imageFd : -1;
  }

  /** What a person should know, as a list for `status`; logged when it is new. */
  look(): string[] {
    if (this.#imageFd < 0) return [];
    const warning = this.#wrong();
    if (warning !== undefined && warning !== this.#warning) logLine(warning);
    this.#warning = warning;
    return warning === undefined ? [] : [warning];
  }

  #wrong(): string | undefined {
    const image = backingFile(this.#device.name) ?? this.#device.name;
    let size: number;
    try {
      ({ size } = fs.fstatSync(this.#imageFd));
    } catch (error) {
      // An xfs that has shut down refuses even this.
      return `cannot look at ${image}: ${messageOf(error)}; its host has failed, see the kernel's log`;
    }
    const wanted = this.#device.byteLength;
    if (size >= wanted) return undefined;
    return `${image} was truncated from outside: ${formatByteLength(size)} of ${formatByteLength(wanted)} are left, what lay behind is lost; swapoff, umount, truncate -s ${wanted} ${image}, and swapfs fsck it`;
  }
}
