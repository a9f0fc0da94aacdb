// The filesystem that a file lies in, by an open descriptor: no path of it is walked.

import * as fs from "node:fs";

import { addon } from "./addon";
import { readMounts } from "./mounttable";

export interface HostFacts {
  /** statfs(2) f_type */
  readonly magic: number;
  /** FS_IOC_GETFLAGS; 0 where the filesystem has no flags */
  readonly flags: number;
  /** of the mount through which it was opened, and of its filesystem; none once that mount is detached */
  readonly options: readonly string[];
}

export function hostFacts(fd: number): HostFacts {
  return { magic: fs.statfsSync(`/proc/self/fd/${fd}`).type, flags: inodeFlags(fd), options: mountOptions(fd) };
}

function inodeFlags(fd: number): number {
  try {
    return addon().fileFlags(fd);
  } catch {
    return 0;
  }
}

function mountOptions(fd: number): string[] {
  const id = /^mnt_id:\s*(\d+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
  const mount = readMounts().find((one) => one.id === Number(id));
  return mount === undefined ? [] : [...mount.options, ...mount.superOptions];
}
