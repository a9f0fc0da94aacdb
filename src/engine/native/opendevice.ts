// The volume's block device as the control plane uses it: metadata only. An image below a loop device is grown and
// punched through the descriptor that carries the lock, which is the image itself.

import fs from "node:fs";
import { stepsOf, zeroStep } from "../../base/steps";
import { addon } from "../../sys/addon";
import { blockDeviceFacts } from "../../sys/blockdevice";
import { discardBytesMax, placeOf } from "../../sys/imagebelow";
import { ImageFile } from "../../sys/imagefile";
import { FileBlockDevice, type FileDeviceOptions } from "../../volume/file-device";

export function openDevice(device: string, lockFd: number): FileBlockDevice {
  const { byteLength, deviceNumber } = blockDeviceFacts(device);
  const image = lockFd >= 0 && fs.fstatSync(lockFd).isFile();
  const direct = openedOnce(device);
  const hooks = image ? imageHooks(new ImageFile(lockFd)) : { ...(discardBytesMax(deviceNumber) > 0 && discardHooks), ...(placeOf(deviceNumber)?.file !== undefined && zeroHooks(direct)) };
  return new FileBlockDevice(device, {
    byteLength, settle: () => addon().waitForWork(),
    zero: (offset, length) => addon().writeZeroes(direct(), offset, length),
    copy: (from, to, length) => addon().copyWithin(direct(), from, to, length), resize: (fd) => addon().blockDeviceByteLength(fd), ...hooks,
  });
}

// File data goes past the page cache that metadata goes through, as it does in the data plane.
function openedOnce(device: string): () => number {
  let direct: number | undefined;
  return () => (direct ??= fs.openSync(device, fs.constants.O_RDWR | fs.constants.O_DIRECT));
}

// Through the image and not through the loop device: its discard is switched off, lest swapon --discard punches holes
// below an active swapfile.
function imageHooks(image: ImageFile): FileDeviceOptions {
  return {
    allocate: (fd, offset, length) => image.allocate(fd, offset, length),
    allocateWritten: (_, offset, length, signal) => image.allocateWritten(offset, length, signal),
    punch: (_, offset, length) => image.punch(offset, length),
    punchAsync: (_, offset, length, signal) => image.punchAsync(offset, length, signal),
    hostFreeBytes: () => image.freeBytes(),
    resize: (fd, byteLength) => {
      if (byteLength !== undefined) image.resize(byteLength);
      addon().loopSetCapacity(fd);
      return addon().blockDeviceByteLength(fd);
    },
  };
}

const discardHooks: FileDeviceOptions = {
  punch: (fd, offset, length) => addon().blockDeviceDiscard(fd, offset, length),
  punchAsync: (fd, offset, length) => addon().blockDeviceDiscardAsync(fd, offset, length),
};

// A loop device that somebody attached and gave as the source: swapon needs the blocks of its file to be there as well.
// Written through the device, which alone knows where in which file they lie; holes and length are its owner's.
function zeroHooks(direct: () => number): FileDeviceOptions {
  return {
    allocateWritten: async (_, offset, length, signal) => {
      for (const [at, count] of stepsOf(offset, length, zeroStep)) {
        signal.throwIfAborted();
        await addon().writeZeroes(direct(), at, count);
      }
    },
  };
}
