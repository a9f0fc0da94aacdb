// Who holds a lock of flock(2), from /proc/locks (Documentation/filesystems/proc.rst).

import { readFileSync, type Stats } from "node:fs";
import { deviceNumberOf } from "./blockdevice";

/** Its process id; 0: one in a pid namespace that is not seen from here; undefined: nobody has it for himself alone. */
export function flockHolder({ dev, ino }: Pick<Stats, "dev" | "ino">, text = readFileSync("/proc/locks", "latin1")): number | undefined {
  const device = deviceNumberOf(dev).split(":").map((number) => Number(number).toString(16).padStart(2, "0")).join(":");
  const found = [...text.matchAll(/^\d+: FLOCK +\w+ +WRITE (-?\d+) (\S+) /gm)].find(([, , file]) => file === `${device}:${ino}`);
  return found && Math.max(0, Number(found[1]));
}
