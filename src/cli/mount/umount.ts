// swapfs umount MOUNTPOINT

import { existsSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { listFolder } from "../../sys/kernelfiles";
import { backingFile } from "../../sys/loop";
import { loopsOverFilesOf } from "../../sys/loopswaps";
import { isAtOrBelow, mountHolding, readMounts } from "../../sys/mounttable";
import { processIds, processStatus } from "../../sys/procstatus";
import { complaint, runTool } from "../common/children";
import { requireVolumeAt, volumeAt, type MountedVolume } from "../common/mounted";
import { failed } from "../common/outcome";
import { print, printJson } from "../common/output";
import { shellWord } from "../common/paths";
import { isAlive as alive, processesOf } from "../common/processes";
import { swapOffLoop } from "../swap/loopswap";
import { swapOff, swapsOf } from "../swap/swapareas";
import { closeQuietly } from "./keeper";
import { openRunDir, removeRunDir } from "./rundir";

export function define(command: Command): void {
  command
    .description("Unmount a volume, end its processes and detach its loop device.")
    .argument("<mountpoint>", "where it is mounted")
    .option("--swapoff", "swap off the files that are swapped on first")
    .option("--json", "print what was done as JSON")
    .addHelpText("after", `
Examples:
  swapfs umount /mnt/swap
  swapfs umount --swapoff /mnt/swap

While a file is swapped on nothing is done (exit 12), and the message names the file.
umount(8) works as well; this command also waits until everything has ended.

Exit codes: 0 unmounted, 2 usage, 12 not unmounted, 70 internal.`)
    .action(async (mountpoint: string, options: { swapoff?: boolean; json?: boolean }) => {
      const volume = requireVolumeAt(mountpoint, "umount");
      const { swappedOff, still } = await unmount(volume, { swapoff: options.swapoff ?? false });
      if (options.json) {
        printJson({ unmounted: volume.mountpoint, swappedOff, still });
        return;
      }
      for (const path of swappedOff) print(`${path} is swapped off`);
      print(`${volume.mountpoint} is unmounted${still.length === 0 ? "" : `; the volume is still mounted at ${still.join(", ")}`}`);
    });
}

const endMs = 30_000;
const pollMs = 20;

export interface Unmounted {
  readonly swappedOff: string[];
  /** other mounts of the volume: its processes go on */
  readonly still: string[];
}

/** Refuses while a file is swapped on, then waits until every process is gone and the loop device is free. */
export async function unmount(volume: MountedVolume, options: { swapoff: boolean }): Promise<Unmounted> {
  const still = otherMounts(volume);
  // What lies on another mount of the volume is busy there, and stays on.
  const here = still.length === 0 ? () => true : (path: string) => mountHolding(readMounts(), path)?.mountpoint === volume.mountpoint;
  const areas = (await swapsOf(volume)).filter(({ path }) => here(path));
  const loops = loopsOverFilesOf(volume.deviceNumber).filter(({ area, file }) => area !== undefined && here(file));
  const on = [...areas.map(({ path }) => path), ...loops.map(({ file }) => file)];
  if (on.length > 0 && !options.swapoff) throw stillOn(volume, on);
  for (const area of areas) swapOff(area);
  for (const loop of loops) await swapOffLoop(loop); // activation ends with the mount
  const processes = processesOf(volume);
  const runDir = openRunDir(volume.runDir);
  const ran = runTool("umount", ["-i", volume.mountpoint]);
  if (ran.code !== 0) throw refused(volume, complaint(ran, "umount"));
  if (still.length === 0) {
    await untilGone(volume, processes);
    // The keeper removes it as its last act; one that was killed left it behind. Another of its name is a new mount's.
    await removeRunDir(volume.runDir, 0, runDir);
  }
  closeQuietly(runDir);
  return { swappedOff: on, still };
}

function otherMounts({ deviceNumber, mountpoint }: MountedVolume): string[] {
  const mountpoints = readMounts().filter((mount) => mount.deviceNumber === deviceNumber).map((mount) => mount.mountpoint);
  return mountpoints.filter((_, index) => index !== mountpoints.lastIndexOf(mountpoint));
}

function stillOn(volume: MountedVolume, files: readonly string[]): Error {
  const command = files.map((file) => `swapfs swapoff ${shellWord(file)}`).join(" && ");
  return failed(`cannot umount ${volume.mountpoint}: ${files.join(", ")} ${files.length === 1 ? "is" : "are"} swapped on,`
    + ` run ${command} first, or swapfs umount --swapoff ${shellWord(volume.mountpoint)}`);
}

function refused(volume: MountedVolume, state: string): Error {
  const loops = loopsOverFilesOf(volume.deviceNumber).map(({ device, file }) => `${device} (loop device over ${file}: losetup -d)`);
  const users = /busy/.test(state) ? [...usersOf(volume.mountpoint), ...loops] : [];
  const next = users.length > 0 ? `end ${users.join(", ")} first` : "look at fuser -vm";
  return failed(`cannot umount ${volume.mountpoint}: ${state.replace(/^.*: /, "")}, ${next}`);
}

/** Processes with a file or folder of the mount open, from /proc: readlink there does not ask the filesystem. */
function usersOf(mountpoint: string): string[] {
  const users: string[] = [];
  for (const pid of processIds()) {
    const links = [`/proc/${pid}/cwd`, `/proc/${pid}/root`, ...listFolder(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`)];
    if (links.some((link) => linkBelow(link, mountpoint))) users.push(`${processStatus(pid)?.name ?? "?"} (process ${pid})`);
  }
  return users;
}

function linkBelow(link: string, mountpoint: string): boolean {
  try {
    const target = readlinkSync(link);
    return isAtOrBelow(target, mountpoint);
  } catch {
    return false;
  }
}

async function untilGone(volume: MountedVolume, processes: readonly number[]): Promise<void> {
  const end = Date.now() + endMs;
  const left = (): string[] => [
    ...processes.filter(alive).map((pid) => `process ${pid}`),
    ...(volume.autoclear && backingFile(volume.deviceNumber) === volume.image ? [`loop device ${volume.deviceNumber}`] : []),
    ...(volumeAt(volume.mountpoint)?.deviceNumber === volume.deviceNumber ? ["the mount"] : []),
    ...(processes.some(alive) && existsSync(volume.runDir) ? [volume.runDir] : []),
  ];
  while (left().length > 0) {
    if (Date.now() > end) throw failed(`cannot finish umount of ${volume.mountpoint}: after ${endMs / 1000} s still there: ${left().join(", ")}`);
    await sleep(pollMs);
  }
}
