// swapfs swapoff FILE: undoes swapon, whichever way it was swapped on.

import type { Command } from "commander";
import { loopsOverFile } from "../../sys/loopswaps";
import { alone, deactivateQuietly, swapOffLoop, untilDetached } from "./loopswap";
import { untilInterrupted } from "../common/outcome";
import { show } from "../common/output";
import { findTarget } from "../file/pinning";
import { areaOn, swapOff } from "./swapareas";

export function define(command: Command): void {
  command
    .description("Swap off a file, itself or the loop device that swapon --loop attached; that device goes as well.")
    .argument("<file>", "a file on a mounted volume")
    .option("--json", "print what was done as JSON")
    .addHelpText("after", `
Example:
  swapfs swapoff /mnt/swap/b

A file that is not swapped on is left as it is (exit 0). One that swapon --loop activated is an ordinary file again; one
that was activated before stays activated.

Exit codes: 0 not swapped on any more, 2 usage, 12 not done, 70 internal; 130 after Ctrl-C: it stays swapped on.`)
    .action(async (file: string, options: { json?: boolean }) => {
      const target = findTarget(file, "swapoff");
      const was = await untilInterrupted((signal) => alone(file, (path) => swapOffAny(path, target, signal)));
      show(options.json, { file, was }, was === null ? `${file} was not swapped on` : `${file} is swapped off`);
    });
}

async function swapOffAny(path: string, target: ReturnType<typeof findTarget>, signal: AbortSignal): Promise<"file" | "loop" | null> {
  const area = await areaOn(target.volume, path);
  if (area) await swapOff({ ...area, path }, signal);
  const loops = loopsOverFile(path).filter((loop) => loop.area !== undefined);
  for (const loop of loops) await swapOffLoop(loop, signal);
  if (loops.length === 0 && loopsOverFile(path).some(({ autoclear }) => autoclear)) await untilDetached(path);
  await deactivateQuietly(target); // also what a swapon --loop that was killed left activated
  return area ? "file" : loops.length > 0 ? "loop" : null;
}
