// The volume's block device as the control plane uses it: metadata only. An image below a loop device is grown and
// punched through the descriptor that carries the lock, which is the image itself.

import fs from "node:fs";
import { addon } from "../../sys/addon";
import { falloc } from "../../sys/fallocate";
import { FileBlockDevice } from "../../volume/file-device";

export function openDevice(device: string, lockFd: number): FileBlockDevice {
  const probe = fs.openSync(device, "r");
  const byteLength = addon().blockDeviceByteLength(probe);
  fs.closeSync(probe);
  const image = lockFd >= 0 && fs.fstatSync(lockFd).isFile();
  return new FileBlockDevice(device, image ? { byteLength, ...imageHooks(lockFd) } : { byteLength, ...deviceHooks });
}

// Through the image and not through the loop device: its discard is switched off, lest swapon --discard punches holes
// below an active swapfile.
function imageHooks(imageFd: number) {
  return {
    allocate: (_: number, offset: number, length: number): void => addon().fallocate(imageFd, 0, offset, length),
    punch: (_: number, offset: number, length: number): void =>
      addon().fallocate(imageFd, falloc.punchHole | falloc.keepSize, offset, length),
  };
}

const deviceHooks = {
  punch: (fd: number, offset: number, length: number): void => addon().blockDeviceDiscard(fd, offset, length),
};
