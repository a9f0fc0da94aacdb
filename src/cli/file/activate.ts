// swapfs activate FILE

import type { Command } from "commander";
import { activateFile } from "./activating";
import { findTarget, showOutcome } from "./pinning";

export function define(command: Command): void {
  command
    .description("Serve a file on the swap_rw path: direct I/O of whole pages through a pinned map, past everything that an ordinary write does.")
    .argument("<file>", "a file on a mounted volume")
    .option("--json", "print what was done as JSON")
    .addHelpText("after", `
Example:
  swapfs activate /mnt/swap/a

The file passes the activation gate and is pinned. Zeros are written where nothing was. From its next open on reads and
writes must be whole pages (else EINVAL), do not change its times, and end at its end (ENOSPC); it has no page cache and
no shared mappings (ENODEV). The file is marked: mount --activate activates it again. The xattr user.swapfs.activate
does the same: setfattr -n user.swapfs.activate -v 1 FILE, setfattr -x; user.swapfs.mode says what a file is now.

Exit codes: 0 activated (or was), 2 usage, 10 the gate refused it, 12 not done, 70 internal; 130 after Ctrl-C.`)
    .action(async (file: string, options: { json?: boolean }) => {
      const target = findTarget(file, "activate");
      const json = options.json ?? false;
      const outcome = await activateFile(file, target, { json });
      const how = outcome.already ? " already" : ": whole pages of 4096 bytes, direct I/O, from its next open on";
      showOutcome(file, target, outcome, json, `activated${how}`);
    });
}
