// What the gate sees beside the volume: the image on its host, through a descriptor that was opened once, and other
// processes. Of file data nothing is read.

import fs from "node:fs";
import type { HostAllowances, UnreachableImage } from "../../activation/imagelayer";
import type { Surroundings } from "../../activation/surroundings";
import { messageOf } from "../../base/errors";
import { deviceNumberOf } from "../../sys/blockdevice";
import { placeOf } from "../../sys/imagebelow";
import { atLeast, kernelVersion } from "../../sys/kernel";
import { inSwapon, sharedWriters } from "../../sys/onlookers";
import { readImageLayer } from "../hostimage";

/** The image, and where in it the volume begins, in bytes. */
type Image = { readonly fd: number; readonly offset: number };

/** `lockFd`: the source, the image itself where it is one. */
export function makeSurroundings(device: string, lockFd: number, allow: HostAllowances): Surroundings {
  const deviceNumber = deviceNumberOf(fs.statSync(device).rdev);
  const image = lockFd >= 0 && fs.fstatSync(lockFd).isFile() ? { fd: lockFd, offset: 0 } : openImage(deviceNumber);
  return {
    image: (extents, pages) => (image === undefined || "kind" in image ? image : readImageLayer(image, allow, extents, pages)),
    swaponDrains: atLeast(kernelVersion(), 6, 16),
    inSwapon,
    mappedBy: (ino) => sharedWriters(deviceNumber, ino),
  };
}

/** A device that lies in a file of a host is an image all the same, whoever attached it and with however much in between. */
export function openImage(deviceNumber: string, sysfs?: string): Image | UnreachableImage | undefined {
  const place = placeOf(deviceNumber, sysfs);
  const unreachable = (why: string): UnreachableImage => ({ kind: "unreachable-image", file: place?.file ?? deviceNumber, why });
  if (place === undefined) return unreachable("/sys does not show what this device lies on");
  const { file, offset, mapper } = place;
  if (file === undefined) return undefined;
  if (mapper !== undefined) return unreachable(`${mapper} lies between, and where that has put its pages is not known`);
  try {
    const fd = fs.openSync(file, "r");
    return fs.fstatSync(fd).isFile() ? { fd, offset } : unreachable("it is not a file");
  } catch (error) {
    return unreachable(messageOf(error));
  }
}
