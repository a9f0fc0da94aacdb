// swapfs map FILE: where a file lies, and what the kernel needs to know to resume from it.

import { statSync } from "node:fs";
import type { Command } from "commander";
import type { FileMap } from "../engine/native/mapcommand";
import { exitCode } from "../base/errors";
import { lastingName } from "../sys/bynames";
import { checkFile } from "./check";
import { ask } from "./control";
import { mapLines } from "./maptext";
import { volumeHolding, type MountedVolume } from "./mounted";
import { failed } from "./outcome";
import { print, printJson } from "./output";
import { shellWord } from "./paths";

/** What goes on the kernel's command line, or why there is nothing. */
export type Resume =
  | { readonly device: string; readonly offset: number }
  | { readonly none: string; readonly refused: boolean };

export function define(program: Command): void {
  program
    .command("map")
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
      const volume = volumeHolding(file);
      if (!volume) throw failed(`cannot map ${file}: it is not on a mounted swapfs volume, name a file below a mountpoint of swapfs status`);
      const map = (await ask(volume.runDir, { command: "map", ino: inoOf(file) })) as FileMap;
      const resume = await resumeOf(file, volume, map);
      if (options.resumeOffset) return printOffset(file, resume);
      if (options.json) printJson({ file, device: volume.device, ...map, resume });
      else for (const line of mapLines(file, volume, map, resume)) print(line);
    });
}

function inoOf(file: string): number {
  try {
    return statSync(file).ino;
  } catch (error) {
    throw failed(`cannot map ${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}, correct the name`);
  }
}

async function resumeOf(file: string, volume: MountedVolume, map: FileMap): Promise<Resume> {
  const impossible = whyNoResume(volume);
  if (impossible !== undefined) return { none: impossible, refused: false };
  const [first] = map.extents;
  const verdict = await checkFile(file);
  if (!verdict.accepted || first === undefined || first.filePage > 0) {
    return { none: `swapon would refuse the file: run swapfs check ${shellWord(file)}`, refused: true };
  }
  return { device: lastingName(volume.device), offset: first.devicePage };
}

/** The kernel reads the area before anything is mounted: so nothing but the device itself may be needed. */
function whyNoResume({ image, device }: MountedVolume): string | undefined {
  if (image !== undefined) {
    return `the volume is an image (${image}) on a loop device, which is not there when the kernel resumes: use a block device as the source`;
  }
  return /^\/dev\/(zram|ram|loop)\d/.test(device) ? `${device} does not survive a power-off: use a disk` : undefined;
}

function printOffset(file: string, resume: Resume): void {
  if ("offset" in resume) return print(String(resume.offset));
  if (!resume.refused) throw failed(`cannot give a resume offset for ${file}: ${resume.none}`);
  process.stderr.write(`swapfs: cannot give a resume offset for ${file}: ${resume.none}\n`);
  process.exitCode = exitCode.notActivatable;
}
