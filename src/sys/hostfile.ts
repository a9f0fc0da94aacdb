// The filesystem that a file lies in, by an open descriptor: no path of it is walked.

import * as fs from "node:fs";
import { addon } from "./addon";
import { ifAny } from "./kernelfiles";
import { readMounts } from "./mounttable";

/** `magic`: statfs(2) f_type. `flags`: FS_IOC_GETFLAGS; 0 where the filesystem has no flags. */
export function hostFacts(fd: number): { magic: number; flags: number; options: string[] } {
  return { magic: fs.statfsSync(`/proc/self/fd/${fd}`).type, flags: ifAny(() => addon().fileFlags(fd)) ?? 0, options: mountOptions(fd) };
}

/** Of the mount through which it was opened, and of its filesystem; none once that mount is detached. */
function mountOptions(fd: number): string[] {
  const id = /^mnt_id:\s*(\d+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
  const mount = readMounts().find((one) => one.id === Number(id));
  return mount === undefined ? [] : [...mount.options, ...mount.superOptions];
}
