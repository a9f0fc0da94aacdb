// Starts the fuse-native engine: one Node process, no keeper and no data plane. When it dies the mount is gone.

import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { untilReady, type KeeperStart } from "./keeper";
import { freshRunDir } from "./rundir";
import { projectRoot } from "../common/version";

const lockSlot = 3;
const readySlot = 4;

/** `device` is the image file itself, or a block device. Resolves when the mount answers. */
export async function startFuseNative(start: Omit<KeeperStart, "allow" | "flags">): Promise<ChildProcess> {
  await freshRunDir(start.runDir);
  const log = start.foreground ? ("inherit" as const) : openSync(join(start.runDir, "log"), "a", 0o600);
  try {
    const child = spawn(process.execPath, [join(projectRoot, "dist", "engine", "fuse-native", "main.js")], {
      stdio: ["ignore", log, log, start.lockFd, "pipe"],
      cwd: "/",
      detached: !start.foreground,
      env: {
        ...process.env, SWAPFS_DEVICE: start.device, SWAPFS_MOUNTPOINT: start.mountpoint, SWAPFS_RUN_DIR: start.runDir,
        SWAPFS_LOCK_FD: String(lockSlot), SWAPFS_READY_FD: String(readySlot),
      },
    });
    return await untilReady(start, child);
  } finally {
    if (log !== "inherit") closeSync(log);
  }
}
