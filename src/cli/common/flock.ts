// The lock that keeps a volume from being mounted twice: flock(2) on the source, inherited by keeper and control plane.

import { closeSync, fstatSync, openSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { flockSync } from "fs-ext";

/** How long a predecessor that is ending may still hold the lock. */
export const dyingPredecessorMs = 5000;
const retryMs = 50;

/** An open, locked descriptor of what `path` names then; undefined when somebody else holds the lock for longer than `waitMs`. */
export async function lockSource(path: string, waitMs = dyingPredecessorMs, flags: "r" | "r+" = "r+"): Promise<number | undefined> {
  const end = Date.now() + waitMs;
  for (;;) {
    const fd = openSync(path, flags);
    let kept = false;
    try {
      // Who had it may have removed or replaced the image.
      kept = lockNow(fd) && isStillAt(path, fd);
      if (kept) return fd;
    } finally {
      if (!kept) closeSync(fd);
    }
    if (Date.now() >= end) return undefined;
    await sleep(retryMs);
  }
}

/** False: somebody else has it. */
export function lockNow(fd: number, mode: "exnb" | "shnb" = "exnb"): boolean {
  try {
    flockSync(fd, mode);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // NFS gives no exclusive lock to a descriptor that only reads (do_setlk, fs/nfs/file.c). A shared one keeps those out who write.
    if (code === "EBADF" && mode === "exnb") return lockNow(fd, "shnb");
    if (code === "EAGAIN" || code === "EWOULDBLOCK") return false;
    throw error;
  }
}

/** `path` names what `fd` has open. */
export function isStillAt(path: string, fd: number): boolean {
  const [here, ours] = [statSync(path, { throwIfNoEntry: false }), fstatSync(fd)];
  return here?.dev === ours.dev && here.ino === ours.ino;
}
