// swapfs map FILE: where a file lies, and what the kernel needs to know to resume from it.

import type { Command } from "commander";
import type { Verdict } from "../../activation/verdict";
import { exitCode } from "../../base/errors";
import { table } from "../../base/table";
import { countOf, formatByteLength, pageSize } from "../../base/units";
import type { FileMap } from "../../engine/native/mapcommand";
import { lastingName } from "../../sys/bynames";
import { ask } from "../common/control";
import type { MountedVolume } from "../common/mounted";
import { failed } from "../common/outcome";
import { print, printJson } from "../common/output";
import { shellWord } from "../common/paths";
import { checkFile } from "./check";
import { findTarget } from "./pinning";

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
      const target = findTarget(file, "map");
      const { volume, ino } = target;
      const map = (await ask(volume.runDir, { command: "map", ino })) as FileMap;
      const resume = resumeOf(file, volume, map, await checkFile(file, target));
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

const rowsShown = 200;

export function mapLines(file: string, { device, image }: MountedVolume, map: FileMap, resume: Resume): string[] {
  return [
    `${file}: ${formatByteLength(map.size)}, ${countOf(map.extents.length, "extent")} on ${device} (pages of ${pageSize} bytes)`,
    ...shown([["file page", "device page", "pages", "state"], ...map.extents.map((one) => (
      [one.filePage, one.devicePage, one.count, one.state]))]),
    ...(map.image === undefined ? [] : imageLines(image ?? device, map.image)),
    ...("offset" in resume
      ? [`to hibernate: resume=${resume.device} resume_offset=${resume.offset}`]
      : [`no resume offset: ${resume.none}`]),
  ];
}

function imageLines(image: string, { host, pieces, error }: NonNullable<FileMap["image"]>): string[] {
  if (pieces === undefined) return [`${image} on ${host}: it does not say where the image lies (FIEMAP: ${error ?? "?"})`];
  return [
    `below it, ${image} on ${host} (in bytes of the file, the image and the host's device)`,
    ...shown([["file", "image", "host", "length", "flags"], ...pieces.map(({ offset, image: at, host: place, length, flags }) => (
      [offset, at, place ?? "hole", length, flags.join(",")]))]),
  ];
}

function shown(rows: readonly (readonly (string | number)[])[]): string[] {
  const lines = table(rows.slice(0, rowsShown + 1)).map((line) => `  ${line}`);
  return rows.length > rowsShown + 1 ? [...lines, `  and ${rows.length - rowsShown - 1} more (--json shows all)`] : lines;
}

/** What goes on the kernel's command line, or why there is nothing. */
export type Resume =
  | { readonly device: string; readonly offset: number }
  | { readonly none: string; readonly refused: boolean };

/** `offset`: of the swap header, in pages from the start of the device (Documentation/power/swsusp-and-swap-files.rst). */
export function resumeOf(
  file: string, volume: Pick<MountedVolume, "image" | "device">, map: FileMap, verdict: Verdict, disk?: string,
): Resume {
  const impossible = whyNoResume(volume);
  if (impossible !== undefined) return { none: impossible, refused: false };
  const [first] = map.extents;
  if (!verdict.accepted || first === undefined || first.filePage > 0) {
    return { none: `swapon would refuse the file: run swapfs check ${shellWord(file)}`, refused: true };
  }
  return { device: lastingName(volume.device, disk), offset: first.devicePage };
}

/** The kernel reads the area before anything is mounted: so nothing but the device itself may be needed. */
function whyNoResume({ image, device }: Pick<MountedVolume, "image" | "device">): string | undefined {
  if (image !== undefined) {
    return `the volume is an image (${image}) on a loop device, which is not there when the kernel resumes: use a block device as the source`;
  }
  return /^\/dev\/(zram|ram|loop)\d/.test(device) ? `${device} does not survive a power-off: use a disk` : undefined;
}
