// swapfs auto MOUNTPOINT: swap that grows when memory runs short and shrinks when it is not needed.

import { readFileSync, statfsSync } from "node:fs";
import { totalmem } from "node:os";
import { Option, type Command } from "commander";
import { parseByteLength } from "../../base/units";
import { configFile, parseAuto, sectionsOf } from "../common/config";
import { requireVolumeAt, requireWritable, type MountedVolume } from "../common/mounted";
import { failed, parseCount, untilInterrupted, usageError, using } from "../common/outcome";
import { parsePriority } from "../swap/create";
import type { AutoOptions } from "./policy";
import { AutoSwap } from "./run";
import { noPressure } from "./watcher";

interface Options {
  readonly max?: string;
  readonly keepFree?: string;
  readonly chunk?: string;
  readonly calm?: string;
  readonly priority?: string;
  readonly pressure?: string;
  readonly bmap?: boolean;
  readonly config?: string;
  readonly meminfo?: string;
  readonly json?: boolean;
}

const defaults = { max: "32G", keepFree: "10%", calm: "60", priority: "0" } as const;

export function define(command: Command): void {
  command
    .description("Keep so much swap on that free swap never runs out: swapfiles are made and swapped on before memory is short, and swapped off when they are not needed.")
    .argument("<mountpoint>", "a mounted volume")
    .option("--max <size>", `never more swap than this (default: ${defaults.max})`)
    .option("--keep-free <percent>", `what stays free of the volume (default: ${defaults.keepFree})`)
    .option("--chunk <size>", "length of the first swapfile (default: that of memory, at most an eighth of --max or of the volume)")
    .option("--calm <seconds>", `an area goes when it was not needed for so long (default: ${defaults.calm})`)
    .option("--priority <priority>", `of the first area; each younger one has one more, so that older ones drain (default: ${defaults.priority})`)
    .option("--pressure <file>", "a cgroup's memory.pressure, to be woken by that alone (default: /proc/pressure/memory); none: free swap alone is looked at")
    .option("--bmap", "swap on the files themselves, not their block views: swapon takes longer, and asks the volume's processes")
    .option("--config <file>", `take what is not given here from the volume's line "auto" in this file, ${configFile} for example`)
    .addOption(new Option("--meminfo <file>", "for tests: what is read instead of /proc/meminfo").hideHelp())
    .option("--json", "print each event as a line of JSON")
    .addHelpText("after", `
Examples:
  swapfs auto /mnt/swap
  swapfs auto /mnt/swap --max 64G --keep-free 20% --chunk 512M

It stays in the foreground. One swapfile is on from the beginning, another one lies ready in MOUNTPOINT/.swapfs-auto, and a small process that is
locked in memory swaps it on: by its block view (see swapon --block), or as a file where none can be had, which is said. Ctrl-C and SIGTERM end the watching and leave swap as it is; started again it goes on with what is on.
An area is swapped off only when what it holds fits elsewhere.

Exit codes: 2 usage, 12 not possible on this volume, or another swapfs auto is there, 70 internal; 130 after Ctrl-C, with what stays on.`)
    .action(async (mountpoint: string, options: Options) => {
      const volume = requireVolumeAt(mountpoint, "run swapfs auto on");
      if (volume.engine !== "native") throw failed(`cannot run swapfs auto on ${mountpoint}: the engine fuse-native cannot swap, mount it with --engine native`);
      requireWritable(volume, mountpoint, "run swapfs auto on");
      const parsed = parse(volume, { ...configured(volume, options.config), ...options });
      await untilInterrupted((signal) => new AutoSwap(volume, parsed, signal).run());
    });
}

function configured({ mountpoint }: MountedVolume, file: string | undefined): Options {
  if (file === undefined) return {};
  const { sections, problems } = sectionsOf(using("read", file, () => readFileSync(file, "utf8")), file);
  const auto = sections.get(mountpoint)?.auto;
  if (auto === undefined) throw usageError([...problems, `cannot take options from ${file}: it has no line "auto" for [${mountpoint}], add auto = yes`].join("\n"));
  const { "keep-free": keepFree, ...others } = parseAuto(auto)!;
  return { ...others, ...(keepFree === undefined ? {} : { keepFree }) };
}

const leastChunk = 2 ** 20;

/** With what lies ready that is four times the memory, if there is room: a program may fill it before another file is made. */
function chunkOf({ mountpoint }: MountedVolume, maxBytes: number): number {
  const { blocks, bsize } = statfsSync(mountpoint);
  const bytes = Math.min(totalmem(), maxBytes / 8, (blocks * bsize) / 8);
  return Math.max(leastChunk, bytes - (bytes % leastChunk));
}

function pressureFile(file: string | undefined): string | undefined {
  if (file === undefined || file === noPressure) return file;
  const begin = using("read", file, () => readFileSync(file, "latin1")).slice(0, 11);
  if (begin !== "some avg10=") throw usageError(`cannot use --pressure ${file}: it is no pressure file, name a cgroup's memory.pressure, or none`);
  return file;
}

function parse(volume: MountedVolume, options: Options): AutoOptions {
  const { max, keepFree, chunk, calm, priority } = { ...defaults, ...options };
  const percent = /^(\d{1,2})%$/.exec(keepFree)?.[1];
  if (percent === undefined) throw usageError(`cannot read --keep-free "${keepFree}": not a percentage from 0% to 99%`);
  const maxBytes = parseByteLength(max, "--max");
  const chunkBytes = chunk === undefined ? chunkOf(volume, maxBytes) : parseByteLength(chunk, "--chunk");
  if (chunkBytes < leastChunk) throw usageError(`cannot use --chunk ${chunk}: 1M is the least`);
  if (maxBytes < chunkBytes) throw usageError(`cannot use --max ${max}: it is less than ${chunk === undefined ? "1M" : `--chunk ${chunk}`}`);
  return {
    maxBytes, chunkBytes, keepFreeShare: Number(percent) / 100, calmMs: 1000 * parseCount(calm, "--calm", [1, 1e4], "a whole number from 1 to 10000"),
    firstPriority: parsePriority({ on: true, priority })!, pressure: pressureFile(options.pressure), bmap: options.bmap ?? false, meminfo: options.meminfo, json: options.json ?? false,
  };
}
