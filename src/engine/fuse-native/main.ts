// The fuse-native engine's process: `swapfs mount --engine fuse-native` starts it and waits for its ready line.
// It serves no BMAP and mounts as type fuse, not fuseblk, so the kernel refuses swapon on its files with EINVAL
// (generic_swapfile_activate: bmap() fails without a block device).

import { randomBytes } from "node:crypto";
import { fstatSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import path from "node:path";
import { Refusals } from "../../activation/refusals";
import { UserError, exitCode, messageOf } from "../../base/errors";
import { logLine } from "../../base/log";
import { FileSystem } from "../../blocks/filesystem";
import { SharedHandleTable } from "../../dataplane/handletable";
import { makeSession } from "../../dataplane/session";
import { dispatch } from "../../ops/table";
import { bootNumber } from "../../sys/kernel";
import { readMounts } from "../../sys/mounttable";
import { betweenTurns } from "../../volume/journaling";
import { endLeases } from "../../volume/lease";
import { Volume } from "../../volume/volume";
import { descriptor, text } from "../native/environment";
import { openWritable } from "../sourcedevice";
import { LibfuseMount } from "./binding";
import { Calls } from "./calls";
import { FileData } from "./filedata";
import { PathOperations } from "./operations";
import { MemoryPort } from "./port";

/** A crash loses at most this much that no fsync asked for. */
const flushMs = 5000;

type Settings = Readonly<ReturnType<typeof readSettings>>;

/** What `swapfs mount --engine fuse-native` hands over in the environment. */
function readSettings(env: NodeJS.ProcessEnv) {
  return {
    /** image file or block device that holds the volume */
    device: text(env, "SWAPFS_DEVICE"), mountpoint: text(env, "SWAPFS_MOUNTPOINT"), runDir: text(env, "SWAPFS_RUN_DIR"),
    /** where `{"ready":true}` or `{"error":"…"}` is written, once */
    readyFd: descriptor(env, "SWAPFS_READY_FD"),
  };
}

function main(): void {
  const settings = readSettings(process.env);
  serve(settings).catch((error: unknown) => {
    logLine(messageOf(error));
    tell(settings, { error: messageOf(error) });
    process.exit(error instanceof UserError ? error.exit : exitCode.mountFailed);
  });
}

async function serve(settings: Settings): Promise<void> {
  const { fs, volume, operations } = open(settings);
  const mount = new LibfuseMount(settings.mountpoint, settings.device, operations);
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => void mount.unmount().catch((error: unknown) => logLine(`cannot unmount ${settings.mountpoint}: ${messageOf(error)}`)));
  }
  await mount.mount();
  const runDir = takeRunDir(settings);
  const flush = setInterval(() => {
    volume.flush().catch((error: unknown) => logLine(`cannot flush: ${messageOf(error)}`));
  }, flushMs);
  tell(settings, { ready: true });
  await mount.ended();
  clearInterval(flush);
  fs.destroy();
  if (statSync(runDir.path, { throwIfNoEntry: false })?.ino === fstatSync(runDir.fd).ino) rmSync(runDir.path, { recursive: true, force: true });
  // libfuse's threads have no end of their own, and would keep the process.
  process.exit(exitCode.done);
}

function open(settings: Settings): { fs: FileSystem; volume: Volume; operations: PathOperations } {
  const device = openWritable(settings.device);
  const volume = Volume.open(device, { boot: bootNumber(), steps: betweenTurns });
  for (const warning of volume.warnings) logLine(warning);
  endLeases(volume); // mount refuses while a block view lives
  const port = new MemoryPort(device);
  const fs = new FileSystem({
    volume, handles: new SharedHandleTable(makeSession()), data: port, session: randomBytes(8).readBigUInt64LE(), refusals: new Refusals(),
  });
  fs.freeOrphans();
  const calls = new Calls((raw) => dispatch(fs, raw));
  return { fs, volume, operations: new PathOperations(calls, new FileData(fs.mapping, device, port)) };
}

/**
 * The run directory gets the name that `swapfs status` looks for: the mount's device number, known only now. The next mount
 * may have that number before we have ended; `fd`, of ours, tells its directory from it.
 */
function takeRunDir({ runDir, mountpoint }: Settings): { path: string; fd: number } {
  const mounted = readMounts().filter((entry) => entry.mountpoint === mountpoint).pop();
  const fd = openSync(runDir, "r");
  if (mounted === undefined) return { path: runDir, fd };
  const named = path.join(path.dirname(runDir), mounted.deviceNumber);
  // One that is still there is left over from a process that was killed: the number was given out anew.
  rmSync(named, { recursive: true, force: true });
  renameSync(runDir, named);
  return { path: named, fd };
}

function tell({ readyFd }: Settings, line: object): void {
  writeSync(readyFd, `${JSON.stringify(line)}\n`);
}

main();
