// What a run of the tests must not leave behind: swap areas, mounts, loop and zram devices, cgroups, run folders and processes
// of swapfs. Only what the run has made counts, whatever else is on the machine. Read from /proc and /sys only; no mount is
// touched.

import * as fs from "node:fs";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import type { StateFile } from "#src/engine/native/statefile";
import { backingFile } from "#src/sys/loop";
import { memoryHierarchy } from "#src/sys/memorycgroup";
import { readMounts } from "#src/sys/mounttable";
import { commandLine, processIds } from "#src/sys/procstatus";
import { readSwaps } from "#src/sys/procswaps";
import { isOfRun, ownerOfZram } from "./runs";

/** One line for each thing that is there now and that the run with this folder has made. */
export function machineState(run: string): string[] {
  const below = (file: string | undefined): boolean => file !== undefined && file.startsWith(`${run}/`);
  const devices = devicesOf(run);
  const processes = processIds().map((pid) => ({ pid, words: commandLine(pid) }));
  return [
    ...readSwaps().filter(({ path: area }) => below(area) || devices.has(path.basename(area))).map((area) => `swap area ${area.path}`),
    ...readMounts().filter(({ mountpoint }) => below(mountpoint)).map((mount) => `mount ${mount.mountpoint} (${mount.type}, ${mount.source})`),
    ...[...devices.values()],
    ...cgroups().filter(({ pid }) => isOfRun(pid, run) || !processes.some((one) => one.pid === pid)).map(({ name }) => `memory cgroup ${name}`),
    ...list("/run/swapfs", /./).map((name) => `/run/swapfs/${name}`)
      .filter((folder) => !processes.some(({ words }) => words.includes(folder)) && !isOfAnother(folder, run)).map((folder) => `run folder ${folder}`),
    ...processes.filter(({ pid, words }) => pid !== process.pid && isOurs(words) && isOfRun(pid, run))
      .map(({ pid, words }) => `process ${pid}: ${words.join(" ").slice(0, 120)}`),
  ];
}

/**
 * What is there now and was not in `before`; waits a while for things that are still ending. `before` matters for what says of
 * nobody that he has made it: cgroups whose maker has ended, and run folders without a keeper that do not say where they were mounted.
 */
export async function leaksSince(before: readonly string[], run: string, patienceMs = 10_000): Promise<string[]> {
  const known = new Set(before);
  const end = Date.now() + patienceMs;
  for (;;) {
    const leaks = machineState(run).filter((line) => !known.has(line));
    if (leaks.length === 0 || Date.now() >= end) return leaks;
    await sleep(200);
  }
}

/** Whether the run folder says that its volume was mounted elsewhere than below the run's. One that says nothing may be anybody's. */
export function isOfAnother(folder: string, run: string): boolean {
  try {
    const { mountpoint } = JSON.parse(fs.readFileSync(path.join(folder, "state.json"), "utf8")) as StateFile;
    return !mountpoint.startsWith(`${run}/`);
  } catch {
    return false;
  }
}

/** Loop and zram devices of the run, with what to say of each. */
function devicesOf(run: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of list("/sys/block", /^loop\d+$/)) {
    const file = backingFile(name);
    if (file?.startsWith(`${run}/`)) found.set(name, `loop device ${name} on ${file}`);
  }
  for (const name of list("/sys/block", /^zram\d+$/)) if (ownerOfZram(name) === run) found.set(name, `zram device ${name}`);
  return found;
}

/** The second word of their names is the pid of who has made them (src/sys/pressure.ts). */
function cgroups(): { name: string; pid: number }[] {
  return list(memoryHierarchy()?.folder ?? "/nonexistent", /^swapfs-/).map((name) => ({ name, pid: Number(/\d+/.exec(name)?.[0] ?? 0) }));
}

const programs = /^swapfs-(keeper|dataplane|autoswap|pressure)$/;
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
