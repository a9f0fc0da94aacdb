// What the commands about a file have in common: the file itself, the question to pin it, the words for what came out.

import { statSync } from "node:fs";
import * as path from "node:path";
import type { PinMode } from "../../activation/handles";
import { reasonText } from "../../activation/texts";
import type { Verdict } from "../../activation/verdict";
import { exitCode } from "../../base/errors";
import type { PinOutcome } from "../../blocks/pin";
import { deviceNumberOf } from "../../sys/blockdevice";
import { ask } from "../common/control";
import { detachedVolumes, mountedVolumes, volumeHolding, type MountedVolume } from "../common/mounted";
import { failed, parseCount, using } from "../common/outcome";
import { print, printJson } from "../common/output";
import { shellWord } from "../common/paths";

export interface Target {
  readonly volume: Pick<MountedVolume, "runDir">;
  readonly ino: number;
}

/** For what undoes, of which a directory has nothing: who names a mountpoint means the files on it. */
export function findFile(file: string, verb: string): ReturnType<typeof findTarget> {
  const target = findTarget(file, verb);
  if (statSync(file).isDirectory()) throw failed(`cannot ${verb} ${file}: it is a directory, name a file in it`);
  return target;
}

/** `inode`: of a file that has no name any more; `file` is then its mountpoint. */
export function findTarget(file: string, verb: string, inode?: string): Target & { readonly volume: MountedVolume } {
  const volume = volumeHolding(file) ?? volumeBehind(file);
  if (volume === undefined) throw failed(`cannot ${verb} ${file}: ${wayTo(file) ?? "it is not on a mounted swapfs volume, name a file below a mountpoint of swapfs status"}`);
  if (volume.engine !== "native") throw failed(`cannot ${verb} ${file}: the engine fuse-native cannot, mount it with --engine native`);
  if (inode === undefined) return { volume, ino: using(verb, file, () => statSync(file).ino) };
  return { volume, ino: parseCount(inode, "--inode", [0, Infinity], "a number, swapfs status shows it") };
}

/** Its volume was detached (umount -l), and may still be swapped to. */
function wayTo(file: string): string | undefined {
  const lost = detachedVolumes().find(({ mountpoint }) => path.resolve(file).startsWith(`${mountpoint}/`));
  if (lost === undefined) return undefined;
  const [source, mountpoint] = [shellWord(lost.image ?? lost.device), shellWord(lost.mountpoint)];
  return `the volume that was mounted on ${lost.mountpoint} was detached (umount -l), mount it there again with swapfs mount ${source} ${mountpoint}`;
}

/** A descriptor of an unlinked file has a path as well: /proc/PID/fd/N. */
function volumeBehind(file: string): MountedVolume | undefined {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  return mountedVolumes().find(({ deviceNumber }) => deviceNumber === deviceNumberOf(stat.dev));
}

/** Asks until every page is written; `progress` is told how many are left. `mark`: keep that of an activated file, for mount --activate. */
export async function askPin(
  target: Target, command: "pin" | "activate",
  { mark = true, progress, signal }: { mark?: boolean; progress?: (pagesLeft: number) => void; signal?: AbortSignal } = {},
): Promise<PinOutcome> {
  for (;;) {
    signal?.throwIfAborted();
    const outcome = (await ask(target.volume.runDir, { command, ino: target.ino, mark })) as PinOutcome;
    if (outcome.pagesLeft === 0) return outcome;
    progress?.(outcome.pagesLeft);
  }
}

/** The mode that the file had. "cancel" ends an activation under way and nothing else, "release" leaves a file alone that is marked. */
export async function askUnpin(target: Target, command: "unpin" | "cancel" | "deactivate" | "release"): Promise<PinMode | null> {
  const { mode } = (await ask(target.volume.runDir, { command, ino: target.ino })) as { mode: PinMode | null };
  return mode;
}

/** What came of pinning or activating, and the exit code of a refusal. `done`: what the file is now. */
export function showOutcome(file: string, { ino }: Target, { verdict, mode, already }: PinOutcome, json: boolean, done: string): void {
  if (!verdict.accepted) process.exitCode = exitCode.notActivatable;
  if (json) printJson({ file, inode: ino, mode: mode ?? null, already, verdict });
  else if (!verdict.accepted) printRefusal(file, verdict);
  else print(`${file} is ${done}`);
}

/** Every reason with its remedy, and the exit code of a refusal. */
export function printRefusal(file: string, verdict: Verdict): void {
  print(`${file}: the activation gate refuses it`);
  for (const line of refusalLines(file, verdict)) print(line);
  process.exitCode = exitCode.notActivatable;
}

export function refusalLines(file: string, verdict: Verdict): string[] {
  return verdict.reasons.map((reason) => reasonText(reason, shellWord(file))).flatMap(({ text, remedy }) => [`  - ${text}`, `    do: ${remedy}`]);
}
