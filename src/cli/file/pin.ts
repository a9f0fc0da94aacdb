// swapfs pin FILE: what swapon does to a file, without swapping on it.

import type { Command } from "commander";
import { askPin, findTarget, showOutcome } from "./pinning";

export function define(command: Command): void {
  command
    .description("Pass a file through the activation gate and keep its blocks where they are, as for a file that is swapped on.")
    .argument("<file>", "a file on a mounted volume")
    .option("--json", "print what was done as JSON")
    .addHelpText("after", `
Example:
  swapfs pin /mnt/swap/a

Until swapfs unpin or umount, whatever would write to the file, move or free its blocks is refused as for an active
swapfile: ETXTBSY, and EPERM for renaming it or over it. Unlinked, it keeps its blocks. A pin outlives a restart of the
volume's processes. Pinning a pinned file does nothing and succeeds; an activated file becomes only pinned.

Exit codes: 0 pinned, 2 usage, 10 the gate refused it, 12 not a file of a mounted volume, 70 internal.`)
    .action(async (file: string, options: { json?: boolean }) => {
      const target = findTarget(file, "pin");
      const outcome = await askPin(target, "pin");
      showOutcome(file, target, outcome, options.json ?? false, `pinned${outcome.already ? " already" : ""} (inode ${target.ino})`);
    });
}
