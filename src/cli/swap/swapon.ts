// swapfs swapon FILE: swapon(8) with the gate's words; with --block on a device over the file's own blocks, with --encrypt on an encrypted one, with --loop through the daemon.

import { realpathSync } from "node:fs";
import { Option, type Command } from "commander";
import { exitCode } from "../../base/errors";
import { checkFile } from "../file/check";
import { complaint } from "../../sys/tools";
import { failed, untilInterrupted, usageError } from "../common/outcome";
import { parsePriority } from "./create";
import { swapOnView } from "./blockview";
import { swapOnLoop } from "./loopswap";
import { requireWritable } from "../common/mounted";
import { printJson, show } from "../common/output";
import { findTarget, printRefusal, type Target } from "../file/pinning";
import { swapOn } from "./swapareas";
import { requireWay } from "./ways";

interface Options {
  readonly loop?: boolean;
  readonly block?: boolean;
  readonly encrypt?: boolean;
  readonly force?: boolean;
  readonly priority?: string;
  readonly json?: boolean;
}

export function define(command: Command): void {
  command
    .description("Swap on a file; when that is refused, say why. With --block or --encrypt as a block device, with --loop through the daemon.")
    .argument("<file>", "a file on a mounted volume")
    .option("--block", "swap on a block device over the file's own blocks: on at once, and needs no process of swapfs")
    .option("--encrypt", "as --block, encrypted with a random key that is nowhere but in the kernel, and new each time")
    .option("--loop", "activate the file, attach a loop device with direct I/O to it, swap on that")
    .addOption(new Option("--priority <priority>", "0 to 32767; the highest is used first"))
    .option("--force", "with --loop: write a swap header over whatever the file holds")
    .option("--json", "print what was done as JSON")
    .addHelpText("after", `
Examples:
  swapfs swapon /mnt/swap/a --priority 10
  swapfs swapon --block /mnt/swap/a --priority 10
  swapfs swapon --encrypt /mnt/swap/a
  swapfs swapon --loop /mnt/swap/b --priority 5

--block needs device mapper in the kernel for a file in several extents; without it, swapfs create --block and swapfs prepare
--contiguous make one extent of it. The blocks stay where they are, over deaths of all processes and later mounts, until
swapfs swapoff, or swapoff(8) of the device. Huge pages go out whole. --encrypt needs device mapper (dm_crypt) in any case.

--loop is for trying out swap that is served by user space, and the peer of a loop device over ext4. A file without a
swap header gets one when it holds nothing but zeros. What is on already is left as it is, and exits with 0. When a step
fails, or at Ctrl-C, the steps before it are undone. A file that is on in another of these ways is refused: swapfs swapoff first.

Exit codes: 0 swapped on, 2 usage, 10 the gate refuses the file, 12 not swapped on, 70 internal; 130 after Ctrl-C.`)
    .action(async (file: string, options: Options) => {
      if (options.encrypt && options.loop) throw usageError("cannot use --encrypt with --loop: what the daemon writes is not encrypted, leave one out");
      if (options.block && options.loop) throw usageError("cannot use --block with --loop: they are two ways, choose one");
      if (options.force && !options.loop) throw usageError("cannot use --force without --loop: write the header with mkswap");
      const priority = parsePriority({ on: true, ...(options.priority === undefined ? {} : { priority: options.priority }) });
      if (options.loop) await throughLoop(file, options, priority);
      else if (options.block || options.encrypt) await byBlockView(file, options, priority);
      else await plainly(file, options, priority);
    });
}

async function throughLoop(file: string, options: Options, priority: number | undefined): Promise<void> {
  const target = findTarget(file, "swapon");
  await requireWay("loop", file, target);
  const { device, already, madeHeader } = await swapOnLoop(file, target, { priority, force: options.force ?? false });
  show(options.json, { file, device, already, madeHeader }, `${file} is swapped on through ${device}${already ? " already" : madeHeader ? ", with a new swap header" : ""}`);
}

async function byBlockView(file: string, options: Options, priority: number | undefined): Promise<void> {
  const target = findTarget(file, "swapon");
  requireWritable(target.volume, file, "swapon");
  await requireWay("view", file, target);
  const { device, already } = await untilInterrupted((signal) => swapOnView(file, target, { priority, encrypted: options.encrypt ?? false }, signal));
  show(options.json, { file, device, already }, `${file} is swapped on by its block view ${device}${options.encrypt ? ", encrypted" : ""}${already ? " already" : ""}`);
}

async function plainly(file: string, options: Options, priority: number | undefined): Promise<void> {
  const target = findTarget(file, "swapon");
  requireWritable(target.volume, file, "swapon");
  const already = await requireWay("itself", file, target);
  if (!already) {
    const ran = await untilInterrupted((signal) => swapOn(realpathSync(file), priority, signal));
    if (ran.code !== 0) return refused(file, target, complaint(ran, "swapon"), options);
  }
  show(options.json, { file, device: null, already }, `${file} is swapped on${already ? " already" : ""}`);
}

/** swapon(8) says "Invalid argument"; the gate knows more. */
async function refused(file: string, target: Target, state: string, options: Options): Promise<void> {
  const verdict = await checkFile(file, target);
  if (verdict.accepted) throw failed(`cannot swapon ${file}: ${state}, look at dmesg`);
  process.exitCode = exitCode.notActivatable;
  if (options.json) printJson({ file, device: null, already: false, verdict });
  else printRefusal(file, verdict);
}
