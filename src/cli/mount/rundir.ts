// The run directory of a mount, named by the number of its device. The keeper holds a lock (flock) on it until it has ended,
// and a new mount may have a directory of that name before that: nothing is removed by its name alone.

import { closeSync, existsSync, fstatSync, mkdirSync, openSync, rmSync, symlinkSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { ifAny } from "../../sys/kernelfiles";
import { projectRoot } from "../../sys/version";
import { lockSource } from "../common/flock";
import { codeLink } from "../common/mounted";
import { failed } from "../common/outcome";

/** A keeper waits no longer for its control plane (Keeper::EndInOrder), once its mount is gone. */
const endingKeeperMs = 15_000;

/** In place of one that a keeper left which was killed, or is about to remove. The caller has the lock on the source. */
export async function freshRunDir(runDir: string, waitMs = endingKeeperMs): Promise<void> {
  if (!(await removeRunDir(runDir, waitMs))) {
    throw failed(`cannot mount: ${runDir} belongs to a keeper that lives, so its mount is still there: detached while in use, or in another namespace`);
  }
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  symlinkSync(projectRoot, join(runDir, codeLink));
}

/** `meant`: only the directory of this descriptor. False: a keeper that lives holds it. */
export async function removeRunDir(runDir: string, waitMs = 0, meant?: number): Promise<boolean> {
  if (!existsSync(runDir)) return true;
  const lock = await lockSource(runDir, waitMs, "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null; // its keeper has ended in this moment
    throw error;
  });
  if (lock === undefined) return false;
  if (lock === null) return true;
  if (meant === undefined || fstatSync(lock).ino === fstatSync(meant).ino) {
    ifAny(() => unlinkSync(join(runDir, codeLink))); // with nothing else in it, it goes without a descriptor, of which there may be none
    rmSync(runDir, { recursive: true, force: true });
  }
  closeSync(lock);
  return true;
}

/** While it is open its inode number is given to no other. undefined: there is none. */
export function openRunDir(runDir: string): number | undefined {
  return existsSync(runDir) ? openSync(runDir, "r") : undefined;
}
