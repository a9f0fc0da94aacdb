// swapfs umount MOUNTPOINT

import { existsSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { deviceNumberOf } from "../../sys/blockdevice";
import { ifAny, listFolder, readText, statIfAny } from "../../sys/kernelfiles";
import { backingFile } from "../../sys/loop";
import { loopsOverFilesOf } from "../../sys/loopswaps";
import { isAtOrBelow, mountHolding, readMounts } from "../../sys/mounttable";
import { processIds, processStatus } from "../../sys/procstatus";
import { complaint, runTool } from "../../sys/tools";
import { requireVolumeAt, volumeAt, type MountedVolume } from "../common/mounted";
import { failed, heard, untilInterrupted } from "../common/outcome";
import { print, printJson, warn } from "../common/output";
import { shellWord } from "../common/paths";
import { isAlive as alive, processesOf } from "../common/processes";
import { swapOffLoop } from "../swap/loopswap";
import { stillHeld, swapOffView, viewsOf } from "../swap/blockview";
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

Exit codes: 0 unmounted, 2 usage, 12 not unmounted, 70 internal; 130 after Ctrl-C, with what was left as it is.`)
    .action(async (mountpoint: string, options: { swapoff?: boolean; json?: boolean }) => {
      const volume = requireVolumeAt(mountpoint, "umount");
      const { swappedOff, still, held } = await untilInterrupted((signal) => unmount(volume, { swapoff: options.swapoff ?? false, signal }));
      for (const device of held) warn(`${stillHeld(device)}; the next mount takes that over`);
      if (options.json) {
        printJson({ unmounted: volume.mountpoint, swappedOff, still });
        return;
      }
      for (const path of swappedOff) print(`${path} is swapped off`);
      print(`${volume.mountpoint} is unmounted${still.length === 0 ? "" : `; the volume is still mounted at ${still.join(", ")}`}`);
    });
}

const endMs = 30_000;
/** Until then it may only be slow. */
const holdersMs = 1500;
const pollMs = 20;

interface UnmountOptions {
  readonly swapoff: boolean;
  /** block views need no mount: the next one takes them over */
  readonly leaveViews?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Refuses while a file is swapped on, then waits until every process is gone and the loop device is free. `still`: other mounts of
 * the volume, for which its processes go on. `held`: block views that are off, but whose device somebody has open.
 */
export async function unmount(
  volume: MountedVolume, { swapoff, leaveViews = false, signal }: UnmountOptions,
): Promise<{ swappedOff: string[]; still: string[]; held: string[] }> {
  const still = otherMounts(volume);
  // What lies on another mount of the volume is busy there, and stays on.
  const here = still.length === 0 ? () => true : (path: string) => mountHolding(readMounts(), path)?.mountpoint === volume.mountpoint;
  const areas = (await swapsOf(volume)).filter(({ path }) => here(path));
  const loops = loopsOverFilesOf(volume.deviceNumber).filter(({ area, file }) => area !== undefined && here(file));
  const processes = processesOf(volume);
  // Of a mount whose processes are gone they are no use of it.
  const views = leaveViews || still.length > 0 || (processes.length === 0 && !swapoff) ? [] : (await viewsOf(volume)).filter(({ area }) => area !== undefined);
  const on = [...areas.map(({ path }) => path), ...[...loops, ...views].map(({ file }) => file)];
  if (on.length > 0 && !swapoff) throw stillOn(volume, on);
  for (const area of areas) await swapOff(area, signal);
  for (const loop of loops) await swapOffLoop(loop, signal); // activation ends with the mount
  const held: string[] = [];
  for (const view of views) if (!(await swapOffView(view, undefined, signal))) held.push(view.device);
  await heard(signal, `interrupted: ${volume.mountpoint} stays mounted`);
  const runDir = openRunDir(volume.runDir);
  const ran = runTool("umount", ["-i", volume.mountpoint]);
  if (ran.code !== 0) throw refused(volume, complaint(ran, "umount"));
  if (still.length === 0) {
    await untilGone(volume, processes, signal);
    // The keeper removes it as its last act; one that was killed left it behind. Another of its name is a new mount's.
    await removeRunDir(volume.runDir, 0, runDir);
  }
  closeQuietly(runDir);
  return { swappedOff: on, still, held };
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
  for (const pid of processIds().filter((one) => one !== process.pid)) {
    const links = [`/proc/${pid}/cwd`, `/proc/${pid}/root`, ...listFolder(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`)];
    if (links.some((link) => isAtOrBelow(ifAny(() => readlinkSync(link)) ?? "", mountpoint))) users.push(named(pid));
  }
  return users;
}

/** Processes with a file open on a detached mount of the device: such a mount is in no table, and their paths say nothing. */
function holdersOf(deviceNumber: string): string[] {
  const shown = new Set(readMounts().map(({ id }) => id));
  const holds = (pid: number, fd: string): boolean => {
    const id = Number(/^mnt_id:\s*(\d+)$/m.exec(readText(`/proc/${pid}/fdinfo/${fd}`) ?? "")?.[1]);
    const stat = shown.has(id) ? undefined : statIfAny(`/proc/${pid}/fd/${fd}`);
    return stat !== undefined && deviceNumberOf(stat.dev) === deviceNumber;
  };
  return processIds().filter((pid) => pid !== process.pid && listFolder(`/proc/${pid}/fd`).some((fd) => holds(pid, fd))).map(named);
}

function named(pid: number): string {
  return `${processStatus(pid)?.name ?? "?"} (process ${pid})`;
}

async function untilGone(volume: MountedVolume, processes: readonly number[], signal: AbortSignal | undefined): Promise<void> {
  const end = Date.now() + endMs;
  let holdersDue = Date.now() + holdersMs;
  const left = (): string[] => [
    ...processes.filter(alive).map((pid) => `process ${pid}`),
    ...(volume.autoclear && backingFile(volume.deviceNumber) === volume.image ? [`loop device ${volume.deviceNumber}`] : []),
    ...(volumeAt(volume.mountpoint)?.deviceNumber === volume.deviceNumber ? ["the mount"] : []),
    ...(processes.some(alive) && existsSync(volume.runDir) ? [volume.runDir] : []),
  ];
  while (left().length > 0) {
    const holders = Date.now() > holdersDue ? holdersOf(volume.deviceNumber) : [];
    if (holders.length > 0) throw failed(`cannot finish umount of ${volume.mountpoint}: a mount of it that was detached (umount -l) is in use by ${holders.join(", ")}: end that, and the volume ends by itself`);
    if (Date.now() > holdersDue) holdersDue = Infinity;
    if (Date.now() > end) throw failed(`cannot finish umount of ${volume.mountpoint}: after ${endMs / 1000} s still there: ${left().join(", ")}`);
    await sleep(pollMs);
    await heard(signal, `interrupted: ${volume.mountpoint} is unmounted, and its processes end by themselves`);
  }
}
