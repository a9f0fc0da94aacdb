// swapfs create FILE --size N: what fallocate, chmod, mkswap and swapon would do, undone whole when a step fails. On a
// volume the control plane allocates, so that one can see how far it is and end it; writing zeros to an image takes long.

import { closeSync, existsSync, fchmodSync, fstatSync, fsyncSync, ftruncateSync, linkSync, lstatSync, openSync, rmSync, statSync } from "node:fs";
import * as path from "node:path";
import { Option, type Command } from "commander";
import { UserError } from "../../base/errors";
import { formatByteLength, pageSize, parseByteLength } from "../../base/units";
import { addon } from "../../sys/addon";
import { withOpen } from "../../sys/kernelfiles";
import { complaint } from "../../sys/tools";
import { isStillAt, lockNow } from "../common/flock";
import { volumeHolding, type MountedVolume } from "../common/mounted";
import { Interrupted, failed, heard, largestPriority, parseCount, untilInterrupted, usageError, using } from "../common/outcome";
import { show } from "../common/output";
import { shellWord } from "../common/paths";
import { progressStyle, type Style } from "../common/progressbar";
import { writeHeader } from "../file/header";
import type { Target } from "../file/pinning";
import { followPrepare } from "../file/prepare";
import { swapOnView } from "./blockview";
import { swapOn } from "./swapareas";

interface Options {
  readonly size: string;
  readonly on?: boolean;
  readonly block?: boolean;
  readonly encrypt?: boolean;
  readonly priority?: string;
  readonly json?: boolean;
}

/** The kernel wants more than the header's page; mkswap wants ten pages. */
const smallestSwapfile = 10 * pageSize;

export function define(command: Command): void {
  command
    .description("Make a swapfile: allocated, mode 0600, swap header written; with --on swapped on as well.")
    .argument("<file>", "a file that does not exist yet, on a mounted volume")
    .requiredOption("--size <size>", "its length, for example 8G")
    .option("--on", "swap it on")
    .option("--block", "in one extent, and with --on swapped on as a block device over its own blocks (see swapon --block)")
    .option("--encrypt", "with --on: as --block, encrypted with a random key (see swapon --encrypt)")
    .addOption(new Option("--priority <priority>", "priority for --on, 0 to 32767; the highest is used first"))
    .option("--json", "print what was made as JSON")
    .addHelpText("after", `
Examples:
  swapfs create /mnt/swap/a --size 8G
  swapfs create /mnt/swap/b --size 512M --on --priority 10
  swapfs create /mnt/swap/c --size 8G --on --block
  swapfs create /mnt/swap/d --size 8G --on --encrypt

An existing file is never overwritten. When a step fails, or after Ctrl-C, the file is removed again; until all is done it is
there as .FILE.unfinished, which the next create of the same name removes when this one was killed.

Exit codes: 0 made, 2 usage, 12 not made, 70 internal; 130 after Ctrl-C.`)
    .action(async (file: string, options: Options) => {
      const byteLength = swapfileLength(options.size);
      const priority = parsePriority(options);
      const volume = volumeHolding(file);
      if (options.encrypt && !options.on) throw usageError("cannot use --encrypt without --on: a file is not encrypted, the swap on it is, add --on");
      const block = options.block ?? options.encrypt ?? false;
      if (block && volume?.engine !== "native") throw usageError(`cannot use --${options.encrypt ? "encrypt" : "block"} for ${file}: it is not on a swapfs volume of the native engine`);
      if (volume === undefined) throw elsewhere(file);
      await untilInterrupted(async (signal) => {
        if (volume.engine === "native") await createOnVolume(volume, file, { byteLength, contiguous: block }, signal, progressStyle(options.json));
        else await createSwapfile(file, byteLength);
        const view = block ? { volume, ino: statSync(file).ino } : undefined;
        await finish(file, { on: options.on ?? false, priority, view, encrypted: options.encrypt ?? false }, signal);
      });
      show(options.json, { file, bytes: byteLength, mode: "0600", on: options.on ?? false, priority: priority ?? null },
        `${file} is a swapfile of ${formatByteLength(byteLength)}${options.on ? `, swapped on${options.encrypt ? ", encrypted" : ""}` : `; swap it on with ${block ? "swapfs swapon --block" : "swapon"} ${file}`}`);
    });
}

export function swapfileLength(text: string): number {
  const bytes = Math.floor(parseByteLength(text, "--size") / pageSize) * pageSize;
  if (bytes < smallestSwapfile) throw usageError(`cannot make a swapfile of ${text}: it needs at least ${smallestSwapfile / pageSize} pages (40 KiB), give a larger --size`);
  return bytes;
}

export function parsePriority(options: Pick<Options, "on" | "priority">): number | undefined {
  const { priority: text } = options;
  if (text === undefined) return undefined;
  if (!options.on) throw usageError("cannot use --priority without --on: only an active swapfile has a priority, add --on");
  return parseCount(text, "--priority", [0, largestPriority], `a number from 0 to ${largestPriority}`);
}

/**
 * Allocated, 0600, header written, durable, and only then there under its name: a kill or a power cut before leaves no half file.
 * Throws a UserError having removed what it made. `prepare`: allocates inode `ino` of a volume.
 */
export async function createSwapfile(file: string, byteLength: number, prepare?: (ino: number) => Promise<void>): Promise<void> {
  const unfinished = path.join(path.dirname(file), `.${path.basename(file).slice(0, 60)}.unfinished`);
  const lock = openUnfinished(file, unfinished);
  try {
    let fd = openSync(unfinished, "r+");
    try {
      fchmodSync(fd, 0o600);
      if (prepare === undefined) addon().fallocate(fd, 0, 0, byteLength);
      else {
        ftruncateSync(fd, byteLength);
        closeSync(fd);
        fd = openSync(unfinished, "r"); // what is prepared is not open for writing
        await prepare(fstatSync(fd).ino);
      }
      writeHeader(file, unfinished);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    linkSync(unfinished, file); // over nothing that has come there meanwhile
  } catch (error) {
    throw creationError(file, byteLength, error);
  } finally {
    rmSync(unfinished, { force: true });
    closeSync(lock);
  }
  // Otherwise a power cut brings the unfinished name back, which nobody sees, and with it the blocks of a file that was removed.
  try {
    withOpen(path.dirname(file), "r", fsyncSync);
  } catch (error) {
    rmSync(file, { force: true });
    throw creationError(file, byteLength, error);
  }
}

/** As `createSwapfile`, allocated by the volume's control plane, which is told of the signal. */
export async function createOnVolume(
  volume: MountedVolume, file: string, { byteLength, contiguous = false }: { byteLength: number; contiguous?: boolean }, signal: AbortSignal, style: Style,
): Promise<void> {
  await createSwapfile(file, byteLength, async (ino) => {
    await followPrepare(volume, { ino, contiguous }, { what: `create ${file}`, signal, style });
    signal.throwIfAborted();
  });
}

/** `view`: of which swap is to lie on the block view. */
interface Finish {
  readonly on: boolean;
  readonly priority: number | undefined;
  readonly view: Target | undefined;
  readonly encrypted: boolean;
}

/** Swaps it on when that is asked for; removes it when that fails or was interrupted. */
async function finish(file: string, { on, priority, view, encrypted }: Finish, signal: AbortSignal): Promise<void> {
  try {
    await heard(signal);
    if (on && view) return void (await swapOnView(file, view, { priority, encrypted }, signal));
    const ran = on ? await swapOn(file, priority, signal) : { code: 0, stdout: "", stderr: "" };
    if (ran.code !== 0) throw failed(`cannot swapon ${file}: ${complaint(ran, "swapon")}, look at swapfs status and dmesg`);
  } catch (error) {
    throw removedAfter(file, error);
  }
}

/** Removes it, and returns the error, which says of one that stays so, since it is on, or its block view still there. */
export function removedAfter(file: string, error: unknown): unknown {
  try {
    rmSync(file, { force: true });
    return error instanceof UserError ? new UserError(error.exit, `${error.message} (${file} was removed again)`) : error;
  } catch (refused) {
    if ((refused as NodeJS.ErrnoException).code !== "EPERM") throw refused;
    const stays = `${file} stays, since it is in use as swap or by its block view: run swapfs swapoff ${shellWord(file)}, then rm ${shellWord(file)}`;
    if (error instanceof UserError) return new UserError(error.exit, `${error.message}; ${stays}`);
    return error instanceof Interrupted ? new Interrupted(`${error.message.replace(", everything was cleaned up", "")}; ${stays}`) : error;
  }
}

/** Returns a descriptor with the lock by which others know that somebody is at work. What a create that was killed has left is removed. */
function openUnfinished(file: string, unfinished: string): number {
  if (lstatSync(file, { throwIfNoEntry: false }) !== undefined) throw existing(file);
  const isFree = (fd: number): boolean => lockNow(fd) && isStillAt(unfinished, fd);
  const busy = `cannot create ${file}: it is being created already, wait for the end of that`;
  return using("create", file, () => {
    if (existsSync(unfinished)) {
      // Under its lock: another create may just have made it.
      if (!withOpen(unfinished, "r", (fd) => isFree(fd) && (rmSync(unfinished), true))) throw failed(busy);
    }
    closeSync(openSync(unfinished, "wx", 0o600));
    const lock = openSync(unfinished, "r");
    if (isFree(lock)) return lock;
    closeSync(lock);
    throw failed(busy);
  });
}

function elsewhere(file: string): UserError {
  if (!existsSync(path.dirname(file))) return failed(`cannot create ${file}: its directory does not exist, make it first`);
  return failed(`cannot create ${file}: it is not on a mounted swapfs volume, mount that first, or name a file below a mountpoint of swapfs status`);
}

function existing(file: string): UserError {
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory()) return failed(`cannot create ${file}: it is a directory, name a file in it`);
  return failed(`cannot create ${file}: it exists already: run swapfs prepare --mkswap ${shellWord(file)} to make it a swapfile, remove it, or choose another name`);
}

function creationError(file: string, byteLength: number, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "EEXIST") return existing(file);
  if (code === "ENOSPC") return failed(`cannot allocate ${formatByteLength(byteLength)} for ${file}: no space left on the volume, or on the filesystem below its image, give a smaller --size (nothing was kept)`);
  if (code === "EOPNOTSUPP") return failed(`cannot allocate ${file}: its filesystem has no fallocate, name a file on a swapfs volume`);
  if (code === "EFBIG") return failed(`cannot allocate ${formatByteLength(byteLength)} for ${file}: too long for a file there, give a smaller --size`);
  return error;
}
