// Swap on a block view: a loop device over the blocks of a file, or one of device mapper over that, past the filesystem and its processes.
// The control plane leases the blocks and makes the device; from swapon on the swap area alone holds both.

import { closeSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { exitCode, UserError, messageOf } from "../../base/errors";
import type { Attached, ViewOutcome } from "../../engine/native/blockviews";
import { addon } from "../../sys/addon";
import { bytesOf } from "../../sys/bytesbelow";
import { ifAny, withOpen } from "../../sys/kernelfiles";
import { loadLoop } from "../../sys/loop";
import { attachedTo, cannotTell, isOver, loopViews, mayLieOver, type LoopView } from "../../sys/loopviews";
import { letGoOf, mapperIdOf, nameOfView, wayOf } from "../../sys/mapper";
import { areaOnDevice, type SwapArea } from "../../sys/procswaps";
import { complaint } from "../../sys/tools";
import { ask } from "../common/control";
import { requireWritable, type MountedVolume } from "../common/mounted";
import { failed } from "../common/outcome";
import { shellWord } from "../common/paths";
import { checkFile } from "../file/check";
import { hasHeader, writeHeader } from "../file/header";
import { findTarget, refusalLines, type Target } from "../file/pinning";
import { alone } from "./loopswap";
import { swapOff, swapOn } from "./swapareas";

export interface ViewOptions {
  readonly priority: number | undefined;
  /** with a random key, which is gone with the device */
  readonly encrypted: boolean;
}

export interface ViewSwap {
  readonly device: string;
  /** it was on before */
  readonly already: boolean;
}

/** Everything or nothing, also at Ctrl-C. Throws a UserError; exit 10 when the gate refuses the file, or it lies in several extents. */
export function swapOnView(file: string, target: Target, options: ViewOptions, signal: AbortSignal): Promise<ViewSwap> {
  return viewed(file, target, options.encrypted, (held) => swapOnHeld(file, target, held, options, signal).finally(() => closeSync(held.fd)));
}

/** A view and the descriptor that holds it: with the last one the device goes, and the lease with the device. */
export interface HeldView {
  readonly device: string;
  readonly fd: number;
}

/** The same without swapon, for who swaps on later. Throws as `swapOnView`. */
export function holdView(file: string, target: Target): Promise<HeldView> {
  return viewed(file, target, false, (held) => Promise.resolve(held));
}

/** `work` is given the descriptor, to close it. */
function viewed<T>(file: string, target: Target, encrypted: boolean, work: (held: HeldView) => Promise<T | undefined>): Promise<T> {
  return alone(file, async () => {
    loadLoop();
    try {
      for (const end = Date.now() + endMs; ; await sleep(pollMs)) {
        const done = await throughView(file, target, encrypted, work);
        if (done) return done;
        if (Date.now() > end) throw failed(`cannot swapon ${file} by a block view: its device goes away again and again, look at losetup -l`);
      }
    } catch (error) {
      await untilViewEnded(target);
      throw error;
    }
  });
}

/**
 * The control plane lets the device go when it is told, when we are gone, or with its own end. One that is there already is taken as it is:
 * its swap area may have just gone, and somebody holds it a moment longer. undefined: it was gone before it was held.
 */
async function throughView<T>(file: string, target: Target, encrypted: boolean, work: (held: HeldView) => Promise<T | undefined>): Promise<T | undefined> {
  const over = new AbortController();
  let answer: Promise<ViewOutcome> | undefined;
  try {
    const attached = await new Promise<Attached>((resolve, reject) => {
      answer = askView(file, target, encrypted, { event: (told) => resolve(told as Attached), signal: over.signal });
      answer.then((outcome) => resolve(attachedOf(file, outcome))).catch(reject);
    });
    const held = hold(file, attached);
    return held && (await work(held));
  } finally {
    over.abort();
    await answer?.catch(() => undefined);
  }
}

async function askView(file: string, { volume, ino }: Target, encrypted: boolean, following: Parameters<typeof ask>[2]): Promise<ViewOutcome> {
  try {
    return (await ask(volume.runDir, { command: "view", ino, encrypted }, following)) as ViewOutcome;
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("cannot view: ")) throw error;
    throw failed(`cannot swapon ${file} by a block view: ${error.message.slice("cannot view: ".length)}`);
  }
}

/** Throws a UserError where there is none. */
function attachedOf(file: string, { attached, verdict }: ViewOutcome): Attached {
  if (attached !== undefined) return attached;
  if (verdict?.accepted === false) throw refused(file, verdict);
  throw new UserError(exitCode.notActivatable, `cannot swapon ${file} by a block view: it lies in ${verdict?.extents ?? "several"} extents and this`
    + ` kernel has no device mapper to join them, run swapfs prepare --contiguous ${shellWord(file)}, or swap it on without --block`);
}

function refused(file: string, verdict: NonNullable<ViewOutcome["verdict"]>): UserError {
  return new UserError(exitCode.notActivatable, [`cannot swapon ${file}: the activation gate refuses it`, ...refusalLines(file, verdict)].join("\n"));
}

/** With a descriptor of our own: a control plane that dies does not take the device from below swapon(2). undefined: it is gone. */
function hold(file: string, { device, name }: Attached): HeldView | undefined {
  const fd = ifAny(() => openSync(device, "r"));
  if (fd === undefined) throw failed(`cannot swapon ${file} by a block view: ${device} cannot be opened, is there a devtmpfs on /dev?`);
  if ((nameOfView(device) ?? ifAny(() => addon().loopStatus(fd).name)) === name) return { device, fd };
  closeSync(fd);
  return undefined;
}

async function swapOnHeld(
  file: string, target: Target, { device }: HeldView, { priority, encrypted }: ViewOptions, signal: AbortSignal,
): Promise<ViewSwap | undefined> {
  const isEncrypted = wayOf(device) === "device mapper, encrypted";
  if (isOn(device)) {
    if (encrypted && !isEncrypted) throw failed(`cannot swapon ${file} encrypted: it is swapped on by its block view ${device} as it is, run swapfs swapoff ${shellWord(file)} first`);
    return { device, already: true };
  }
  if (encrypted !== isEncrypted) return undefined; // it is going: its swap area has just gone
  signal.throwIfAborted();
  if (encrypted) writeOwnHeader(file, device);
  const ran = await swapOn(device, priority, signal);
  if (ran.code === 0) return { device, already: false };
  if (isOn(device)) return { device, already: true }; // by one that was killed, whose swapon(8) went on
  throw failed(`cannot swapon ${device} over ${file}: ${complaint(ran, "swapon")}, ${await nextFor(file, target)}`);
}

/** The encrypted area has one of its own; the file's own, which stays, is what says that the rest of it may be overwritten. */
function writeOwnHeader(file: string, device: string): void {
  if (!hasHeader(file)) throw new UserError(exitCode.notActivatable, `cannot swapon ${file} encrypted: page 0 carries no swap header, run mkswap ${shellWord(file)} first`);
  writeHeader(file, device);
}

function isOn(device: string): boolean {
  return areaOnDevice(device) !== undefined;
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

/** Each question has the control plane look whether the device is still there. False: it is, or what lies below it. */
export async function untilViewEnded({ volume, ino }: Target): Promise<boolean> {
  for (const end = Date.now() + endMs; Date.now() < end; await sleep(pollMs)) {
    const views = await (ask(volume.runDir, { command: "views" }) as Promise<{ ino: number }[]>).catch(() => []);
    if (!views.some((view) => view.ino === ino)) return true;
  }
  return false;
}

/** Files below a mountpoint that has just been mounted: those that are on, and a sentence for each that is not. */
export async function swapOnAtMount(
  mountpoint: string, swapons: readonly { name: string; priority: number | undefined }[], signal: AbortSignal,
): Promise<{ files: string[]; refused: string[] }> {
  const files: string[] = [];
  const refused: string[] = [];
  const made: string[] = [];
  for (const { name, priority } of swapons) {
    const file = join(mountpoint, name);
    try {
      const target = findTarget(file, "swapon");
      requireWritable(target.volume, file, "swapon");
      const { device, already } = await swapOnView(file, target, { priority, encrypted: false }, signal);
      files.push(file);
      if (!already) made.push(device);
    } catch (error) {
      if (!signal.aborted) refused.push(messageOf(error));
      else {
        for (const device of made) await swapOffView({ device });
        throw error;
      }
    }
  }
  return { files, refused };
}

export interface ViewOfFile {
  readonly device: string;
  readonly ino: number;
  /** as a person finds it; the inode where nobody can tell */
  readonly file: string;
  readonly area: SwapArea | undefined;
}

/**
 * The views of a volume: those that its control plane knows, and when that does not answer those that lie over what is mounted, or over the
 * image below it. Throws a UserError where it cannot tell.
 */
export async function viewsOf(volume: Pick<MountedVolume, "mountpoint" | "runDir" | "device">): Promise<ViewOfFile[]> {
  const known = await (ask(volume.runDir, { command: "views" }) as Promise<{ ino: number; path?: string; device: string | null }[]>).catch(() => undefined);
  if (known === undefined) return viewsShown(volume);
  return known.flatMap(({ device, ino, path }) => (device === null ? [] : [viewOfFile(volume, device, ino, path)]));
}

/** The same without a question to the control plane, which alone knows names. */
export function viewsShown(volume: Pick<MountedVolume, "mountpoint" | "device">): ViewOfFile[] {
  return viewsOver(volume.device).map(({ device, of }) => viewOfFile(volume, device, of!.ino));
}

function viewOfFile({ mountpoint }: Pick<MountedVolume, "mountpoint">, device: string, ino: number, path?: string): ViewOfFile {
  const file = path === undefined ? `inode ${ino} of ${mountpoint}` : `${mountpoint}${path}`;
  return { device, ino, file, area: areaOnDevice(device) };
}

function viewsOver(device: string): LoopView[] {
  const { views: found, unknown } = loopViews(device);
  const views = found.filter(({ of }) => of !== undefined);
  if (views.length + unknown.length === 0) return [];
  const mounted = statSync(device);
  const other = unknown.find((loop) => mayLieOver(loop, bytesOf(mounted)));
  if (other) throw failed(`${cannotTell(other).found}, ${cannotTell(other).remedy}`);
  const image = ifAny(() => withOpen(device, "r", (fd) => addon().loopStatus(fd))); // it may have lost its name
  return views.filter((view) => isOver(view, mounted) || (image !== undefined && view.dev === image.dev && view.ino === image.ino));
}

/**
 * Swaps off and waits until lease and device are gone. A swapon --block under way holds the device, and has swapped it on a moment later:
 * then that goes as well. False: somebody has it still, who may be a slow one of these.
 */
export async function swapOffView({ device }: Pick<ViewOfFile, "device">, target?: Target, signal?: AbortSignal): Promise<boolean> {
  const was = attachedTo(device);
  const mapperId = mapperIdOf(device);
  const isThere = (): boolean => was !== undefined && attachedTo(device) === was;
  let end = 0;
  do {
    if (end === 0 || isOn(device)) {
      await swapOff({ path: device, deleted: false }, signal);
      letGoOf(mapperId);
      end = Date.now() + endMs;
    }
    if (isThere()) await sleep(pollMs);
  } while (isThere() && Date.now() < end);
  return !isThere() && (target === undefined || (await untilViewEnded(target)));
}

/** For a person, of a device for which that was false. */
export function stillHeld(device: string): string {
  return `${device} is off, but somebody has it open (fuser -v ${device}), or the loop device below it (losetup -l): until that ends its blocks stay leased, and its file cannot be changed`;
}
