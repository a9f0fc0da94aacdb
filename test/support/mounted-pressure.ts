// `swapfs pressure` for the tests.

import { swapfs, type Done } from "./mounted-run";

/**
 * Now and then Linux 6.18 takes a cgroup at its limit for out of memory although swap is free: seen with ext4's swapfile
 * on zram as well, without swapfs. So the OOM killer's end is tried again.
 */
export async function pressure(args: readonly string[]): Promise<Done> {
  for (let attempt = 1; ; attempt += 1) {
    const done = await swapfs(["pressure", ...args, "--json"]);
    if (attempt === 4 || !/SIGKILL ended it/.test(done.stderr)) return done;
  }
}
