// Runs other programs for the mounted tests. Everything is asynchronous: a filesystem that hangs must end in the test's
// timeout, not hang the test runner.

import { spawn } from "node:child_process";
import path from "node:path";

export const projectDir = path.resolve(__dirname, "../..");

export interface Done {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string | Buffer;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs?: number;
  /** Runs as this uid and gid, without capabilities. */
  readonly uid?: number;
}

/** Runs a program and waits for its end. A status of 128 + n means signal n, as in the shell. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Done> {
  const [program, ...rest] = [...asUser(options.uid), command, ...args] as [string, ...string[]];
  return new Promise((resolve, reject) => {
    const child = spawn(program, rest, {
      cwd: options.cwd, env: { ...process.env, LC_ALL: "C", ...options.env }, stdio: "pipe",
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? 120_000);
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input);
    // "exit", not "close": a daemon that was started may keep the pipes open. What it said before is in them, and read in the next
    // turn of the loop at the latest: one that notices another's end collects ours too, whose pipe it has not looked at.
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      setImmediate(() => setImmediate(() => resolve({
        status: code ?? (signal === "SIGKILL" ? 137 : 143),
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      })));
    });
  });
}

/** Runs a program that must succeed; returns what it printed. */
export async function must(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const done = await run(command, args, options);
  if (done.status !== 0) {
    throw new Error(`${command} ${args.join(" ")}: status ${done.status}\n${done.stdout}${done.stderr}`);
  }
  return done.stdout;
}

/** A shell script that must succeed. */
export function sh(script: string, options: RunOptions = {}): Promise<string> {
  return must("sh", ["-euc", script], options);
}

/** The CLI under test. */
export function swapfs(args: readonly string[], options: RunOptions = {}): Promise<Done> {
  const [program, ...rest] = swapfsCommand(args);
  return run(program, rest, options);
}

export function swapfsCommand(args: readonly string[]): [string, ...string[]] {
  return [process.execPath, path.join(projectDir, "dist/cli/main.js"), ...args];
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks `condition` until it holds; fails with `what` after `timeoutMs`. */
export async function until(what: string, condition: () => Promise<boolean> | boolean, timeoutMs = 30_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(20);
  }
}

function asUser(uid: number | undefined): string[] {
  return uid === undefined ? [] : ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
}
