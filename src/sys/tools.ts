// Programs of the system: found wherever they are, in English, with their output caught, so that a message of ours can quote it.

import { spawn, spawnSync, type SpawnSyncOptionsWithStringEncoding } from "node:child_process";
import { UserError, exitCode } from "../base/errors";

export interface Ran {
  /** exit code, or -1 when the program could not be started or was killed */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** swapfs map of a file in 10,000 pieces takes a few MiB. */
const outputBytesMax = 2 ** 26;

/** The folders of PATH, then the standard ones: mount(8) starts its helpers without PATH, and a user's may lack the sbin folders. */
export function searchPath(): string {
  const own = process.env["PATH"];
  return own ? `${own}:${standardPath}` : standardPath;
}

export function toolEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LC_ALL: "C", PATH: searchPath() };
}

/** Runs a program to its end. In a session of its own: Ctrl-C must not interrupt a swapoff that cleans up after us. */
export function runTool(command: string, args: readonly string[]): Ran {
  const options: SpawnSyncOptionsWithStringEncoding & { detached: boolean } = {
    encoding: "utf8", input: "", detached: true, maxBuffer: outputBytesMax, env: toolEnvironment(),
  };
  const ran = spawnSync(command, args, options);
  if (ran.error) return { code: -1, stdout: "", stderr: ran.error.message };
  return { code: ran.status ?? -1, stdout: ran.stdout, stderr: ran.stderr };
}

/** Runs a program that must succeed. Throws a UserError: "cannot WHAT: what the program said", and `next`, from its comma on. */
export function mustRun(command: string, args: readonly string[], what: string, next = ""): void {
  const ran = runTool(command, args);
  if (ran.code !== 0) throw new UserError(exitCode.mountFailed, `cannot ${what}: ${complaint(ran, command)}${next}`);
}

/** As `runTool`, for what takes long: a Ctrl-C is heard meanwhile, and reaches the program only as `signal`. */
export function runLong(command: string, args: readonly string[], signal?: AbortSignal, cwd?: string): Promise<Ran> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], detached: true, env: toolEnvironment(), cwd });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) child[name].setEncoding("utf8").on("data", (text: string) => (said[name] += text));
  const end = (): void => void child.kill("SIGINT");
  signal?.addEventListener("abort", end);
  return new Promise<Ran>((resolve) => {
    child.once("error", ({ message }) => resolve({ code: -1, stdout: "", stderr: message }));
    child.once("close", (code) => resolve({ code: code ?? -1, ...said }));
  }).finally(() => signal?.removeEventListener("abort", end));
}

/** What a failed program said, in one line, without its own name in front. */
export function complaint(ran: Ran, command: string): string {
  const lines = (ran.stderr || ran.stdout).trim().split("\n").filter((line) => line !== "");
  const last = lines.pop() ?? `exit code ${ran.code}`;
  return last.replace(new RegExp(`^(?:\\S*/)?${command}: `), "").replace(/\.$/, "");
}
