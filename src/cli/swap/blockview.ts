// Swap on a block view: a loop device over the blocks of a file, past the filesystem and its processes. The control plane leases the
// blocks and attaches the device; from swapon on the swap area alone holds both.

import { closeSync, openSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { exitCode, UserError } from "../../base/errors";
import type { Attached, ViewOutcome } from "../../engine/native/blockviews";
import { addon } from "../../sys/addon";
import { statIfAny } from "../../sys/kernelfiles";
import { loopViews } from "../../sys/loopviews";
import { readSwaps, type SwapArea } from "../../sys/procswaps";
import { complaint } from "../../sys/tools";
import { ask } from "../common/control";
import type { MountedVolume } from "../common/mounted";
import { failed } from "../common/outcome";
import { shellWord } from "../common/paths";
import { checkFile } from "../file/check";
import { refusalLines, type Target } from "../file/pinning";
import { swapOff, swapOn } from "./swapareas";

export interface ViewSwap {
  readonly device: string;
  /** it was on before */
  readonly already: boolean;
}

/** Everything or nothing, also at Ctrl-C. Throws a UserError; exit 10 when the gate refuses the file, or it lies in several extents. */
export async function swapOnView(file: string, target: Target, priority: number | undefined, signal: AbortSignal): Promise<ViewSwap> {
  try {
    return await throughView(file, target, priority, signal);
  } catch (error) {
    await untilEnded(target);
    throw error;
  }
}

/** The control plane lets the device go when it is told, when we are gone, or with its own end. */
async function throughView(file: string, target: Target, priority: number | undefined, signal: AbortSignal): Promise<ViewSwap> {
  const over = new AbortController();
  let answer: Promise<ViewOutcome> | undefined;
  try {
    const first = await new Promise<Attached | ViewOutcome>((resolve, reject) => {
      answer = askView(file, target, { event: (told) => resolve(told as Attached), signal: over.signal });
      answer.then(resolve, reject);
    });
    if (!("name" in first)) return { device: deviceOf(file, first), already: true };
    await swapOnHeld(file, target, first, priority, signal);
    return { device: first.device, already: false };
  } finally {
    over.abort();
    await answer?.catch(() => undefined);
  }
}

async function askView(file: string, { volume, ino }: Target, following: Parameters<typeof ask>[2]): Promise<ViewOutcome> {
  try {
    return (await ask(volume.runDir, { command: "view", ino }, following)) as ViewOutcome;
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("cannot view: ")) throw error;
    throw failed(`cannot swapon ${file} by a block view: ${error.message.slice("cannot view: ".length)}`);
  }
}

/** Throws a UserError where there is none. */
function deviceOf(file: string, { device, verdict }: ViewOutcome): string {
  if (device !== null) return device;
  if (verdict?.accepted === false) throw refused(file, verdict);
  throw new UserError(exitCode.notActivatable, `cannot swapon ${file} by a block view: it lies in ${verdict?.extents ?? "several"} extents and a loop device`
    + ` takes one, run swapfs prepare --contiguous ${shellWord(file)}, or swap it on without --block`);
}

function refused(file: string, verdict: NonNullable<ViewOutcome["verdict"]>): UserError {
  return new UserError(exitCode.notActivatable, [`cannot swapon ${file}: the activation gate refuses it`, ...refusalLines(file, verdict)].join("\n"));
}

/** With a descriptor of our own: a control plane that dies does not take the device from below swapon(8). */
async function swapOnHeld(file: string, target: Target, { device, name }: Attached, priority: number | undefined, signal: AbortSignal): Promise<void> {
  const held = openSync(device, "r");
  try {
    if (nameOf(held) !== name) throw failed(`cannot swapon ${file}: the control plane died and ${device} is gone, try again`);
    signal.throwIfAborted();
    const ran = await swapOn(device, priority, signal);
    if (ran.code !== 0) throw failed(`cannot swapon ${device} over ${file}: ${complaint(ran, "swapon")}, ${await nextFor(file, target)}`);
  } finally {
    closeSync(held);
  }
}

function nameOf(held: number): string | undefined {
  try {
    return addon().loopStatus(held).name;
  } catch {
    return undefined;
  }
}

/** swapon(8) says "Invalid argument" of every header that it does not like. */
async function nextFor(file: string, target: Target): Promise<string> {
  const { reasons } = await checkFile(file, target);
  const others = reasons.filter(({ kind }) => kind !== "block-view");
  const [, next] = others.length === 0 ? [] : refusalLines(file, { accepted: false, ino: target.ino, pages: 0, extents: 0, reasons: others });
  return next?.trim().replace(/^do: /, "") ?? "look at dmesg";
}

const endMs = 5000;
const pollMs = 20;

/** Each question has the control plane look whether the device is still there. */
async function untilEnded({ volume, ino }: Target): Promise<void> {
  for (const end = Date.now() + endMs; Date.now() < end; await sleep(pollMs)) {
    const views = await (ask(volume.runDir, { command: "views" }) as Promise<{ ino: number }[]>).catch(() => []);
    if (!views.some((view) => view.ino === ino)) return;
  }
}

export interface ViewOfFile {
  readonly device: string;
  readonly ino: number | undefined;
  /** as a person finds it; the inode where nobody can tell */
  readonly file: string;
  readonly area: SwapArea | undefined;
}

/** What lies over the source of a volume, also when its processes are gone. */
export async function viewsOf(volume: Pick<MountedVolume, "mountpoint" | "runDir" | "device" | "image">): Promise<ViewOfFile[]> {
  const sources = [volume.image, volume.device].flatMap((path) => (path === undefined ? [] : statIfAny(path) ?? []));
  const found = loopViews(sources).filter(({ ino }) => ino !== undefined);
  if (found.length === 0) return [];
  const known = await (ask(volume.runDir, { command: "views" }) as Promise<{ ino: number; path?: string }[]>).catch(() => []);
  const areas = readSwaps();
  return found.map(({ device, ino }) => {
    const path = known.find((view) => view.ino === ino)?.path;
    return {
      device, ino, area: areas.find((area) => area.path === device),
      file: path === undefined ? `inode ${ino} of ${volume.mountpoint}` : `${volume.mountpoint}${path}`,
    };
  });
}

/** Swaps off and waits until lease and device are gone. */
export async function swapOffView({ device }: Pick<ViewOfFile, "device">, target?: Target, signal?: AbortSignal): Promise<void> {
  await swapOff({ path: device, deleted: false }, signal);
  if (target) await untilEnded(target);
  else for (const end = Date.now() + endMs; Date.now() < end && loopViews().some((view) => view.device === device); ) await sleep(pollMs);
}
