// swapfs create FILE --size N: what fallocate, chmod, mkswap and swapon would do, undone whole when a step fails. On a
// volume the control plane allocates, so that one can see how far it is and end it; writing zeros to an image takes long.

import { closeSync, fchmodSync, fstatSync, fsyncSync, ftruncateSync, openSync, rmSync } from "node:fs";
import { Option, type Command } from "commander";
import { formatByteLength, pageSize, parseByteLength } from "../../base/units";
import { addon } from "../../sys/addon";
import { complaint, mustRun, runTool } from "../common/children";
import { volumeHolding, type MountedVolume } from "../common/mounted";
import { Interrupted, untilInterrupted, failed, usageError } from "../common/outcome";
import { print, printJson, warn } from "../common/output";
import { progressStyle, type Style } from "../common/progressbar";
import { followPrepare } from "../file/prepare";

interface Options {
  readonly size: string;
  readonly on?: boolean;
  readonly priority?: string;
  readonly json?: boolean;
}

/** The kernel wants more than the header's page; mkswap wants ten pages. */
const smallestSwapfile = 10 * pageSize;
const largestPriority = 32767;

export function define(command: Command): void {
  command
    .description("Make a swapfile: allocated, mode 0600, swap header written; with --on swapped on as well.")
    .argument("<file>", "a file that does not exist yet, on a mounted volume")
    .requiredOption("--size <size>", "its length, for example 8G")
    .option("--on", "swap it on")
    .addOption(new Option("--priority <priority>", "priority for --on, 0 to 32767; the highest is used first"))
    .option("--json", "print what was made as JSON")
    .addHelpText("after", `
Examples:
  swapfs create /mnt/swap/a --size 8G
  swapfs create /mnt/swap/b --size 512M --on --priority 10

An existing file is never overwritten. When a step fails, or after Ctrl-C, the file is removed again.

Exit codes: 0 made, 2 usage, 12 not made, 70 internal.`)
    .action(async (file: string, options: Options) => {
      const byteLength = swapfileLength(options.size);
      const priority = parsePriority(options);
      const volume = volumeHolding(file);
      if (volume === undefined) warn(`${file} is not on a swapfs volume`);
      const style = progressStyle(options.json);
      if (volume?.engine === "native") await untilInterrupted((signal) => createOnVolume(volume, file, byteLength, signal, style));
      else await createSwapfile(file, byteLength);
      if (options.on) swapOnOrRemove(file, priority);
      if (options.json) printJson({ file, bytes: byteLength, mode: "0600", on: options.on ?? false, priority: priority ?? null });
      else print(`${file} is a swapfile of ${formatByteLength(byteLength)}${options.on ? ", swapped on" : `; swap it on with swapon ${file}`}`);
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
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > largestPriority) throw usageError(`cannot read --priority "${text}": not a number from 0 to ${largestPriority}`);
  return value;
}

/** Allocated, 0600, header written, durable. Throws a UserError having removed what it made. `prepare`: allocates inode `ino` of a volume. */
export async function createSwapfile(file: string, byteLength: number, prepare?: (ino: number) => Promise<void>): Promise<void> {
  let fd = openNew(file);
  try {
    fchmodSync(fd, 0o600);
    if (prepare === undefined) addon().fallocate(fd, 0, 0, byteLength);
    else {
      ftruncateSync(fd, byteLength);
      closeSync(fd);
      fd = openSync(file, "r"); // what is prepared is not open for writing
      await prepare(fstatSync(fd).ino);
    }
    mustRun("mkswap", [file], `write the swap header of ${file}`);
    fsyncSync(fd);
  } catch (error) {
    rmSync(file, { force: true });
    throw creationError(file, byteLength, error);
  } finally {
    closeSync(fd);
  }
}

async function createOnVolume(volume: MountedVolume, file: string, byteLength: number, signal: AbortSignal, style: Style): Promise<void> {
  await createSwapfile(file, byteLength, async (ino) => {
    await followPrepare(volume, { ino, contiguous: false }, { what: `create ${file}`, signal, style });
    if (signal.aborted) throw new Interrupted();
  });
}

function openNew(file: string): number {
  try {
    return openSync(file, "wx+", 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const state: Record<string, string> = {
      EEXIST: "it exists already, remove it or choose another name",
      ENOENT: "its directory does not exist, make it first",
      ENOTDIR: "a part of the path is not a directory",
      EACCES: "permission denied, run as root", EPERM: "permission denied, run as root",
      EROFS: "the filesystem is read-only",
      ENAMETOOLONG: "the name is too long, 255 bytes is the most",
      ENOTCONN: "the volume's processes are gone, umount it and mount it again",
      ENOSPC: "no space left on the volume",
    };
    throw failed(`cannot create ${file}: ${state[code ?? ""] ?? code ?? String(error)}`);
  }
}

function creationError(file: string, byteLength: number, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC") return failed(`cannot allocate ${formatByteLength(byteLength)} for ${file}: no space left on the volume, or on the filesystem below its image, give a smaller --size (nothing was kept)`);
  if (code === "EOPNOTSUPP") return failed(`cannot allocate ${file}: its filesystem has no fallocate, name a file on a swapfs volume`);
  if (code === "EFBIG") return failed(`cannot allocate ${formatByteLength(byteLength)} for ${file}: too long for a file there, give a smaller --size`);
  return error;
}

/** -p always when it was given; without it the kernel chooses a priority below all others. */
function swapOnOrRemove(file: string, priority: number | undefined): void {
  const ran = runTool("swapon", priority === undefined ? [file] : ["-p", String(priority), file]);
  if (ran.code === 0) return;
  rmSync(file, { force: true });
  throw failed(`cannot swapon ${file}: ${complaint(ran, "swapon")} (the file was removed again), look at swapfs status and dmesg`);
}
