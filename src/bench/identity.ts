// What was measured, on what: kernel, CPU, commit, date.

import { spawnSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import type { Identity } from "../report/model";
import { kernelVersion } from "../sys/kernel";

export function identify(): Identity {
  return {
    date: new Date().toISOString().slice(0, 16).replace("T", " "),
    commit: commit(),
    kernel: kernelVersion().release,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cpus: cpus().length,
    memoryBytes: totalmem(),
  };
}

/** "1a2b3c4", with "+" when the tree has changes of its own. */
function commit(): string {
  const git = (...args: string[]): string => {
    const ran = spawnSync("git", ["-C", join(__dirname, "..", ".."), ...args], { encoding: "utf8" });
    return ran.status === 0 ? ran.stdout.trim() : "";
  };
  const name = git("rev-parse", "--short", "HEAD");
  return name === "" ? "unknown" : `${name}${git("status", "--porcelain", "--untracked-files=no") === "" ? "" : "+"}`;
}
