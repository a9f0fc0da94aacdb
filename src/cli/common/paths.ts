// Paths of mounts, without ever touching a mount that may be dead: stat(2) on it would wait for a daemon that is gone.

import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

/** The image that a directory as a source holds. */
export const imageName = "swapfs.img";

/** The path with its folder resolved, its last component untouched. Undefined when the folder does not exist. */
export function resolveFolder(path: string): string | undefined {
  const absolute = resolve(path);
  if (absolute === "/") return absolute;
  try {
    return join(realpathSync(dirname(absolute)), basename(absolute));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // ENOTCONN: the folder is a dead mount, and the name is all that there is.
    return code === "ENOENT" || code === "ENOTDIR" ? undefined : absolute;
  }
}

/** The word as a shell needs it, for commands that a message tells people to type. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
