// The swap areas on files of a volume: those that a mount of it shows, and those of a mount that was detached.

import { join, relative } from "node:path";
import { isSameFile } from "../../sys/imagebelow";
import { mountHolding, readMounts, type MountEntry } from "../../sys/mounttable";
import { readSwaps, swapsOn, type SwapArea } from "../../sys/procswaps";
import { complaint, runLong, runTool, type Ran } from "../../sys/tools";
import { ask } from "../common/control";
import type { MountedVolume } from "../common/mounted";
import { Interrupted, failed, heard } from "../common/outcome";
import { note } from "../common/output";

type Volume = Pick<MountedVolume, "deviceNumber" | "mountpoint" | "runDir">;

/** Under paths that swapoff(8) takes now. The control plane tells of those that the mount table does not know any more. */
export async function swapsOf(volume: Volume): Promise<SwapArea[]> {
  const [areas, mounts] = [readSwaps(), readMounts()];
  const found = swapsOn(volume.deviceNumber, areas, mounts);
  const others = areas.filter((area) => area.type === "file" && !found.includes(area));
  if (others.length === 0) return found;
  const shown = new Set(found.map(({ path }) => withinVolume(mounts, path)));
  const files = await (ask(volume.runDir, { command: "swaps" }) as Promise<{ path?: string }[]>).catch(() => []);
  // Another detached volume, or the host, may have an area of the same name: one of them is ours, and none when ours is shown already.
  const detached = files.flatMap(({ path }) => shown.has(path) ? [] : others.find((area) => area.path === path) ?? []);
  return [...found, ...detached.map((area) => ({ ...area, path: `${volume.mountpoint}${area.path}` }))];
}

/** As the control plane names it. */
function withinVolume(mounts: readonly MountEntry[], path: string): string | undefined {
  const mount = mountHolding(mounts, path);
  return mount && join("/", mount.root, relative(mount.mountpoint, path));
}

/** The area on the file, which swapoff(2) knows by any of its names. */
export async function areaOn(volume: Volume, path: string): Promise<SwapArea | undefined> {
  return (await swapsOf(volume)).find((area) => !area.deleted && isSameFile(area.path, path));
}

/**
 * swapon(8). What it has begun goes on in the kernel whatever becomes of us: so a Ctrl-C waits for its end, and undoes it. Without
 * a priority the kernel chooses one below all others.
 */
export async function swapOn(path: string, priority: number | undefined, signal: AbortSignal): Promise<Ran> {
  const say = (): void => note(`interrupted: waiting for swapon of ${path}, to undo it`);
  signal.addEventListener("abort", say);
  const ran = await runLong("swapon", priority === undefined ? [path] : ["-p", String(priority), path]);
  signal.removeEventListener("abort", say);
  try {
    await heard(signal);
  } catch (interrupted) {
    if (ran.code === 0) undoSwapOn(path);
    throw interrupted;
  }
  return ran;
}

function undoSwapOn(path: string): void {
  const ran = runTool("swapoff", [path]);
  if (ran.code !== 0) throw new Interrupted(`interrupted, but ${path} stays swapped on: ${complaint(ran, "swapoff")}`);
}

/** An interrupted swapoff(2) ends with EINTR (try_to_unuse, mm/swapfile.c): the area stays as it was. */
export async function swapOff(area: Pick<SwapArea, "path" | "deleted">, signal?: AbortSignal): Promise<void> {
  const ran = await runLong("swapoff", [area.path], signal);
  if (ran.code === 0) return;
  await heard(signal, `interrupted: ${area.path} stays swapped on`);
  const state = complaint(ran, "swapoff");
  // EINVAL: no area is on that file (swapoff, mm/swapfile.c). It may have gone since it was seen.
  if (/invalid argument/i.test(state) && !readSwaps().some(({ path }) => path === area.path)) return;
  // swapoff(2) opens the path that it is given and compares the files: an unlinked one has no path to give.
  const next = area.deleted ? "it was unlinked while it is swapped on, so only a reboot swaps it off"
    : /not connected/i.test(state) ? "the processes of its volume are gone, so only a reboot swaps it off"
    : /memory/i.test(state) ? "free memory first" : "run it by hand and look at dmesg";
  throw failed(`cannot swapoff ${area.path}: ${state}, ${next}`);
}
