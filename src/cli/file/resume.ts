// What the kernel must be told to resume from a swapfile, or why it cannot.

import type { Verdict } from "../../activation/verdict";
import type { FileMap } from "../../engine/native/mapcommand";
import { lastingName } from "../../sys/bynames";
import type { MountedVolume } from "../common/mounted";
import { shellWord } from "../common/paths";

/** What goes on the kernel's command line, or why there is nothing. */
export type Resume =
  | { readonly device: string; readonly offset: number }
  | { readonly none: string; readonly refused: boolean };

/** `offset`: of the swap header, in pages from the start of the device (Documentation/power/swsusp-and-swap-files.rst). */
export function resumeOf(
  file: string, volume: Pick<MountedVolume, "image" | "device">, map: FileMap, verdict: Verdict, disk?: string,
): Resume {
  const impossible = whyNoResume(volume);
  if (impossible !== undefined) return { none: impossible, refused: false };
  const [first] = map.extents;
  if (!verdict.accepted || first === undefined || first.filePage > 0) {
    return { none: `swapon would refuse the file: run swapfs check ${shellWord(file)}`, refused: true };
  }
  return { device: lastingName(volume.device, disk), offset: first.devicePage };
}

/** The kernel reads the area before anything is mounted: so nothing but the device itself may be needed. */
function whyNoResume({ image, device }: Pick<MountedVolume, "image" | "device">): string | undefined {
  if (image !== undefined) {
    return `the volume is an image (${image}) on a loop device, which is not there when the kernel resumes: use a block device as the source`;
  }
  return /^\/dev\/(zram|ram|loop)\d/.test(device) ? `${device} does not survive a power-off: use a disk` : undefined;
}
