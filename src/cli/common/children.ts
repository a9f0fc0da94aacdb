// Programs that the CLI runs: stock tools with their output caught, so that a message of ours can quote it.

import { spawn, spawnSync, type SpawnSyncOptionsWithStringEncoding } from "node:child_process";
import { toolEnvironment } from "../../base/searchpath";
import { failed } from "./outcome";

export interface Ran {
  /** exit code, or -1 when the program could not be started or was killed */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, in the C locale. */
export function runTool(command: string, args: readonly string[], input?: string): Ran {
  const options: SpawnSyncOptionsWithStringEncoding & { detached: boolean } = {
    encoding: "utf8",
    input: input ?? "",
    // A session of its own: Ctrl-C must not interrupt a swapoff that cleans up after us.
    detached: true,
    env: toolEnvironment(),
  };
  const ran = spawnSync(command, args, options);
  if (ran.error) return { code: -1, stdout: "", stderr: ran.error.message };
  return { code: ran.status ?? -1, stdout: ran.stdout, stderr: ran.stderr };
}

/** Runs a program that must succeed. Throws a UserError: "cannot WHAT: what the program said", and `next`, from its comma on. */
export function mustRun(command: string, args: readonly string[], what: string, next = ""): void {
  const ran = runTool(command, args);
  if (ran.code !== 0) throw failed(`cannot ${what}: ${complaint(ran, command)}${next}`);
}

/** As `runTool`, for what takes long: a Ctrl-C is heard meanwhile, and reaches the program only as `signal`. */
export function runLong(command: string, args: readonly string[], signal?: AbortSignal): Promise<Ran> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], detached: true, env: toolEnvironment() });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) child[name].setEncoding("utf8").on("data", (text: string) => (said[name] += text));
  signal?.addEventListener("abort", () => child.kill("SIGINT"));
  return new Promise((resolve) => {
    child.once("error", ({ message }) => resolve({ code: -1, stdout: "", stderr: message }));
    child.once("close", (code) => resolve({ code: code ?? -1, ...said }));
  });
}

/** What a failed program said, in one line, without its own name in front. */
export function complaint(ran: Ran, command: string): string {
  const lines = (ran.stderr || ran.stdout).trim().split("\n").filter((line) => line !== "");
  const last = lines.pop() ?? `exit code ${ran.code}`;
  return last.replace(new RegExp(`^(?:\\S*/)?${command}: `), "").replace(/\.$/, "");
}
