// The place to mount on: an existing folder that nothing is mounted on yet.

import { realpathSync, statSync } from "node:fs";
import { readMounts, type MountEntry } from "../../sys/mounttable";
import { failed } from "../common/outcome";
import { resolveFolder, shellWord } from "../common/paths";

export type Mountpoint = Readonly<ReturnType<typeof findMountpoint>>;

/** Resolves the mountpoint without touching a mount that is on it already. `busy`: what is mounted there now, the topmost. */
export function findMountpoint(given: string): { path: string; busy: MountEntry | undefined } {
  const folder = resolveFolder(given);
  if (folder === undefined) throw missing(given);
  const busy = mountedAt(folder);
  if (busy) return { path: folder, busy };
  const path = realPath(folder, given);
  return { path, busy: mountedAt(path) };
}

function realPath(folder: string, given: string): string {
  try {
    const path = realpathSync(folder);
    if (!statSync(path).isDirectory()) {
      throw failed(`cannot mount on ${given}: it is not a directory, name an empty directory`);
    }
    return path;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw missing(given);
    throw error;
  }
}

function missing(given: string): Error {
  return failed(`cannot mount on ${given}: there is no such directory, make it with mkdir -p ${shellWord(given)}`);
}

function mountedAt(path: string): MountEntry | undefined {
  return readMounts().filter((mount) => mount.mountpoint === path).pop();
}
