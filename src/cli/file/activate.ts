// swapfs activate FILE

import type { Command } from "commander";
import { exitCode } from "../../base/errors";
import { activateFile } from "./activating";
import { print, printJson } from "../common/output";
import { findTarget, printRefusal } from "./pinning";

export function define(program: Command): void {
  program
    .command("activate")
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
      const { verdict, mode, already } = await activateFile(file, target, { json: options.json ?? false });
      if (options.json) printJson({ file, inode: target.ino, mode: mode ?? null, already, verdict });
      if (!verdict.accepted) process.exitCode = exitCode.notActivatable;
      if (options.json) return;
      if (!verdict.accepted) printRefusal(file, verdict);
      else print(`${file} is activated${already ? " already" : ": whole pages of 4096 bytes, direct I/O, from its next open on"}`);
    });
}
