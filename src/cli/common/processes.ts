// The processes that serve a volume, found in /proc: each of them may outlive the others.

import { readText } from "../../sys/kernelfiles";
import { commandLine, processIds, processStatus } from "../../sys/procstatus";
import type { MountedVolume } from "./mounted";

/** Keeper first, then data plane and control plane (or the one process of the fuse-native engine); only living ones. */
export function processesOf(volume: MountedVolume): number[] {
  const found = processIds().flatMap((pid) => {
    const role = isAlive(pid) ? roleOf(pid, volume) : undefined;
    return role === undefined ? [] : [{ pid, role }];
  });
  return found.sort((a, b) => a.role - b.role).map(({ pid }) => pid);
}

/** Zombies serve nobody; where nobody reaps orphans they stay for ever. */
export function isAlive(pid: number): boolean {
  const state = processStatus(pid)?.state;
  return state !== undefined && state !== "Z" && state !== "X";
}

/** 0 keeper, 1 data plane, 2 control plane. */
function roleOf(pid: number, volume: MountedVolume): number | undefined {
  const words = commandLine(pid);
  const program = words[0] ?? "";
  const after = (option: string): string | undefined => words[words.indexOf(option) + 1];
  if (program.endsWith("/swapfs-keeper")) return words.includes("--run-dir") && after("--run-dir") === volume.runDir ? 0 : undefined;
  if (program.endsWith("/swapfs-dataplane")) return words.includes("--device") && after("--device") === volume.device ? 1 : undefined;
  if (!words.some((word) => /\/engine\/(native|fuse-native)\/main\.js$/.test(word))) return undefined;
  // A mount may have been moved since; the engine fuse-native renames its run directory.
  const own = volume.engine === "native" ? `SWAPFS_RUN_DIR=${volume.runDir}` : `SWAPFS_MOUNTPOINT=${volume.mountpoint}`;
  return readText(`/proc/${pid}/environ`)?.split("\0").includes(own) ? 2 : undefined;
}
