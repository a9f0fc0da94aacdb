// close(2) and swapoff(2) are over before the kernel's word of them has come here (FUSE_RELEASE is sent behind their back,
// fuse_release_common in fs/fuse/file.c), and a command that follows at once comes by another way, the control socket.

import { setTimeout as sleep } from "node:timers/promises";
import { FsError } from "../../base/errors";

const patienceMs = 500;
const pollMs = 20;

/** Carries a command out again for a moment while it is refused because the file is in use: EBUSY, ETXTBSY. */
export async function untilReleased<T>(command: () => T | Promise<T>): Promise<T> {
  for (const patient = Date.now() + patienceMs; ; await sleep(pollMs)) {
    try {
      return await command();
    } catch (error) {
      const inUse = error instanceof FsError && (error.code === "EBUSY" || error.code === "ETXTBSY");
      if (!inUse || Date.now() >= patient) throw error;
    }
  }
}
