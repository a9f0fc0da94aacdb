// A volume's device or image, opened as it lies there: without a loop device, and by nobody else.

import { closeSync, fstatSync, ftruncateSync, openSync, statSync } from "node:fs";
import { addon } from "../sys/addon";
import { deviceNumberOf } from "../sys/blockdevice";
import { discardBytesMax } from "../sys/imagebelow";
import { imageFileHooks } from "../sys/imagefile";
import { withOpen } from "../sys/kernelfiles";
import { FileBlockDevice } from "../volume/file-device";

/** Closes the device when `work` has ended. */
export function withDevice<T>(device: FileBlockDevice, work: (device: FileBlockDevice) => T): T {
  try {
    return work(device);
  } finally {
    device.close();
  }
}

export function openReadOnly(path: string): FileBlockDevice {
  const byteLength = blockDeviceLength(path);
  return new FileBlockDevice(path, { readOnly: true, ...(byteLength !== undefined && { byteLength }) });
}

/** To be written to: an image is backed and punched, and becomes longer and shorter with its volume. */
export function openWritable(path: string): FileBlockDevice {
  const copy = (from: number, to: number, length: number): Promise<void> => copyWithin(path, from, to, length);
  const byteLength = blockDeviceLength(path);
  if (byteLength !== undefined) {
    const resize = (fd: number): number => addon().blockDeviceByteLength(fd);
    const punch = (fd: number, offset: number, length: number): void => {
      if (discardBytesMax(deviceNumberOf(fstatSync(fd).rdev)) > 0) addon().blockDeviceDiscard(fd, offset, length);
    };
    return new FileBlockDevice(path, { byteLength, resize, punch, copy });
  }
  return new FileBlockDevice(path, {
    resize: (fd, length) => {
      if (length !== undefined) ftruncateSync(fd, length);
      return fstatSync(fd).size;
    },
    ...imageFileHooks, copy,
  });
}

async function copyWithin(path: string, from: number, to: number, length: number): Promise<void> {
  const fd = openSync(path, "r+");
  try {
    await addon().copyWithin(fd, from, to, length);
  } finally {
    closeSync(fd);
  }
}

/** undefined: it is a file. */
function blockDeviceLength(path: string): number | undefined {
  return statSync(path).isBlockDevice() ? withOpen(path, "r", (fd) => addon().blockDeviceByteLength(fd)) : undefined;
}
