// swapfs status [MOUNTPOINT]

import type { Command } from "commander";
import { gatherStatus, type VolumeStatus } from "./gather";
import { detachedVolumes, mountedVolumes, requireVolumeAt } from "../common/mounted";
import { print, printJson } from "../common/output";
import { processesOf } from "../common/processes";
import { statusLines } from "./statustext";

export function define(command: Command): void {
  command
    .description("Show processes, files, pins, swap areas, requests by opcode and the last refusals of mounted volumes.")
    .argument("[mountpoint]", "one volume; all without it")
    .option("--json", "print it as JSON")
    .addHelpText("after", `
Examples:
  swapfs status
  swapfs status /mnt/swap --json | jq '.volumes[0].requests'

Nothing is asked of the filesystem itself, so it works while a process of it is down.

Exit codes: 0 shown, 2 usage, 12 no such volume, 70 internal.`)
    .action(async (mountpoint: string | undefined, options: { json?: boolean }) => {
      const wanted = mountpoint === undefined ? mountedVolumes() : [requireVolumeAt(mountpoint, "show")];
      const volumes: VolumeStatus[] = [];
      for (const volume of wanted) volumes.push(await gatherStatus(volume));
      if (options.json) return printJson({ volumes });
      show(volumes);
      for (const volume of detachedVolumes().filter((one) => processesOf(one).length > 0)) {
        print(`${volume.image ?? volume.device} lives but is not mounted here: swapfs mount attaches it again, or says in which namespace it is`);
      }
    });
}

function show(volumes: readonly VolumeStatus[]): void {
  if (volumes.length === 0) {
    print("No volume is mounted. Mount one: swapfs SOURCE MOUNTPOINT");
    return;
  }
  volumes.forEach((volume, index) => {
    if (index > 0) print();
    for (const line of statusLines(volume)) print(line);
  });
}
