// swapfs shrink MOUNTPOINT|SOURCE --size N

import type { Command } from "commander";
import { parseByteLength } from "../../base/units";
import { untilInterrupted } from "../common/outcome";
import { Progress } from "../common/output";
import { showResized, shrinkVolume } from "./resizing";

export function define(command: Command): void {
  command
    .description("Make a volume shorter, mounted or not: files are moved out of what goes, an image gives the room back.")
    .argument("<volume>", "its mountpoint, directory, image file or block device")
    .requiredOption("--size <size>", "its new length, for example 20G")
    .option("--json", "print what came out as JSON")
    .addHelpText("after", `
Examples:
  swapfs shrink /mnt/swap --size 20G
  swapfs shrink /dev/vg/swap --size 20G     then lvreduce to no less

A file that is swapped on, pinned or activated is never moved: when it lies behind the new end, nothing is done (exit 12)
and the message names it. Files that are used otherwise may be read and written meanwhile.
Ctrl-C, or a kill, leaves the volume as long as it was; what was moved stays moved. The same command goes on.
A clone that is moved is a copy of its own afterwards.

Exit codes: 0 done, 2 usage (not shorter, or too short), 12 not done, 70 internal, 130 interrupted.`)
    .action(async (given: string, options: { size: string; json?: boolean }) => {
      const bytes = parseByteLength(options.size, "--size");
      const result = await untilInterrupted((signal) => shrinkVolume(given, bytes, new Progress(), signal));
      showResized(given, "shrank", result, options.json ?? false);
    });
}
