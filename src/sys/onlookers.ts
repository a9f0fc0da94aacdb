// What other processes do with a file, from /proc. It names files by device and inode number and touches none of them.
// Reading waits for the other process's memory lock, which it may hold while it waits for us: so in the thread pool, and
// not for long.

import * as fs from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { processIds } from "./procstatus";

/** arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h */
const swaponNumber: Readonly<Record<string, string>> = { x64: "167", arm64: "224" };

const waitMs = 300;

/** Of one that is on a processor the kernel does not say in which call (proc_pid_syscall, fs/proc/base.c): "running". */
const lookAgainMs = 1;

/** Those of `pids` (thread numbers, as FUSE names the caller) that are in swapon(2) at this moment, or when they next wait for something. */
export function inSwapon(pids: readonly number[]): Promise<number[]> {
  const wanted = swaponNumber[process.arch];
  return select(pids, "syscall", (text) => (text.startsWith("running") ? undefined : text.split(" ")[0] === wanted));
}

/** Processes that have a file mapped shared and writable. `deviceNumber`: "7:3", st_dev of the file. */
export function sharedWriters(deviceNumber: string, ino: number): Promise<number[]> {
  return select(processIds(), "maps", (text) => holdsSharedWritable(text, deviceNumber, ino));
}

/** /proc/PID/maps: address perms offset MAJOR:MINOR inode path, the device in hexadecimal digits, two at least. */
export function holdsSharedWritable(maps: string, deviceNumber: string, ino: number): boolean {
  const device = deviceNumber.split(":").map((part) => Number(part).toString(16).padStart(2, "0")).join(":");
  return maps.split("\n").some((line) => {
    const [, permissions, , lineDevice, inode] = line.split(/\s+/);
    return lineDevice === device && Number(inode) === ino && permissions?.[1] === "w" && permissions[3] === "s";
  });
}

/** Asks all at once; those that have not answered in time are left out. `holds` undefined: to be asked again. */
async function select(pids: readonly number[], file: string, holds: (text: string) => boolean | undefined): Promise<number[]> {
  const found: number[] = [];
  const end = Date.now() + waitMs;
  const all = Promise.all(pids.map(async (pid) => {
    const look = async (): Promise<boolean | undefined> => holds(await fs.readFile(`/proc/${pid}/${file}`, "utf8").catch(() => ""));
    let held = await look();
    for (; held === undefined && Date.now() < end; held = await look()) await sleep(lookAgainMs);
    if (held === true) found.push(pid);
  }));
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([all, new Promise((resolve) => (timer = setTimeout(resolve, waitMs)))]);
  clearTimeout(timer);
  return [...found].sort((a, b) => a - b);
}
