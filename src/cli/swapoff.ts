// swapfs swapoff FILE: undoes swapon, whichever way it was swapped on.

import { realpathSync } from "node:fs";
import type { Command } from "commander";
import { loopsBelow } from "../sys/loopswaps";
import { readSwaps } from "../sys/procswaps";
import { deactivateQuietly, swapOffLoop } from "./loopswap";
import { print, printJson } from "./output";
import { findTarget } from "./pinning";
import { swapOff } from "./unmounting";

export function define(program: Command): void {
  program
    .command("swapoff")
    .description("Swap off a file, itself or the loop device that swapon --loop attached; that device goes as well.")
    .argument("<file>", "a file on a mounted volume")
    .option("--json", "print what was done as JSON")
    .addHelpText("after", `
Example:
  swapfs swapoff /mnt/swap/b

A file that is not swapped on is left as it is (exit 0). One that swapon --loop activated is an ordinary file again; one
that was activated before stays activated.

Exit codes: 0 not swapped on any more, 2 usage, 12 not done, 70 internal.`)
    .action(async (file: string, options: { json?: boolean }) => {
      const target = findTarget(file, "swapoff");
      const path = realpathSync(file);
      const area = readSwaps().find((one) => one.path === path);
      if (area) swapOff(area);
      const loops = loopsBelow(path).filter((loop) => loop.area !== undefined);
      for (const loop of loops) await swapOffLoop(loop);
      await deactivateQuietly(target); // also what a swapon --loop that was killed left activated
      const was = area ? "file" : loops.length > 0 ? "loop" : null;
      if (options.json) printJson({ file, was });
      else print(was === null ? `${file} was not swapped on` : `${file} is swapped off`);
    });
}
