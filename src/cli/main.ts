#!/usr/bin/env node
// The command `swapfs`. Only the module of the command that is asked for is loaded, so that a start stays short.

import { report } from "./common/outcome";
import { run } from "./program";

run(process.argv.slice(2)).then(
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
