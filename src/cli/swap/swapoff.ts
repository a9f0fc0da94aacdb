// swapfs swapoff FILE: undoes swapon, whichever way it was swapped on. --all-views: of every volume, also without its processes.

import type { Command } from "commander";
import { messageOf } from "../../base/errors";
import { loopsOverFile } from "../../sys/loopswaps";
import { alone, deactivateQuietly, swapOffLoop, untilDetached } from "./loopswap";
import { failed, requireRoot, untilInterrupted, usageError } from "../common/outcome";
import { show, warn } from "../common/output";
import { cannotTell, loopViews } from "../../sys/loopviews";
import { areaOnDevice } from "../../sys/procswaps";
import { findFile, type Target } from "../file/pinning";
import type { MountedVolume } from "../common/mounted";
import { stillHeld, swapOffView, viewsOf } from "./blockview";
import { areaOn, swapOff } from "./swapareas";

export function define(command: Command): void {
  command
    .description("Swap off a file, itself or the loop device that swapon --block or --loop attached; that device goes as well.")
    .argument("[file]", "a file on a mounted volume")
    .option("--all-views", "instead of a file: every block view (swapon --block) on this machine, whatever became of its volume")
    .option("--json", "print what was done as JSON")
    .addHelpText("after", `
Example:
  swapfs swapoff /mnt/swap/b
  swapfs swapoff --all-views

A file that is not swapped on is left as it is (exit 0). One that swapon --loop activated is an ordinary file again; one
that was activated before stays activated. swapfs umount --swapoff MOUNTPOINT swaps off every file of a volume.

Exit codes: 0 not swapped on any more, 2 usage, 12 not done, 70 internal; 130 after Ctrl-C: it stays swapped on.`)
    .action(async (file: string | undefined, options: { json?: boolean; allViews?: boolean }) => {
      if ((file === undefined) !== (options.allViews === true)) throw usageError("cannot swapoff: name a file, or give --all-views alone");
      if (file === undefined) return swapOffAllViews(options.json === true);
      const target = findFile(file, "swapoff");
      const { was, stays } = await untilInterrupted((signal) => alone(file, (path) => swapOffAny(path, target, signal)));
      if (stays !== undefined) warn(stillHeld(stays));
      show(options.json, { file, was, ...(stays !== undefined && { stays }) }, was === null ? `${file} was not swapped on` : `${file} is swapped off`);
    });
}

/** One that cannot be swapped off does not keep the others; one that comes meanwhile is swapped off as well. */
async function swapOffAllViews(json: boolean): Promise<void> {
  requireRoot("swapoff --all-views"); // without, what a loop device lies over cannot be asked
  const failures = new Map<string, string>();
  const devices: string[] = [];
  const unknown = await untilInterrupted(async (signal) => {
    for (;;) {
      const found = loopViews();
      const device = found.views.find((view) => view.of !== undefined && !failures.has(view.device))?.device;
      if (device === undefined) return found.unknown;
      try {
        if (await swapOffView({ device }, undefined, signal)) devices.push(device);
        else failures.set(device, `cannot swapoff ${device} for good: ${stillHeld(device)}; run it again`);
      } catch (error) {
        if (signal.aborted) throw error;
        failures.set(device, messageOf(error));
      }
    }
  });
  for (const { found, remedy } of unknown.map(cannotTell)) warn(`${found}, ${remedy}`);
  for (const { device } of unknown.filter((loop) => areaOnDevice(loop.device) !== undefined)) failures.set(device, `${device} stays swapped on`);
  show(json, { devices, failed: Object.fromEntries(failures) }, devices.length === 0 && failures.size === 0 ? "no block view is swapped on" : `swapped off: ${devices.join(", ")}`);
  if (failures.size > 0) throw failed([...failures.values()].join("\n"));
}

/** `stays`: a device that is off, but held open by somebody. */
async function swapOffAny(
  path: string, target: Target & { readonly volume: MountedVolume }, signal: AbortSignal,
): Promise<{ was: "file" | "loop" | "block" | null; stays?: string }> {
  const view = (await viewsOf(target.volume)).find(({ ino }) => ino === target.ino);
  if (view) {
    const went = await swapOffView(view, target, signal);
    return { was: "block", ...(!went && { stays: view.device }) };
  }
  const area = await areaOn(target.volume, path);
  if (area) await swapOff({ ...area, path }, signal);
  const loops = loopsOverFile(path).filter((loop) => loop.area !== undefined);
  for (const loop of loops) await swapOffLoop(loop, signal);
  if (loops.length === 0 && loopsOverFile(path).some(({ autoclear }) => autoclear)) await untilDetached(path);
  await deactivateQuietly(target); // also what a swapon --loop that was killed left activated
  return { was: area ? "file" : loops.length > 0 ? "loop" : null };
}
