// A volume goes on with the version of swapfs that mounted it, also when another one has been installed since. Commands about it are that
// version's as well: a command and a volume's processes never come from two.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { exitCode, type ExitCode } from "../../base/errors";
import { ifAny } from "../../sys/kernelfiles";
import { projectRoot } from "../../sys/version";
import { codeLink, volumeHolding } from "./mounted";
import { Interrupted, signals } from "./outcome";

/** Set for the one that is run instead, which looks no further. */
const instead = "SWAPFS_RUN_INSTEAD";

/** The program of the version that serves the first volume which one of the words names a file of, or its mountpoint; undefined when that is this one. */
export function otherVersionOf(words: readonly string[]): string | undefined {
  if (process.env[instead] !== undefined) return undefined;
  const volume = words.filter((word) => !word.startsWith("-")).map((word) => ifAny(() => volumeHolding(word))).find((found) => found !== undefined);
  // The checkout may have been moved since, or lie behind a link: what counts is where both lead.
  const code = volume && ifAny(() => realpathSync(join(volume.runDir, codeLink)));
  const main = code === undefined || code === projectRoot ? undefined : join(code, "dist/cli/main.js");
  return main !== undefined && existsSync(main) ? main : undefined;
}

/** Resolves with its exit code. What would end this process is passed on to it. */
export async function runInstead(main: string, words: readonly string[]): Promise<ExitCode> {
  const child = spawn(process.execPath, [main, ...words], { stdio: "inherit", env: { ...process.env, [instead]: "1" } });
  for (const name of signals) process.on(name, () => child.kill(name));
  const [code, signal] = (await once(child, "exit")) as [ExitCode | null, NodeJS.Signals | null];
  if (signal !== null && signals.includes(signal)) throw new Interrupted("interrupted before it began"); // its own handlers come with its start
  return code ?? exitCode.internal;
}
