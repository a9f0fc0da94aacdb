// swapfs mount -o remount,...: the flags of a volume that is mounted. The kernel changes them; no process is told.

import { readMounts } from "../../sys/mounttable";
import { complaint, runTool } from "../../sys/tools";
import { requireVolumeAt } from "../common/mounted";
import type { MountOptions } from "./mountoptions";
import { failed, usageError } from "../common/outcome";
import { shellWord } from "../common/paths";

/** What is in force afterwards, in the kernel's words. */
export function remountVolume(given: string, { flagWords }: MountOptions): { mountpoint: string; options: readonly string[] } {
  const { mountpoint } = requireVolumeAt(given, "remount");
  if (flagWords.length === 0) throw usageError("cannot remount: -o says no flag that could change, add ro, rw, noexec or others");
  // -i: mount(8) would call its helper, which is us.
  const ran = runTool("mount", ["-i", "-o", ["remount", ...flagWords].join(","), mountpoint]);
  // mount(8) says what is wrong first, and then that dmesg may know more.
  const [said = ""] = ran.stderr.split("\n");
  if (ran.code !== 0) throw failed(`cannot remount ${mountpoint}: ${complaint({ ...ran, stderr: said }, "mount")}; if it is busy, see what is open for writing (fuser -v -m ${shellWord(mountpoint)})`);
  const mount = readMounts().filter((one) => one.mountpoint === mountpoint).pop();
  return { mountpoint, options: mount?.options ?? [] };
}
