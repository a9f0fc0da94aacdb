// Starts the keeper, which mounts and starts data plane and control plane, or the one process of the fuse-native engine; and waits
// until the mount answers.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import { basename, join, relative } from "node:path";
import type { Readable } from "node:stream";
import type { HostAllowances } from "../../activation/imagelayer";
import { messageOf } from "../../base/errors";
import { controlPlaneArgv } from "../../engine/native/environment";
import { ifAny, readText } from "../../sys/kernelfiles";
import { backingFile, descriptorsRemedy } from "../../sys/loop";
import { runTool, toolEnvironment } from "../../sys/tools";
import { codeLink } from "../common/mounted";
import { failed } from "../common/outcome";
import { projectRoot } from "../../sys/version";
import { freshRunDir, removeRunDir } from "./rundir";

export interface KeeperStart {
  readonly device: string;
  readonly mountpoint: string;
  /** MS_ flags of mount(2) */
  readonly flags: number;
  readonly runDir: string;
  readonly lockFd: number;
  readonly foreground: boolean;
  readonly allow: HostAllowances;
}

/** Replaying a full journal takes seconds at most; a device that hangs must not hang the command for good. */
const readyMs = 60_000;
const lockSlot = 3;
const readySlot = 4;

/** Resolves with the keeper once the mount is ready. Throws a UserError with the reason; then nothing is left running. */
export async function startKeeper(start: KeeperStart): Promise<ChildProcess> {
  const keeper = [nativeProgram("swapfs-keeper"), ...keeperArguments(start)];
  await freshRunDir(start.runDir);
  const [program, ...args] = [...scope(start), ...keeper];
  const output = start.foreground ? "inherit" : "ignore";
  return untilReady(start, spawn(program!, args, {
    stdio: ["ignore", output, output, start.lockFd, "pipe"], cwd: "/", detached: !start.foreground, env: toolEnvironment(),
  }));
}

/**
 * Where systemd runs: in a scope of system.slice, whoever mounts. In the scope of a session it would end with it (KillUserProcesses), and
 * below user.slice it is frozen before a suspend, whose sync then waits for it for good. systemd-run(1) becomes what it starts.
 * Nothing stops the scope at shutdown but the end of a filesystem that its processes use: then systemd waits for them, behind the
 * umount, which ends them. It never kills them: swap that is still on needs them.
 */
export function scope({ device, runDir, mountpoint }: Pick<KeeperStart, "device" | "runDir" | "mountpoint">, socket = "/run/systemd/private"): string[] {
  if (!existsSync(socket) || runTool("systemctl", ["is-active", "system.slice"]).code !== 0) return [];
  const used = [projectRoot, process.execPath, backingFile(device) ?? ""].filter((path) => path !== "").map((path) => JSON.stringify(path));
  const mountUnit = runTool("systemd-escape", ["--path", "--suffix=mount", mountpoint]).stdout.trim();
  const properties = {
    DefaultDependencies: "no", RequiresMountsFor: used.join(" "),
    Before: mountUnit.replaceAll("\\", "\\\\"), // systemd-run(1) takes one away, as a shell does
    KillSignal: "SIGCONT", SendSIGKILL: "no", TimeoutStopSec: "15s",
  };
  return ["systemd-run", "--scope", "--quiet", "--collect", "--slice=system.slice", `--unit=swapfs-${basename(runDir)}-${process.pid}`,
    `--description=swapfs on ${mountpoint}`, ...Object.entries(properties).map(([name, value]) => `--property=${name}=${value}`), "--"];
}

/** Waits for the ready line on descriptor 4 of a daemon. Throws a UserError with the reason, having ended it. */
export async function untilReady(start: Omit<KeeperStart, "lockFd" | "allow" | "flags">, child: ChildProcess): Promise<ChildProcess> {
  const said = child.pid === undefined ? await notStarted(child) : await readyLine(child);
  if (said.ready) {
    if (!start.foreground) child.removeAllListeners().unref();
    return child;
  }
  const reason = said.error ?? lastLogLine(start.runDir) ?? "its process ended without saying why";
  await end(child);
  await removeRunDir(start.runDir);
  const remedy = /\bE[MN]FILE\b/.test(reason) ? descriptorsRemedy : "";
  throw failed(`cannot mount ${start.device} on ${start.mountpoint}: ${reason}${remedy}`);
}

export function keeperArguments(start: KeeperStart): string[] {
  const throughLink = (word: string): string => (word.startsWith(`${projectRoot}/`) ? join(start.runDir, codeLink, relative(projectRoot, word)) : word);
  return [
    "--source-device", start.device, "--mountpoint", start.mountpoint, "--mount-flags", String(start.flags),
    "--run-dir", start.runDir,
    "--lock-fd", String(lockSlot), "--ready-fd", String(readySlot),
    ...(start.foreground ? [] : ["--log", join(start.runDir, "log")]),
    "--dataplane", throughLink(nativeProgram("swapfs-dataplane")),
    "--", ...controlPlaneArgv(start.allow).map(throughLink),
  ];
}

export function nativeProgram(name: string): string {
  const path = join(projectRoot, "native", "build", name);
  if (!existsSync(path)) throw failed(`cannot start ${name}: it is not built, run ./mount.sh --setup`);
  return path;
}

interface Said {
  readonly ready: boolean;
  readonly error?: string;
}

/** Without descriptors for it the child has not even a list of pipes. */
function notStarted(child: ChildProcess): Promise<Said> {
  return once(child, "error").then(([error]) => ({ ready: false, error: messageOf(error) }));
}

function readyLine(child: ChildProcess): Promise<Said> {
  const pipe = child.stdio[readySlot] as Readable;
  return new Promise((resolve) => {
    let text = "";
    const timer = setTimeout(() => finish({ ready: false, error: `it did not answer within ${readyMs / 1000} s` }), readyMs);
    const interrupted = (): void => finish({ ready: false, error: "it was interrupted" });
    const finish = (said: Said): void => {
      clearTimeout(timer);
      process.off("SIGINT", interrupted).off("SIGTERM", interrupted);
      pipe.removeAllListeners();
      pipe.on("error", () => undefined);
      pipe.destroy();
      resolve(said);
    };
    process.on("SIGINT", interrupted).on("SIGTERM", interrupted);
    pipe.setEncoding("utf8");
    pipe.on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("\n")) finish(parseReady(text));
    });
    pipe.on("end", () => finish(parseReady(text)));
    pipe.on("error", () => finish(parseReady(text)));
    child.on("error", (error) => finish({ ready: false, error: error.message }));
  });
}

/** One JSON line: {"error": "..."} or anything else for ready. */
export function parseReady(text: string): Said {
  const line = text.split("\n")[0] ?? "";
  if (line === "") return { ready: false };
  try {
    const { error } = JSON.parse(line) as { error?: unknown };
    return typeof error === "string" ? { ready: false, error } : { ready: true };
  } catch {
    return { ready: false, error: line };
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
  await ended;
  clearTimeout(timer);
}

function lastLogLine(runDir: string): string | undefined {
  return readText(join(runDir, "log"))?.trim().split("\n").pop() || undefined;
}

/** Closes a descriptor that may be closed already. */
export function closeQuietly(fd: number | undefined): void {
  if (fd !== undefined) ifAny(() => closeSync(fd));
}

/**
 * The fuse-native engine: no keeper and no data plane, and when its one process dies the mount is gone. `device` is the image file itself,
 * or a block device. Resolves when the mount answers.
 */
export async function startFuseNative(start: Omit<KeeperStart, "allow" | "flags">): Promise<ChildProcess> {
  requireFuseNative(start.device);
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

function requireFuseNative(device: string): void {
  if (ifAny(() => require.resolve("fuse-native")) !== undefined) return;
  throw failed(`cannot mount ${device} with --engine fuse-native: the package fuse-native is not installed, leave the option out or use a checkout's ./mount.sh`);
}
