// Gives up a flock(2) that other processes still have a descriptor of (closing ours would not), and our descriptor.

import { closeSync } from "node:fs";
import { flockSync } from "fs-ext";

export function unlock(fd: number): void {
  flockSync(fd, "un");
  closeSync(fd);
}
