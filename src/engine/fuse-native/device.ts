// The volume's device: an image file as it is, without a loop device, or a block device.

import { closeSync, openSync, statSync } from "node:fs";

import { addon } from "../../sys/addon";
import { imageFileHooks } from "../../sys/imagefile";
import { FileBlockDevice } from "../../volume/file-device";

/** Throws a UserError that names the path. Data and metadata go through one page cache, so they agree. */
export function openDevice(path: string): FileBlockDevice {
  if (!statSync(path).isBlockDevice()) return new FileBlockDevice(path, imageFileHooks);
  const fd = openSync(path, "r");
  const byteLength = addon().blockDeviceByteLength(fd);
  closeSync(fd);
  return new FileBlockDevice(path, { byteLength, punch: (device, offset, length) => addon().blockDeviceDiscard(device, offset, length) });
}
