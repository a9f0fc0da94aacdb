// prepare, as the control socket offers it: progress as events, ended by the asker; and the image below the volume, as it is
// looked at (through the gate's own eyes) and changed.

import type { Surroundings } from "../../activation/surroundings";
import { messageOf } from "../../base/errors";
import { logLine } from "../../base/log";
import type { FileSystem } from "../../blocks/filesystem";
import { type PrepareImage, unreadyIn } from "../../blocks/prepare/image";
import type { ImageRun } from "../../blocks/prepare/plan";
import { prepare, type PrepareOutcome } from "../../blocks/prepare/prepare";
import type { BlockDevice } from "../../volume/blockdevice";
import type { Extent } from "../../volume/changes";
import type { Asker, Question } from "../control-socket";
import { untilReleased } from "./patience";

/** {ino, contiguous}. Answers with the outcome; events are PrepareProgress. */
export async function prepareCommand(
  fs: FileSystem, ino: number, image: PrepareImage | undefined, question: Question, { signal, tell }: Asker,
): Promise<PrepareOutcome> {
  const contiguous = question["contiguous"] === true;
  try {
    const outcome = await untilReleased(() => prepare(fs, ino, { contiguous, signal, progress: tell }, image));
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

/** undefined for a volume that has a device to itself. */
export function hostImageOf(device: BlockDevice, surroundings: Surroundings | undefined): PrepareImage | undefined {
  if (device.writeBacking === undefined || surroundings === undefined) return undefined;
  return {
    unready: (extents) => unreadyBelow(extents, surroundings),
    writeZeros: ({ page, count }) => device.writeBacking!(page, count),
  };
}

function unreadyBelow(extents: readonly Extent[], surroundings: Surroundings): ImageRun[] {
  const last = extents.at(-1);
  const layer = last && surroundings.image(extents, last.filePage + last.count);
  // A host that does not say: nothing is known, and so nothing can be made better. The gate tells that.
  return layer === undefined || "kind" in layer || "error" in layer.extents ? [] : unreadyIn(extents, layer.extents);
}
