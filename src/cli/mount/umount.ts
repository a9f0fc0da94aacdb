// swapfs umount MOUNTPOINT

import type { Command } from "commander";
import { requireVolumeAt } from "../common/mounted";
import { print, printJson } from "../common/output";
import { unmount } from "./unmounting";

export function define(command: Command): void {
  command
    .description("Unmount a volume, end its processes and detach its loop device.")
    .argument("<mountpoint>", "where it is mounted")
    .option("--swapoff", "swap off the files that are swapped on first")
    .option("--json", "print what was done as JSON")
    .addHelpText("after", `
Examples:
  swapfs umount /mnt/swap
  swapfs umount --swapoff /mnt/swap

While a file is swapped on nothing is done (exit 12), and the message names the file.
umount(8) works as well; this command also waits until everything has ended.

Exit codes: 0 unmounted, 2 usage, 12 not unmounted, 70 internal.`)
    .action(async (mountpoint: string, options: { swapoff?: boolean; json?: boolean }) => {
      const volume = requireVolumeAt(mountpoint, "umount");
      const { swappedOff, still } = await unmount(volume, { swapoff: options.swapoff ?? false });
      if (options.json) {
        printJson({ unmounted: volume.mountpoint, swappedOff, still });
        return;
      }
      for (const path of swappedOff) print(`${path} is swapped off`);
      print(`${volume.mountpoint} is unmounted${still.length === 0 ? "" : `; the volume is still mounted at ${still.join(", ")}`}`);
    });
}
