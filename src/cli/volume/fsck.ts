// swapfs fsck SOURCE: reads an unmounted volume and proves its structures; of a mounted one, by its mountpoint, what the
// control plane has in memory, the counts that are kept nowhere else among it. Changes nothing.

import { statSync, type Stats } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { exitCode } from "../../base/errors";
import { formatPages } from "../../base/units";
import { openReadOnly, withDevice } from "../../engine/sourcedevice";
import { checkDevice, isSound, type FsckReport } from "../../volume/fsck";
import { closeQuietly } from "../mount/keeper";
import { ask } from "../common/control";
import { volumeAt, type MountedVolume } from "../common/mounted";
import { failed, using } from "../common/outcome";
import { print, printJson } from "../common/output";
import { imageName, shellWord } from "../common/paths";
import { lockForReading, sourceMountedBefore } from "../mount/inuse";

export function define(command: Command): void {
  command
    .description("Check a volume: superblocks, checkpoints, journal, names, extents, free space. Changes nothing.")
    .argument("<source>", "directory, image file or block device that is not mounted; or a mountpoint")
    .option("--json", "print what was found as JSON")
    .addHelpText("after", `
Examples:
  swapfs fsck /srv/swap
  swapfs fsck /mnt/swap

Of a mounted volume it checks what is in memory: names, extents, and how often each block is used, counted anew.

Exit codes: 0 sound, 2 usage, 11 damaged, 12 it could not be read (source of a mount, missing), 70 internal.`)
    .action(async (source: string, options: { json?: boolean }) => {
      const mounted = volumeAt(source);
      if (mounted) return await checkMounted(mounted, options.json ?? false);
      const path = volumePath(source, "fsck");
      const before = sourceMountedBefore(source);
      if (before) throw failed(`cannot fsck ${source}: it is mounted at ${before.mountpoint}, umount it first or run swapfs fsck ${shellWord(before.mountpoint)}`);
      const lock = await lockForReading(path, "fsck");
      try {
        show(path, withDevice(openReadOnly(path), checkDevice), options.json ?? false, "mount it no more, copy what can be read elsewhere");
      } finally {
        closeQuietly(lock);
      }
    });
}

/** The device or image file behind a source. */
export function volumePath(source: string, verb: string): string {
  const stat = (path: string): Stats | undefined => using(verb, source, () => statSync(path, { throwIfNoEntry: false }));
  const path = stat(source)?.isDirectory() ? join(source, imageName) : source;
  if (stat(path)) return path;
  throw failed(`cannot ${verb} ${source}: there is no volume, name a directory with ${imageName}, an image file or a block device`);
}

async function checkMounted({ mountpoint, runDir, image, device }: MountedVolume, json: boolean): Promise<void> {
  const report = (await ask(runDir, { command: "fsck" })) as FsckReport;
  show(mountpoint, report, json, `write to it no more, umount it and run swapfs fsck ${shellWord(image ?? device)}`);
}

function show(path: string, report: FsckReport, json: boolean, next: string): void {
  const sound = isSound(report);
  if (json) printJson({ source: path, sound, ...report });
  else {
    for (const { severity, message } of report.findings) print(`${severity}: ${message.replace(/(,| or) run swapfs fsck \S+( to see what)?/, "")}`); // that is what was done
    const contents = `${report.inodes} inodes, ${formatPages(report.usedPages)} used, ${formatPages(report.freePages)} free`;
    print(sound ? `${path} is sound: ${contents}` : `${path} is damaged: ${next}`);
  }
  process.exitCode = sound ? exitCode.done : exitCode.damaged;
}
