// The way back to a volume whose mount was detached while it was in use (umount -l with swap on), or is in another namespace.
// A second mount(2) of a device whose superblock lives gives that superblock again (get_tree_bdev, fs/super.c): no /dev/fuse
// goes with it, so that where there is none any more it fails and changes nothing.

import { placeOf, shareBytes, type DevicePlace } from "../../sys/imagebelow";
import { readText } from "../../sys/kernelfiles";
import { parseMountInfo } from "../../sys/mounttable";
import { processIds, processStatus } from "../../sys/procstatus";
import { runTool } from "../../sys/tools";
import { detachedVolumes, type MountedVolume } from "../common/mounted";
import { flagWordsOf } from "./mountoptions";
import { failed } from "../common/outcome";
import { shellWord } from "../common/paths";
import { processesOf } from "../common/processes";

/** The volume on `place` that lives without a mount here, when there is one. */
export function findDetached(place: DevicePlace | undefined): MountedVolume | undefined {
  return detachedVolumes().find((volume) => shareBytes(place, placeOf(volume.deviceNumber)) && processesOf(volume).length > 0);
}

/** False: it has ended meanwhile. Throws a UserError where it is mounted in another namespace. */
export function attachAgain({ deviceNumber, device }: MountedVolume, source: string, mountpoint: string, flags: number): boolean {
  const elsewhere = mountedElsewhere(deviceNumber);
  if (elsewhere !== undefined) throw failed(`cannot mount ${source}: ${elsewhere}`);
  return runTool("mount", ["-i", "-t", "fuseblk", "-o", flagWordsOf(flags).join(",") || "rw", device, mountpoint]).code === 0;
}

/** Where, and how to get there. */
export function mountedElsewhere(deviceNumber: string): string | undefined {
  for (const pid of processIds()) {
    const mount = parseMountInfo(readText(`/proc/${pid}/mountinfo`) ?? "").find((one) => one.deviceNumber === deviceNumber);
    if (mount === undefined) continue;
    return `it is mounted at ${mount.mountpoint} in the mount namespace of process ${pid} (${processStatus(pid)?.name ?? "?"}): use it there,`
      + ` nsenter --mount --target ${pid} swapfs status ${shellWord(mount.mountpoint)}`;
  }
  return undefined;
}
