// What other processes do with a file, from /proc. It names files by device and inode number and touches none of them.
// Reading waits for the other process's memory lock, which it may hold while it waits for us: so in the thread pool, and
// not for long.

import * as fs from "node:fs/promises";
import { processIds } from "./procstatus";

/** arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h */
const swaponNumber: Readonly<Record<string, string>> = { x64: "167", arm64: "224" };

const waitMs = 300;

/** Those of `pids` (thread numbers, as FUSE names the caller) that are in swapon(2) at this moment. */
export function inSwapon(pids: readonly number[]): Promise<number[]> {
  const wanted = swaponNumber[process.arch];
  return select(pids, "syscall", (text) => text.split(" ")[0] === wanted);
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

/** Asks all at once; those that have not answered in time are left out. */
async function select(pids: readonly number[], file: string, holds: (text: string) => boolean): Promise<number[]> {
  const found: number[] = [];
  const all = Promise.all(pids.map(async (pid) => {
    if (holds(await fs.readFile(`/proc/${pid}/${file}`, "utf8").catch(() => ""))) found.push(pid);
  }));
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([all, new Promise((resolve) => (timer = setTimeout(resolve, waitMs)))]);
  clearTimeout(timer);
  return [...found].sort((a, b) => a - b);
}
