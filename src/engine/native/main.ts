// The control plane's entry: started by swapfs-keeper, again whenever it has died.

import fs from "node:fs";
import { UserError, exitCode, messageOf } from "../../base/errors";
import { logLine } from "../../base/log";
import { Engine } from "./engine";
import { readAllowances, readEnvironment } from "./environment";

function main(): void {
  process.stderr.on("error", () => undefined); // in the foreground the log's reader may end first
  // Ctrl-C in a terminal goes to the whole group: the keeper unmounts, and we are needed until that is done.
  for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined);
  const env = readEnvironment(process.env);
  let told = env.readyFd < 0;
  const tell = (line: object): void => {
    if (told) return;
    told = true;
    fs.writeSync(env.readyFd, `${JSON.stringify(line)}\n`);
    fs.closeSync(env.readyFd);
  };
  try {
    new Engine(env, readAllowances(process.argv.slice(2)), () => tell({ ready: true })).start();
  } catch (error) {
    const exit = error instanceof UserError ? error.exit : exitCode.internal;
    logLine(messageOf(error));
    tell({ error: messageOf(error), exit });
    process.exitCode = exit;
  }
}

main();
