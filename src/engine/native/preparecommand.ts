// prepare, as the control socket offers it: progress as events, ended by the asker.

import { messageOf } from "../../base/errors";
import { logLine } from "../../base/log";
import type { FileSystem } from "../../blocks/filesystem";
import type { PrepareImage } from "../../blocks/prepare/image";
import { prepare, type PrepareOutcome } from "../../blocks/prepare/prepare";
import type { Asker, Question } from "../control-socket";

/** {ino or path, contiguous}. Answers with the outcome; events are PrepareProgress. */
export async function prepareCommand(
  fs: FileSystem, ino: number, image: PrepareImage | undefined, question: Question, { signal, tell }: Asker,
): Promise<PrepareOutcome> {
  const contiguous = question["contiguous"] === true;
  try {
    const outcome = await prepare(fs, ino, { contiguous, signal, progress: tell }, image);
    const { allocate, unshare, move, rewrite } = outcome.pages;
    if (allocate + unshare + move + rewrite > 0) {
      logLine(`ino ${ino} ${outcome.stopped ? "prepared in part" : "prepared"}, pages: ${allocate} allocated, ${unshare} unshared, ${move} moved, ${rewrite} written`);
    }
    return outcome;
  } catch (error) {
    logLine(`cannot prepare ino ${ino}: ${messageOf(error)}`);
    throw error;
  }
}
