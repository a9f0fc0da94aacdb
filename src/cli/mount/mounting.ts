// Mounting, step by step: look at everything, then lock, make or format, open once, attach, start the keeper.
// Whatever fails undoes the steps before it.

import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import type { HostAllowances } from "../../activation/imagelayer";
import { reasonText } from "../../activation/texts";
import { exitCode, type ExitCode } from "../../base/errors";
import { ablationVariable, ablationWarning, readAblated } from "../../dataplane/ablation";
import { hostOfImage } from "../../engine/hostimage";
import { deviceNumberOf } from "../../sys/blockdevice";
import { placeOf } from "../../sys/imagebelow";
import { statIfAny } from "../../sys/kernelfiles";
import { attachImage } from "../../sys/loop";
import { isAtOrBelow } from "../../sys/mounttable";
import { nbdWarning } from "../../sys/nbd";
import { runTool } from "../../sys/tools";
import { runRoot, volumeAt, type MountedVolume } from "../common/mounted";
import { failed, heard, usageError } from "../common/outcome";
import { shellWord } from "../common/paths";
import { processesOf } from "../common/processes";
import { projectRoot } from "../../sys/version";
import { findings } from "../status/findings";
import { readMachine, type Machine } from "../status/machine";
import { attachAgain } from "./attaching";
import { lockForWriting, sourceDetached, sourceMountedBefore } from "./inuse";
import { closeQuietly, startFuseNative, startKeeper } from "./keeper";
import type { SwapAtMount } from "./mountoptions";
import { findMountpoint, type Mountpoint } from "./mountpoint";
import { inspectSource, type Source, type SourceOptions } from "./source";
import { unmount } from "./umount";
import { acceptLoss, formatVolume, inspectVolume, makeImage } from "./volumefile";

export interface MountRequest extends SourceOptions {
  readonly source: string;
  readonly mountpoint: string;
  readonly foreground: boolean;
  readonly engine: "native" | "fuse-native";
  /** activate what is marked, and swap on these by their block views, when it is mounted (mount.ts) */
  readonly activate?: boolean;
  readonly swapons?: readonly SwapAtMount[];
  /** MS_ flags of mount(2); fuse-native has its own */
  readonly flags: number;
  readonly allow: HostAllowances;
  /** go on without what a damaged journal record holds */
  readonly acceptLoss?: boolean;
}

export interface MountResult {
  readonly mounted: { source: string; mountpoint: string; device: string; runDir: string; already: boolean };
  /** the one line for a person */
  readonly line: string;
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
  /** foreground: the exit code, once it is unmounted */
  readonly ended?: Promise<ExitCode>;
}

/** Everything or nothing, also when it is interrupted. */
export async function mountSource(request: MountRequest, signal?: AbortSignal): Promise<MountResult> {
  const ablated = readAblated(process.env); // before anything is touched
  if (ablated.size > 0 && request.engine !== "native") throw usageError(`cannot mount with ${ablationVariable}: the fuse-native engine has no such switches, unset it`);
  const machineWarnings = requireMachine(request.source);
  const mountpoint = findMountpoint(request.mountpoint);
  const before = sourceMountedBefore(request.source);
  if (before) return mountedBefore(before, request, mountpoint);
  requireFree(mountpoint);
  const detached = sourceDetached(request.source);
  if (detached && attachAgain(detached, request.source, mountpoint.path, request.flags)) {
    return already(detached, request.source, mountpoint.path, "again: its mount had been detached while it was in use");
  }
  const source = inspectSource(request.source, request);
  requireVisible(source, mountpoint);
  const undo: (() => unknown)[] = [];
  try {
    const result = await carryOut(request, source, mountpoint.path, undo);
    undo.push(() => takeDown(mountpoint.path));
    await heard(signal);
    return { ...result, warnings: [...result.warnings, ...machineWarnings] };
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}

export async function takeDown(mountpoint: string): Promise<void> {
  const volume = volumeAt(mountpoint);
  if (volume) await unmount(volume, { swapoff: false, leaveViews: true });
}

/** Every failing finding of doctor would fail the mount later, and with fewer words. Returns what else it should say. */
function requireMachine(source: string): string[] {
  const before = readMachine(projectRoot);
  const machine = loadModules(before, source) ? readMachine(projectRoot) : before;
  const found = findings({ ...machine, loadable: new Set() });
  const fail = found.find((finding) => finding.state === "fail");
  if (fail) throw failed(`cannot mount: ${fail.found}, ${fail.remedy ?? "run swapfs doctor"}`);
  return found.filter(({ state, atMount }) => state === "warn" && atMount).map((finding) => `${finding.found}; ${finding.remedy}`);
}

/** The kernel loads a module for who opens its node in /dev; without the node somebody has to ask for it. False: all was there. */
function loadModules({ devFuse, filesystems, loopControl }: Machine, source: string): boolean {
  const missing = [
    ...(devFuse && filesystems.includes("fuseblk") ? [] : ["fuse"]),
    ...(loopControl || statIfAny(source)?.isBlockDevice() ? [] : ["loop"]),
  ];
  if (missing.length > 0) runTool("modprobe", ["-aq", ...missing]);
  return missing.length > 0;
}

function requireFree({ path, busy }: Mountpoint): void {
  if (busy) throw failed(`cannot mount on ${path}: ${busy.source} (${busy.type}) is mounted there, umount it or name another directory`);
}

/** What is mounted over cannot be found any more. */
function requireVisible(source: Source, { path }: Mountpoint): void {
  const hidden = [source.path, runRoot].find((needed) => isAtOrBelow(needed, path));
  if (hidden !== undefined) throw failed(`cannot mount ${source.path} on ${path}: ${hidden} would be hidden below it, name another directory`);
}

function mountedBefore(before: MountedVolume, request: MountRequest, { path }: Mountpoint): MountResult {
  if (processesOf(before).length === 0) {
    throw failed(`cannot mount ${request.source}: it is mounted at ${before.mountpoint} but its processes are gone, run swapfs umount ${shellWord(before.mountpoint)} first`);
  }
  if (before.mountpoint !== path) {
    throw failed(`cannot mount ${request.source}: already mounted at ${before.mountpoint}, use it there or umount it first`);
  }
  return already(before, request.source, path, "already");
}

/** `how`: "already", or why it is again. */
function already({ device, runDir }: MountedVolume, source: string, mountpoint: string, how: string): MountResult {
  return {
    mounted: { source, mountpoint, device, runDir, already: true }, line: `${source} is mounted on ${mountpoint} ${how}`, notes: [], warnings: [],
  };
}

async function carryOut(request: MountRequest, source: Source, mountpoint: string, undo: (() => unknown)[]): Promise<MountResult> {
  const lockFd = source.first === "make" ? await makeImage(source.path, source.size ?? 0) : await lockForWriting(source.path, "mount", adoptsViews(request, source));
  undo.push(() => closeQuietly(lockFd));
  if (source.first === "make") undo.push(() => rmSync(source.path, { force: true }));
  // Again, with the lock: somebody else may have made it a volume, and used it, meanwhile.
  if (source.first === "format" && inspectSource(request.source, request).first === "format") formatVolume(source.path);
  const warnings = [...(request.acceptLoss ? acceptLoss(source.path) : inspectVolume(source.path)), ...readableByOthers(source), ...overNetwork(source)];
  if (request.engine === "fuse-native") return carryOutInJavaScript(request, source, mountpoint, lockFd, warnings);
  const loop = source.kind === "image" ? attachImage(source.path) : undefined;
  if (loop) undo.push(() => closeQuietly(loop.fd));
  const device = loop?.device ?? source.path;
  const runDir = join(runRoot, deviceNumberOf(statSync(device).rdev));
  const keeper = await startKeeper({ device, mountpoint, flags: request.flags, runDir, lockFd, foreground: request.foreground, allow: request.allow });
  closeQuietly(loop?.fd);
  closeQuietly(lockFd);
  return {
    mounted: { source: source.path, mountpoint, device, runDir, already: false },
    line: `${source.path} is mounted on ${mountpoint}`,
    notes: [...source.notes, ...imageNotes(source, device)], warnings: [...warnings, ...ablationWarning(readAblated(process.env)), ...hostWarnings(source, request.allow)],
    ...(request.foreground ? { ended: untilEnded(keeper) } : {}),
  };
}

/** What is lost may be the lease of a view that lives, and then its blocks were nobody's. */
export function adoptsViews({ engine, acceptLoss: accepts }: Pick<MountRequest, "engine" | "acceptLoss">, { first }: Pick<Source, "first">): boolean {
  return first === "open" && engine === "native" && accepts !== true;
}

/** No loop device: the engine reads and writes the image itself, since the kernel will never ask where a file lies. */
async function carryOutInJavaScript(
  request: MountRequest, source: Source, mountpoint: string, lockFd: number, warnings: readonly string[],
): Promise<MountResult> {
  const runDir = join(runRoot, `fuse-native-${process.pid}`);
  const daemon = await startFuseNative({ device: source.path, mountpoint, runDir, lockFd, foreground: request.foreground });
  closeQuietly(lockFd);
  return {
    mounted: { source: source.path, mountpoint, device: source.path, runDir: volumeAt(mountpoint)?.runDir ?? runDir, already: false },
    line: `${source.path} is mounted on ${mountpoint} (engine fuse-native: swapon is refused there)`,
    notes: source.notes, warnings,
    ...(request.foreground ? { ended: untilEnded(daemon) } : {}),
  };
}

/** swapfs makes images 0600; one that was copied or made by hand may be anything. */
function readableByOthers({ kind, path }: Source): string[] {
  const mode = kind === "image" ? statSync(path).mode & 0o777 : 0;
  if ((mode & 0o077) === 0) return [];
  return [`${path} is open to others than its owner (mode 0${mode.toString(8)}) and will hold what was in memory: run chmod 600 ${shellWord(path)}`];
}

function overNetwork({ path }: Source): string[] {
  const warning = nbdWarning(basename(path));
  return warning ? [`${warning.found}; ${warning.remedy}`] : [];
}

/** Also of a loop device that somebody has attached by hand. */
function imageNotes(source: Source, device: string): string[] {
  const image = source.kind === "image" ? source.path : placeOf(deviceNumberOf(statSync(device).rdev))?.file;
  if (image === undefined) return [];
  return [
    `${image} is an image in a filesystem (through ${device}): good for trying out. A machine that runs out of memory can hang`
    + " with swap on it, as with every loop device over a file; for real use give a block device as the source",
  ];
}

/** What the gate will say of every file, told before anybody has made one. */
function hostWarnings(source: Source, allow: HostAllowances): string[] {
  if (source.kind !== "image") return [];
  const { host, reasons } = hostOfImage(source.path, allow);
  return reasons.map((reason) => `swapon will refuse every file: ${reasonText(reason).text}; ${reasonText(reason).remedy}`).concat(
    host.copies !== undefined && allow.cow ? [`${host.name} may allocate at each write to the image (${host.copies}): with --allow-cow swap can fail or hang when it is full`] : []);
}

/** Ctrl-C goes to the keeper as well (same terminal), which unmounts; we only wait. */
function untilEnded(keeper: ChildProcess): Promise<ExitCode> {
  const pass = (): void => {
    if (keeper.pid !== undefined && existsSync(`/proc/${keeper.pid}`)) keeper.kill("SIGTERM");
  };
  process.on("SIGINT", pass);
  process.on("SIGTERM", pass);
  return once(keeper, "exit").then(([code]) => (code === 0 ? exitCode.done : exitCode.mountFailed));
}
