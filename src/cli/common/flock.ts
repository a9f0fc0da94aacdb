// The lock that keeps a volume from being mounted twice: flock(2) on the source, inherited by keeper and control plane.

import { closeSync, fstatSync, openSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { flockSync } from "fs-ext";

/** How long a predecessor that is ending may still hold the lock. */
export const dyingPredecessorMs = 5000;
const retryMs = 50;

/** An open, locked descriptor of what `path` names then; undefined when somebody else holds the lock for longer than `patienceMs`. */
export async function lockSource(path: string, patienceMs = dyingPredecessorMs, flags: "r" | "r+" = "r+"): Promise<number | undefined> {
  let fd = openSync(path, flags);
  const end = Date.now() + patienceMs;
  for (;;) {
    try {
      flockSync(fd, "exnb");
      if (isStillAt(path, fd)) return fd;
      closeSync(fd); // the one who had it removed or replaced the image
      fd = openSync(path, flags);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== "EAGAIN" && code !== "EWOULDBLOCK") {
        closeSync(fd);
        throw error;
      }
    }
    if (Date.now() >= end) break;
    await sleep(retryMs);
  }
  closeSync(fd);
  return undefined;
}

function isStillAt(path: string, fd: number): boolean {
  const [here, ours] = [statSync(path), fstatSync(fd)];
  return here.dev === ours.dev && here.ino === ours.ino;
}
