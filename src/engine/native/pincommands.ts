// pin, unpin, activate, deactivate: what the control socket offers beside the xattr.

import { pins } from "../../activation/handles";
import { removeXattr } from "../../namespace/xattrs";
import type { FileSystem } from "../../blocks/filesystem";
import { activateXattr, isMarked, pin, setMark, unpin, type PinOutcome } from "../../blocks/pin";
import type { Commands, Question } from "../control-socket";
import { untilReleased } from "./patience";
import { pathsOf } from "./status";

/** Pages of zeros that one question may take to write: an answer is due within seconds. */
const pagesAtOnce = 16384;

const root = { uid: 0, gid: 0 };

/** `inoOf`: the inode that a question is about. */
export function pinCommands(fs: FileSystem, inoOf: (question: Question) => number): Commands {
  return {
    pin: (question) => untilReleased(() => pin(fs, inoOf(question), "pinned")),
    unpin: (question) => untilReleased(async () => ({ mode: (await unpin(fs, inoOf(question))) ?? null })),
    activate: (question) => untilReleased(() => activate(fs, inoOf(question), question["mark"] !== false)),
    // Of an activation that will not be asked on: it alone ends.
    cancel: async (question) => ({ mode: (await unpin(fs, inoOf(question), pins.activating)) ?? null }),
    deactivate: (question) => untilReleased(() => deactivate(fs, inoOf(question))),
    release: (question) => untilReleased(() => release(fs, inoOf(question))),
    marked: () => marked(fs),
  };
}

/** To be asked again while `pagesLeft` is not 0. */
function activate(fs: FileSystem, ino: number, mark: boolean): Promise<PinOutcome> {
  return pin(fs, ino, "swap_rw", { pagesMax: pagesAtOnce, whenReached: () => mark && !isMarked(fs, ino) && setMark(fs, root, ino) });
}

async function deactivate(fs: FileSystem, ino: number): Promise<{ mode: string | null }> {
  const unmark = (): void => void (isMarked(fs, ino) && removeXattr(fs, root, ino, activateXattr));
  return { mode: (await unpin(fs, ino, pins.activated, unmark)) ?? null };
}

/** Undoes an activation without a mark: that of swapon --loop. */
async function release(fs: FileSystem, ino: number): Promise<{ mode: string | null }> {
  if (isMarked(fs, ino)) return { mode: null };
  return deactivate(fs, ino);
}

/** Files that `mount --activate` is about, whether they are activated or not. */
function marked({ volume }: FileSystem): { ino: number; path: string | null }[] {
  const paths = pathsOf(volume);
  return [...volume.inodes()].filter(({ xattrs, nlink }) => nlink > 0 && xattrs.has(activateXattr))
    .map(({ ino }) => ({ ino, path: paths.get(ino) ?? null }));
}
