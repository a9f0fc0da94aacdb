// swapfs activate FILE; and all marked files, for mount --activate.

import type { Command } from "commander";
import { reasonText } from "../../activation/texts";
import { messageOf } from "../../base/errors";
import type { PinOutcome } from "../../blocks/pin";
import { ask } from "../common/control";
import { Interrupted, untilInterrupted } from "../common/outcome";
import { ProgressBar, progressStyle } from "../common/progressbar";
import { findTarget, showOutcome, askPin, askUnpin, type Target } from "./pinning";

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

/** Interrupted while zeros are written, the file is left as it was. */
export async function activateFile(file: string, target: Target, { mark = true, json = false } = {}): Promise<PinOutcome> {
  const progress = new ProgressBar(progressStyle(json));
  let total: number | undefined; // pages, when the first answer comes; the activation under way holds the file from then on
  try {
    const show = (pagesLeft: number): void => {
      total ??= pagesLeft;
      progress.show({ what: `${file}: writing zeros where nothing was`, done: total - pagesLeft, total });
    };
    return await untilInterrupted((signal) => askPin(target, "activate", { mark, progress: show, signal }));
  } catch (error) {
    if (total !== undefined) await askUnpin(target, "cancel").catch(() => undefined);
    throw error;
  } finally {
    progress.end();
  }
}

/** The names of those that were activated, and a sentence for each that was not. */
export async function activateMarked(runDir: string): Promise<{ files: string[]; refused: string[] }> {
  const files: string[] = [];
  const refused: string[] = [];
  for (const { ino, path } of (await ask(runDir, { command: "marked" })) as { ino: number; path: string | null }[]) {
    const name = path ?? `inode ${ino}`;
    const problem = await tryActivate(name, { volume: { runDir }, ino });
    if (problem === undefined) files.push(name);
    else refused.push(`cannot activate ${name}: ${problem}`);
  }
  return { files, refused };
}

async function tryActivate(name: string, target: Target): Promise<string | undefined> {
  try {
    const { verdict } = await activateFile(name, target);
    return verdict.accepted ? undefined : verdict.reasons.map((reason) => reasonText(reason).text).join("; ");
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    return messageOf(error);
  }
}
