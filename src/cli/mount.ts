// swapfs mount SOURCE MOUNTPOINT

import type { Command } from "commander";
import { exitCode } from "../base/errors";
import { parseByteLength } from "../base/units";
import { note, print, printJson, warn } from "./output";
import type { MountRequest } from "./mounting";
import { usageError } from "./outcome";

interface Options {
  readonly size?: string;
  readonly format?: boolean;
  readonly force?: boolean;
  readonly foreground?: boolean;
  readonly allowCow?: boolean;
  readonly allowUnmappedHost?: boolean;
  readonly engine: string;
  readonly json?: boolean;
  readonly activate?: boolean;
  readonly options?: string;
}

export function define(program: Command): void {
  program
    .command("mount")
    .description("Mount a directory, an image file or a block device, so that files on it can be swapped on.")
    .argument("<source>", "directory (holds swapfs.img, made when missing), image file, or block device")
    .argument("<mountpoint>", "an existing empty directory")
    .option("--size <size>", "length of an image that is to be made, for example 20G")
    .option("--format", "write an empty volume on a device or image that is not a volume yet")
    .option("--force", "with --format: even over another signature or an existing volume")
    .option("--foreground", "stay, and log to this terminal; Ctrl-C unmounts")
    .option("--allow-cow", "swap even where the image's host allocates at each write (btrfs without NOCOW, ZFS, overlay, …)")
    .option("--allow-unmapped-host", "swap even where the image's host has no FIEMAP, so that its extents cannot be checked")
    .option("--engine <engine>", "native, or fuse-native (portable, all JavaScript, no swapon)", "native")
    .option("--activate", "activate every file that swapfs activate has marked")
    .option("-o, --options <list>", "as mount(8) takes them; there is one: activate")
    .option("--demo", "see `swapfs demo`")
    .option("--json", "print what was mounted as JSON")
    .addHelpText("after", `
Examples:
  swapfs mount /srv/swap /mnt/swap            the image /srv/swap/swapfs.img is made when missing, sparse
  swapfs mount disk.img /mnt/swap --size 20G  an image file
  swapfs mount /dev/sdb1 /mnt/swap --format   a block device: the source for real use

Mounting the same source on the same mountpoint again does nothing and succeeds.
--activate (or -o activate) passes marked files through the gate; those that it refuses are named and stay ordinary.
--format keeps a volume that is there already; --format --force empties it.

Exit codes: 0 mounted, 2 usage, 11 volume damaged, 12 mount failed (nothing is left behind), 70 internal.`)
    .action(async (source: string, mountpoint: string, options: Options) => {
      const request = requestOf(source, mountpoint, options);
      const { mountSource } = require("./mounting") as typeof import("./mounting");
      const result = await mountSource(request);
      const activated = request.activate ? await activateAll(result.mounted.runDir) : undefined;
      for (const line of result.notes) note(line);
      for (const line of [...result.warnings, ...(activated?.refused ?? [])]) warn(line);
      if (options.json) printJson({ ...result.mounted, ...(activated && { activated: activated.files }) });
      else print(result.line + (activated ? `, ${activated.files.length} files activated` : ""));
      process.exitCode = result.ended ? await result.ended : exitCode.done;
    });
}

function activateAll(runDir: string): Promise<{ files: string[]; refused: string[] }> {
  const { activateMarked } = require("./activating") as typeof import("./activating");
  return activateMarked(runDir);
}

function requestOf(source: string, mountpoint: string, options: Options): MountRequest {
  if (options.engine !== "native" && options.engine !== "fuse-native") {
    throw usageError(`cannot use the engine "${options.engine}": there are native and fuse-native, choose one`);
  }
  if (options.force && !options.format) {
    throw usageError("cannot use --force alone: it only strengthens --format, add --format or leave it out");
  }
  const words = options.options?.split(",") ?? [];
  const unknown = words.find((word) => word !== "activate");
  if (unknown !== undefined) throw usageError(`cannot use -o "${unknown}": the one mount option is activate`);
  const activate = options.activate === true || words.length > 0;
  if (activate && options.engine !== "native") throw usageError("cannot activate with --engine fuse-native: it has no swap_rw path, leave one of them out");
  return {
    source, mountpoint, engine: options.engine, activate,
    size: options.size === undefined ? undefined : parseByteLength(options.size, "--size"),
    format: options.format ?? false, force: options.force ?? false, foreground: options.foreground ?? false,
    allow: { cow: options.allowCow ?? false, unmapped: options.allowUnmappedHost ?? false },
  };
}
