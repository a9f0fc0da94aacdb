// Swap through the daemon: a loop device with direct I/O over an activated file, and swap on that device. Autoclear makes
// the undoing short: the device goes with its last user, which is us until swapon has succeeded, and then the swap area.

import { closeSync, realpathSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { exitCode, UserError } from "../../base/errors";
import type { AttachedLoop } from "../../sys/addon";
import { attachForSwap, loadLoop } from "../../sys/loop";
import { loopsOverFile, type LoopOverFile } from "../../sys/loopswaps";
import { complaint } from "../../sys/tools";
import { lockSource } from "../common/flock";
import { untilInterrupted, failed } from "../common/outcome";
import { activateFile } from "../file/activate";
import { needsHeader, writeHeader } from "../file/header";
import { askUnpin, refusalLines, type findTarget, type Target } from "../file/pinning";
import { areaOn, swapOff, swapOn } from "./swapareas";

/** `already`: it was on before. */
type LoopSwap = { device: string; already: boolean; madeHeader: boolean };

export interface LoopSwapOptions {
  readonly priority: number | undefined;
  /** write a swap header over whatever the file holds */
  readonly force: boolean;
}

/** Everything or nothing, also at Ctrl-C. Throws a UserError; exit 10 when the gate refuses the file. */
export function swapOnLoop(file: string, target: ReturnType<typeof findTarget>, options: LoopSwapOptions): Promise<LoopSwap> {
  return alone(file, async (path) => {
    const [found] = loopsOverFile(path);
    if (found?.area) return { device: found.device, already: true, madeHeader: false };
    if (found) throw failed(`cannot swapon ${file}: ${found.device} is attached to it and is not ours, detach it first (losetup -d ${found.device})`);
    if (await areaOn(target.volume, path)) throw failed(`cannot swapon ${file} through a loop device: it is swapped on itself, run swapfs swapoff first`);
    const undo: (() => unknown)[] = [];
    try {
      return await untilInterrupted((signal) => carryOut(file, path, target, options, undo, signal));
    } catch (error) {
      for (const step of undo.reverse()) await step();
      throw error;
    }
  });
}

const lockMs = 60_000;

/**
 * One swapon or swapoff of a file at a time: two swap areas on the same blocks would overwrite each other. The lock is a
 * descriptor to read, since the gate refuses files that are open for writing.
 */
export async function alone<T>(file: string, work: (path: string) => Promise<T>): Promise<T> {
  const path = realpathSync(file);
  const lock = await lockSource(path, lockMs, "r");
  if (lock === undefined) throw failed(`cannot work on ${file}: another swapfs swapon or swapoff of it is under way, wait for it`);
  try {
    return await work(path);
  } finally {
    closeSync(lock);
  }
}

async function carryOut(
  file: string, path: string, target: Target, options: LoopSwapOptions, undo: (() => unknown)[], signal: AbortSignal,
): Promise<LoopSwap> {
  const { verdict, already } = await activateFile(file, target, { mark: false });
  if (!verdict.accepted) throw new UserError(exitCode.notActivatable, [`cannot swapon ${file}: the activation gate refuses it`, ...refusalLines(file, verdict)].join("\n"));
  if (!already) undo.push(() => deactivateQuietly(target));
  loadLoop();
  const loop = attachForSwap(path, file);
  // Closed at the end in any case: from then on the swap area alone holds the device.
  undo.push(() => release(path, loop));
  const madeHeader = needsHeader(path, options.force);
  if (madeHeader) writeHeader(file, loop.device);
  signal.throwIfAborted();
  const ran = await swapOn(loop.device, options.priority, signal);
  if (ran.code !== 0) throw failed(`cannot swapon ${loop.device} over ${file}: ${complaint(ran, "swapon")}, look at dmesg`);
  closeSync(loop.fd);
  return { device: loop.device, already: false, madeHeader };
}

async function release(path: string, loop: AttachedLoop): Promise<void> {
  closeSync(loop.fd);
  await untilDetached(path);
}

/** Swaps off and waits until the device is gone. */
export async function swapOffLoop({ device, file }: LoopOverFile, signal?: AbortSignal): Promise<void> {
  await swapOff({ path: device, deleted: false }, signal);
  await untilDetached(file);
}

const detachMs = 5000;
const pollMs = 20;

/** udev may hold the device open for a moment after its last user. */
export async function untilDetached(file: string): Promise<void> {
  const end = Date.now() + detachMs;
  while (loopsOverFile(file).length > 0 && Date.now() < end) await sleep(pollMs);
}

/** A file that nobody marked is an ordinary file again; one that is in use stays as it is. */
export async function deactivateQuietly(target: Target): Promise<void> {
  await askUnpin(target, "release").catch(() => undefined);
}
