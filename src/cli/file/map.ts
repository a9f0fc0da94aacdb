// swapfs map FILE: where a file lies, and what the kernel needs to know to resume from it.

import type { Command } from "commander";
import type { FileMap } from "../../engine/native/mapcommand";
import { exitCode } from "../../base/errors";
import { checkFile } from "./check";
import { ask } from "../common/control";
import { mapLines } from "./maptext";
import { failed } from "../common/outcome";
import { print, printJson } from "../common/output";
import { findTarget } from "./pinning";
import { resumeOf, type Resume } from "./resume";

export function define(command: Command): void {
  command
    .description("Where a file lies on the device (and, for an image, on its host), and resume= for hibernation.")
    .argument("<file>", "a file on a mounted volume")
    .option("-r, --resume-offset", "print only the number for resume_offset=, as btrfs inspect-internal map-swapfile -r does")
    .option("--json", "print everything as JSON")
    .addHelpText("after", `
Examples:
  swapfs map /mnt/swap/a
  swapfs map -r /mnt/swap/a >/sys/power/resume_offset

Exit codes: 0 shown, 2 usage, 10 swapon would refuse the file (-r), 12 not a file of a mounted volume, or -r on a volume
that one cannot resume from, 70 internal.`)
    .action(async (file: string, options: { resumeOffset?: boolean; json?: boolean }) => {
      const { volume, ino } = findTarget(file, "map");
      const map = (await ask(volume.runDir, { command: "map", ino })) as FileMap;
      const resume = resumeOf(file, volume, map, await checkFile(file));
      if (options.resumeOffset) return printOffset(file, resume);
      if (options.json) printJson({ file, device: volume.device, ...map, resume });
      else for (const line of mapLines(file, volume, map, resume)) print(line);
    });
}

function printOffset(file: string, resume: Resume): void {
  if ("offset" in resume) return print(String(resume.offset));
  if (!resume.refused) throw failed(`cannot give a resume offset for ${file}: ${resume.none}`);
  process.stderr.write(`swapfs: cannot give a resume offset for ${file}: ${resume.none}\n`);
  process.exitCode = exitCode.notActivatable;
}
