// swapfs mount SOURCE MOUNTPOINT

import { Option, type Command } from "commander";
import { exitCode } from "../../base/errors";
import { parseByteLength } from "../../base/units";
import { defaultMountFlags, parseMountOptions, type MountOptions, type SwapAtMount } from "./mountoptions";
import type { MountRequest } from "./mounting";
import { Interrupted, untilInterrupted, usageError } from "../common/outcome";
import { note, print, printJson, warn } from "../common/output";

interface Options {
  readonly size?: string;
  readonly format?: boolean;
  readonly force?: boolean;
  readonly foreground?: boolean;
  readonly allowCow?: boolean;
  readonly allowUnmappedHost?: boolean;
  readonly acceptLoss?: boolean;
  readonly engine: string;
  readonly json?: boolean;
  readonly activate?: boolean;
  readonly options: readonly string[];
  readonly fake?: boolean;
  readonly helper?: boolean;
}

export function define(command: Command): void {
  command
    .description("Mount a directory, an image file or a block device, so that files on it can be swapped on.")
    .argument("<source>", "directory (holds swapfs.img, made when missing), image file, or block device")
    .argument("<mountpoint>", "an existing directory; what is in it is hidden meanwhile")
    .option("--size <size>", "length of an image that is to be made, for example 20G")
    .option("--format", "write an empty volume on a device or image that is not a volume yet")
    .option("--force", "with --format: even over another signature or an existing volume")
    .option("--foreground", "stay, and log to this terminal; Ctrl-C unmounts")
    .option("--allow-cow", "swap even where the image's host allocates at each write (btrfs without NOCOW, ZFS, overlay, …)")
    .option("--allow-unmapped-host", "swap even where the image's host has no FIEMAP, so that its extents cannot be checked")
    .option("--accept-loss", "mount a volume whose journal is damaged as it was before the damage, and say what is lost")
    .option("--engine <engine>", "native, or fuse-native (portable, all JavaScript, no swapon)", "native")
    .option("--activate", "activate every file that swapfs activate has marked")
    .option("-o, --options <list>", "as mount(8) and fstab write them: ro, noexec, activate, size=20G, remount, ...", collect, [])
    // As the helper of mount(8), which says nothing when all is well; and what mount(8) hands to its helpers.
    .addOption(new Option("--helper").hideHelp())
    .addOption(new Option("-f, --fake").hideHelp())
    .addOption(new Option("-n").hideHelp())
    .addOption(new Option("-s").hideHelp())
    .addOption(new Option("-v").hideHelp())
    .addOption(new Option("-t <type>").hideHelp())
    .option("--demo", "see `swapfs demo`")
    .option("--json", "print what was mounted as JSON")
    .addHelpText("after", `
Examples:
  swapfs mount /srv/swap /mnt/swap            the image /srv/swap/swapfs.img is made when missing, sparse
  swapfs mount disk.img /mnt/swap --size 20G  an image file
  swapfs mount /dev/sdb1 /mnt/swap --format   a block device: the source for real use

Mounting the same source on the same mountpoint again does nothing and succeeds. -o remount,ro changes what is mounted.
Without dev or suid in -o a volume is mounted nodev,nosuid. Where swapfs is installed (./mount.sh --install),
\`mount -t swapfs SOURCE MOUNTPOINT\` and lines of /etc/fstab work.
--activate (or -o activate) passes marked files through the gate; those that it refuses are named and stay ordinary.
-o swapon=FILE[:PRIORITY] swaps on FILE, below the mountpoint, as swapfs swapon --block does; what cannot be is named.
--format keeps a volume that is there already; --format --force empties it.

Exit codes: 0 mounted, 2 usage, 11 volume damaged, 12 mount failed (nothing is left behind), 70 internal; 130 after Ctrl-C,
with nothing left behind.`)
    .action(async (source: string, mountpoint: string, options: Options) => {
      const words = parseMountOptions(options.options);
      const request = requestOf(source, mountpoint, options, words);
      if (options.fake) return;
      if (words.remount) return remounted(mountpoint, words, options);
      const { result, activated, swapped } = await untilInterrupted((signal) => mountAndActivate(request, signal));
      if (!options.helper) for (const line of result.notes) note(line);
      for (const line of [...result.warnings, ...(activated?.refused ?? []), ...swapped.refused]) warn(line);
      if (options.json) printJson({ ...result.mounted, ...(activated && { activated: activated.files }), ...(request.swapons && { swappedOn: swapped.files }) });
      else if (!options.helper) print(result.line + (activated ? `, ${activated.files.length} files activated` : "") + (request.swapons ? `, ${swapped.files.length} files swapped on` : ""));
      process.exitCode = result.ended ? await result.ended : exitCode.done;
    });
}

function collect(list: string, before: readonly string[]): string[] {
  return [...before, list];
}

function remounted(mountpoint: string, words: MountOptions, { json, helper }: Options): void {
  const { remountVolume } = require("./remounting") as typeof import("./remounting");
  const { mountpoint: path, options } = remountVolume(mountpoint, words);
  if (json) printJson({ mountpoint: path, options });
  else if (!helper) print(`${path} is mounted ${options.join(",")} now`);
}

async function mountAndActivate(request: MountRequest, signal: AbortSignal) {
  const { mountSource, takeDown } = require("./mounting") as typeof import("./mounting");
  const result = await mountSource(request, signal);
  try {
    const activated = request.activate ? await activateAll(result.mounted.runDir) : undefined;
    return { result, activated, swapped: request.swapons ? await swapOnAll(result.mounted.mountpoint, request.swapons, signal) : { files: [], refused: [] } };
  } catch (error) {
    if (error instanceof Interrupted && !result.mounted.already) await takeDown(result.mounted.mountpoint);
    throw error;
  }
}

function activateAll(runDir: string): Promise<{ files: string[]; refused: string[] }> {
  const { activateMarked } = require("../file/activate") as typeof import("../file/activate");
  return activateMarked(runDir);
}

function swapOnAll(mountpoint: string, swapons: readonly SwapAtMount[], signal: AbortSignal): Promise<{ files: string[]; refused: string[] }> {
  const { swapOnAtMount } = require("../swap/blockview") as typeof import("../swap/blockview");
  return swapOnAtMount(mountpoint, swapons, signal);
}

function requestOf(source: string, mountpoint: string, options: Options, words: MountOptions): MountRequest {
  if (options.engine !== "native" && options.engine !== "fuse-native") {
    throw usageError(`cannot use the engine "${options.engine}": there are native and fuse-native, choose one`);
  }
  const format = options.format === true || words.format;
  if (options.force && !format) {
    throw usageError("cannot use --force alone: it only strengthens --format, add --format or leave it out");
  }
  const activate = options.activate === true || words.activate;
  if (activate && options.engine !== "native") throw usageError("cannot activate with --engine fuse-native: it has no swap_rw path, leave one of them out");
  if (words.flags !== defaultMountFlags && options.engine !== "native") throw usageError(`cannot use -o ${words.flagWords.join(",")} with --engine fuse-native: it mounts rw,nosuid,nodev, leave one of them out`);
  if (words.swapons.length > 0 && options.engine !== "native") throw usageError("cannot use -o swapon with --engine fuse-native: swapon is refused there, leave one of them out");
  return {
    source, mountpoint, engine: options.engine, ...(words.swapons.length > 0 && { swapons: words.swapons }), activate, flags: words.flags,
    size: options.size === undefined ? words.size : parseByteLength(options.size, "--size"),
    format, force: options.force ?? false, foreground: options.foreground ?? false,
    acceptLoss: options.acceptLoss === true,
    allow: { cow: options.allowCow === true || words.allowCow, unmapped: options.allowUnmappedHost === true || words.allowUnmappedHost },
  };
}
