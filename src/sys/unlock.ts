// Gives up a flock(2) that other processes still have a descriptor of: closing ours would not.

import { flockSync } from "fs-ext";

export function unlock(fd: number): void {
  flockSync(fd, "un");
}
