// swapfs unpin FILE

import type { Command } from "commander";
import { show } from "../common/output";
import { askUnpin, findFile, findTarget } from "./pinning";

export function define(command: Command): void {
  command
    .description("End a pin. A file that was unlinked meanwhile is freed, unless it is open or swapped on.")
    .argument("<file>", "the file, or with --inode the mountpoint")
    .option("--inode <number>", "a pinned file that has no name any more; swapfs status shows its number")
    .option("--json", "print what was done as JSON")
    .addHelpText("after", `
Examples:
  swapfs unpin /mnt/swap/a
  swapfs unpin /mnt/swap --inode 7

A file that is not pinned is left as it is. One that is swapped on stays pinned until swapoff. An activated file that is
open for writing (by a loop device, perhaps) stays activated: exit 12.

Exit codes: 0 not pinned any more, 2 usage, 12 not done, 70 internal.`)
    .action(async (file: string, options: { inode?: string; json?: boolean }) => {
      const target = options.inode === undefined ? findFile(file, "unpin") : findTarget(file, "unpin", options.inode);
      const mode = await askUnpin(target, "unpin");
      const name = options.inode === undefined ? file : `inode ${options.inode}`;
      show(options.json, { file, inode: target.ino, was: mode }, mode === null ? `${name} was not pinned` : `${name} is not pinned any more`);
    });
}
