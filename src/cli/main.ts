#!/usr/bin/env node
// The command `swapfs`. Only the module of the command that is asked for is loaded, so that a start stays short.

import { basename } from "node:path";
import { report } from "./common/outcome";
import { run } from "./program";

const [, program, ...words] = process.argv;

// mount(8) runs /sbin/mount.swapfs, a link to this file, for the type swapfs: `mount -t swapfs`, fstab.
run(basename(program!).startsWith("mount.") ? ["mount", "--helper", ...words] : words).then(
  (exit) => {
    process.exitCode = exit;
  },
  (error: unknown) => {
    process.exitCode = report(error);
  },
);

// `swapfs status | head -1`: the reader has what it wanted.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});
