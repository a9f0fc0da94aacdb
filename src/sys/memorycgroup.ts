// A memory cgroup of our own, version 1 or 2, whichever has the memory controller here. For workloads that must swap.

import * as fs from "node:fs";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError, exitCode, messageOf } from "../base/errors";
import { readText } from "./kernelfiles";
import { readMounts, type MountEntry } from "./mounttable";

export type CgroupHierarchy = NonNullable<ReturnType<typeof memoryHierarchy>>;

/** Where groups with a memory limit can be made: the hierarchy with the memory controller; undefined where there is none. */
export function memoryHierarchy(mounts: readonly MountEntry[] = readMounts()) {
  const v1 = mounts.find((mount) => mount.type === "cgroup" && mount.superOptions.includes("memory"));
  if (v1) return { version: 1 as const, folder: v1.mountpoint };
  const v2 = mounts.find((mount) => mount.type === "cgroup2" && controllersOf(mount.mountpoint).includes("memory"));
  return v2 && { version: 2 as const, folder: v2.mountpoint };
}

export class MemoryCgroup {
  readonly folder: string;
  /** Writing a pid (or "0": the writer) to this file moves the process into the group. */
  readonly procsFile: string;
  readonly version: 1 | 2;

  private constructor(folder: string, version: 1 | 2) {
    this.folder = folder;
    this.version = version;
    this.procsFile = path.join(folder, "cgroup.procs");
  }

  /** Makes a group that keeps at most `limitBytes` resident and may swap without limit. Throws a UserError. */
  static create(hierarchy: CgroupHierarchy, name: string, limitBytes: number): MemoryCgroup {
    const group = new MemoryCgroup(path.join(hierarchy.folder, name), hierarchy.version);
    try {
      if (hierarchy.version === 2) delegateMemory(hierarchy.folder);
      fs.mkdirSync(group.folder);
      group.#limit(limitBytes);
      return group;
    } catch (error) {
      group.#tryRemove();
      throw new UserError(exitCode.mountFailed, `cannot make the memory cgroup ${group.folder}: ${messageOf(error)}, run as root with a writable cgroup filesystem`);
    }
  }

  /**
   * Makes the kernel add up the group's statistics, as reading them does. Reclaim decides from the sums whether there are
   * too few inactive pages (inactive_is_low, mm/vmscan.c) and only adds them up when the periodic flusher is late: in a
   * small group that refaults fast it then finds every page active, deactivates none, and the OOM killer comes although
   * swap is free (seen on 6.18, cgroup v1).
   */
  addUpStatistics(): void {
    fs.readFileSync(path.join(this.folder, "memory.stat"));
  }

  pids(): number[] {
    return fs.readFileSync(this.procsFile, "utf8").split("\n").filter(Boolean).map(Number);
  }

  /** Removes the group; its processes must have ended. The kernel needs a moment after the last one is reaped. */
  async remove(waitMs = 2000): Promise<void> {
    const end = Date.now() + waitMs;
    while (!this.#tryRemove()) {
      if (Date.now() >= end) {
        throw new UserError(exitCode.internal, `cannot remove the memory cgroup ${this.folder}: processes ${this.pids().join(", ")} are still in it, end them first`);
      }
      await sleep(10);
    }
  }

  #limit(limitBytes: number): void {
    const write = (name: string, value: string): void => fs.writeFileSync(path.join(this.folder, name), value);
    if (this.version === 2) {
      write("memory.max", String(limitBytes));
      // Absent where the kernel has no swap accounting; then nothing limits it.
      if (fs.existsSync(path.join(this.folder, "memory.swap.max"))) write("memory.swap.max", "max");
      return;
    }
    write("memory.limit_in_bytes", String(limitBytes));
    // With 0, taken over from the parent group, the limit would call the OOM killer instead of swapping.
    write("memory.swappiness", "60");
  }

  #tryRemove(): boolean {
    try {
      fs.rmdirSync(this.folder);
      return true;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ENOENT";
    }
  }
}

function controllersOf(folder: string): string[] {
  return readText(path.join(folder, "cgroup.controllers"))?.split(" ") ?? [];
}

/** A child has memory.max only when its parent names the controller in cgroup.subtree_control. */
function delegateMemory(folder: string): void {
  const file = path.join(folder, "cgroup.subtree_control");
  if (!fs.readFileSync(file, "utf8").split(/\s+/).includes("memory")) fs.writeFileSync(file, "+memory");
}
