// swapfs fsck SOURCE: reads an unmounted volume and proves its structures; changes nothing.

import { statSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { exitCode } from "../base/errors";
import { formatByteLength, bytesOfPages } from "../base/units";
import { checkDevice, isSound, type FsckReport } from "../volume/fsck";
import { closeQuietly } from "./keeper";
import { lockSource } from "./flock";
import { failed } from "./outcome";
import { print, printJson } from "./output";
import { imageName } from "./source";
import { sourceMountedBefore } from "./mounting";
import { openDevice } from "./volumefile";

export function define(program: Command): void {
  program
    .command("fsck")
    .description("Check an unmounted volume: superblocks, checkpoints, journal, names, extents, free space. Changes nothing.")
    .argument("<source>", "directory, image file or block device")
    .option("--json", "print what was found as JSON")
    .addHelpText("after", `
Example:
  swapfs fsck /srv/swap

Exit codes: 0 sound, 2 usage, 11 damaged, 12 it could not be read (mounted, missing), 70 internal.`)
    .action(async (source: string, options: { json?: boolean }) => {
      const path = volumePath(source, "fsck");
      const before = sourceMountedBefore(source);
      if (before) throw failed(`cannot fsck ${source}: it is mounted at ${before.mountpoint}, umount it first`);
      const lock = await lockSource(path);
      if (lock === undefined) throw failed(`cannot fsck ${source}: another process has it locked, wait for it`);
      try {
        show(path, check(path), options.json ?? false);
      } finally {
        closeQuietly(lock);
      }
    });
}

/** The device or image file behind a source. */
export function volumePath(source: string, verb: string): string {
  try {
    const path = statSync(source).isDirectory() ? join(source, imageName) : source;
    statSync(path);
    return path;
  } catch {
    throw failed(`cannot ${verb} ${source}: there is no volume, name a directory with ${imageName}, an image file or a block device`);
  }
}

function check(path: string): FsckReport {
  const device = openDevice(path, true);
  try {
    return checkDevice(device);
  } finally {
    device.close();
  }
}

function show(path: string, report: FsckReport, json: boolean): void {
  const sound = isSound(report);
  if (json) printJson({ source: path, sound, ...report });
  else {
    for (const { severity, message } of report.findings) print(`${severity}: ${message}`);
    const contents = `${report.inodes} inodes, ${formatByteLength(bytesOfPages(report.usedPages))} used, ${formatByteLength(bytesOfPages(report.freePages))} free`;
    print(sound ? `${path} is sound: ${contents}` : `${path} is damaged: mount it no more, copy what can be read elsewhere`);
  }
  process.exitCode = sound ? exitCode.done : exitCode.damaged;
}
