// Activating one file, with a progress line and an undoing for Ctrl-C; and all marked ones, for mount --activate.

import { setTimeout as sleep } from "node:timers/promises";
import { reasonText } from "../../activation/texts";
import { messageOf } from "../../base/errors";
import { ask } from "../common/control";
import { untilInterrupted } from "../common/interrupt";
import { askPin, askUnpin, type Outcome, type Target } from "./pinning";
import { ProgressBar, progressStyle } from "../common/progressbar";

/** A control plane that has just answered FUSE_INIT listens a moment later. */
const listeningMs = 5000;

/** Interrupted while zeros are written, the file is left as it was. */
export async function activateFile(file: string, target: Target, { mark = true, json = false } = {}): Promise<Outcome> {
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
  for (const { ino, path } of await markedFiles(runDir)) {
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
    return messageOf(error);
  }
}

async function markedFiles(runDir: string): Promise<{ ino: number; path: string | null }[]> {
  const end = Date.now() + listeningMs;
  for (;;) {
    try {
      return (await ask(runDir, { command: "marked" })) as { ino: number; path: string | null }[];
    } catch (error) {
      if (Date.now() > end) throw error;
      await sleep(50);
    }
  }
}
