// swapfs grow MOUNTPOINT|SOURCE [--size N]

import type { Command } from "commander";
import { parseByteLength } from "../../base/units";
import { untilInterrupted } from "../common/outcome";
import { growVolume, showResized } from "./resizing";

export function define(command: Command): void {
  command
    .description("Make a volume longer, mounted or not, also while files on it are swapped on.")
    .argument("<volume>", "its mountpoint, directory, image file or block device")
    .option("--size <size>", "of an image: its new length, for example 100G; a device is taken as long as it is now")
    .option("--force", "also when something else's signature lies where it grows to: that is lost")
    .option("--json", "print what came out as JSON")
    .addHelpText("after", `
Examples:
  swapfs grow /mnt/swap --size 100G     the image below becomes longer (it stays sparse), and the volume with it
  swapfs grow /dev/vg/swap              after lvextend: the volume takes the device's new length

How many files fit is decided when a volume is made and does not grow with it.
Growing to the length that it has does nothing and succeeds.

Exit codes: 0 done, 2 usage (not longer, or longer than the device), 12 not done, 70 internal. Ctrl-C waits for its end: it takes a moment.`)
    .action(async (given: string, options: { size?: string; force?: boolean; json?: boolean }) => {
      const bytes = options.size === undefined ? undefined : parseByteLength(options.size, "--size");
      const grown = await untilInterrupted(() => growVolume(given, { bytes, force: options.force ?? false }));
      showResized(given, "grew", grown, options.json ?? false);
    });
}
