// swapfs deactivate FILE

import type { Command } from "commander";
import { show } from "../common/output";
import { askUnpin, findFile } from "./pinning";

export function define(command: Command): void {
  command
    .description("Make an activated file an ordinary one again, and take its mark away.")
    .argument("<file>", "a file on a mounted volume")
    .option("--json", "print what was done as JSON")
    .addHelpText("after", `
Example:
  swapfs deactivate /mnt/swap/a

Refused while the file is open for writing, by a loop device for example (swapfs swapoff FILE ends that). A file that is
not activated only loses its mark.

Exit codes: 0 not activated any more, 2 usage, 12 not done, 70 internal.`)
    .action(async (file: string, options: { json?: boolean }) => {
      const target = findFile(file, "deactivate");
      const mode = await askUnpin(target, "deactivate");
      show(options.json, { file, inode: target.ino, was: mode }, mode === null ? `${file} was not activated` : `${file} is an ordinary file again`);
    });
}
