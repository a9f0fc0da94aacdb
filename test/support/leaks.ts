// What a run of the tests must not leave behind: swap areas, FUSE mounts, loop and zram devices, cgroups, run folders
// and processes of swapfs. Read from /proc and /sys only; no mount is touched.

import * as fs from "node:fs";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { backingFile } from "#src/sys/loop";
import { memoryHierarchy } from "#src/sys/memorycgroup";
import { readMounts } from "#src/sys/mounttable";
import { commandLine, processIds } from "#src/sys/procstatus";
import { readSwaps } from "#src/sys/procswaps";

/** One line for each thing that is there now. */
export function machineState(): string[] {
  return [
    ...readSwaps().map((area) => `swap area ${area.path}`),
    ...readMounts()
      .filter((mount) => mount.type.startsWith("fuse") && mount.type !== "fusectl")
      .map((mount) => `mount ${mount.mountpoint} (${mount.type}, ${mount.source})`),
    ...list("/sys/block", /^loop\d+$/).flatMap((name) => {
      const file = backingFile(name);
      return file === undefined ? [] : [`loop device ${name} on ${file}`];
    }),
    ...list("/sys/block", /^zram\d+$/).map((name) => `zram device ${name}`),
    ...list(memoryHierarchy()?.folder ?? "/nonexistent", /^swapfs-/).map((name) => `memory cgroup ${name}`),
    ...list("/run/swapfs", /./).map((name) => `run folder /run/swapfs/${name}`),
    ...processIds().filter((pid) => pid !== process.pid).flatMap((pid) => {
      const words = commandLine(pid);
      return isOurs(words) ? [`process ${pid}: ${words.join(" ").slice(0, 120)}`] : [];
    }),
  ];
}

/** What is there now and was not in `before`; waits a while for things that are still ending. */
export async function leaksSince(before: readonly string[], patienceMs = 10_000): Promise<string[]> {
  const known = new Set(before);
  const end = Date.now() + patienceMs;
  for (;;) {
    const leaks = machineState().filter((line) => !known.has(line));
    if (leaks.length === 0 || Date.now() >= end) return leaks;
    await sleep(200);
  }
}

const programs = /^swapfs-(keeper|dataplane|pressure)$/;
const scripts = /\/dist\/(cli|engine\/[a-z-]+)\/main\.js$/;

/** Our own programs, and node with one of our scripts; not a shell or editor that names them. */
function isOurs(words: readonly string[]): boolean {
  const program = path.basename(words[0] ?? "");
  return programs.test(program) || (program === "node" && words.slice(1).some((word) => scripts.test(path.resolve(word))));
}

function list(folder: string, name: RegExp): string[] {
  try {
    return fs.readdirSync(folder).filter((entry) => name.test(entry));
  } catch {
    return [];
  }
}
