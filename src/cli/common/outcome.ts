// What a command's end means: an exit code, and for an error one line that says what to do. Ctrl-C, SIGTERM and SIGHUP end the
// work but never the cleaning up after it.

import { UserError, exitCode, messageOf } from "../../base/errors";
import { debugLog } from "../../base/log";

/** What a system call's errno means for a file that a person named, and what to do. */
const states: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file, correct the name",
  ENOTDIR: "a part of the path is not a directory, correct it",
  ENAMETOOLONG: "the name is too long, 255 bytes is the most",
  ENOTCONN: "the volume's processes are gone, umount it and mount it again",
  EROFS: "its filesystem is read-only, remount it writable (mount -o remount,rw)",
  ETXTBSY: "it is in use as swap, run swapoff first",
  ENOSPC: "no space left there, make room",
};

/** undefined for what is no error of a file. */
export function stateOf(error: unknown): string | undefined {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== "EACCES" && code !== "EPERM") return states[code ?? ""];
  return process.geteuid?.() === 0 ? "permission denied, look at its mode and lsattr" : "permission denied, run it as root";
}

/** As `failed`, for a system call about `path`. */
export function unusable(verb: string, path: string, error: unknown): UserError {
  return error instanceof UserError ? error : failed(`cannot ${verb} ${path}: ${stateOf(error) ?? (error as NodeJS.ErrnoException).code ?? messageOf(error)}`);
}

/** What `look` gives; what it throws becomes `unusable`. */
export function using<T>(verb: string, path: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw unusable(verb, path, error);
  }
}

const debug = debugLog("cli");

/** Writes the error for a person and returns its exit code. */
export function report(error: unknown): number {
  if (error instanceof UserError) {
    process.stderr.write(`swapfs: ${error.message}\n`);
    debug("%s", error.stack);
    return error.exit;
  }
  if (error instanceof Interrupted) {
    process.stderr.write(`swapfs: ${error.message}\n`);
    return interruptedExit;
  }
  const { syscall, path, code } = error as NodeJS.ErrnoException;
  if (syscall !== undefined && code !== "ENOENT" && stateOf(error) !== undefined) return report(unusable(syscall, path ?? "a file", error));
  process.stderr.write(`swapfs: internal error: ${messageOf(error)}, please report it with the output of DEBUG=swapfs:*\n`);
  if (debug.enabled && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  return exitCode.internal;
}

/** "cannot VERB OBJECT: STATE, NEXT STEP" with the exit code of a wrong command line. */
export function usageError(message: string): UserError {
  return new UserError(exitCode.usage, message);
}

/** Of a swap area. */
export const largestPriority = 32767;

/** A number of an option, from `least` to `most`. `kind`: what it must be, in words. */
export function parseCount(text: string, option: string, [least, most]: readonly [number, number], kind: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least || value > most) throw usageError(`cannot read ${option} "${text}": not ${kind}`);
  return value;
}

/** The state of the machine, not the command line, is in the way; nothing was left changed. */
export function failed(message: string): UserError {
  return new UserError(exitCode.mountFailed, message);
}

/** `what`: "VERB OBJECT". */
export function requireRoot(what: string): void {
  if (process.geteuid?.() !== 0) throw failed(`cannot ${what}: only root may, run it as root`);
}

export const signals: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** What a program that was interrupted exits with, as in the shell: 128 + SIGINT. */
export const interruptedExit = 130;

export class Interrupted extends Error {
  override name = "Interrupted";

  constructor(message = "interrupted, everything was cleaned up") {
    super(message);
  }
}

/** Runs `work`; its signal is aborted by the first Ctrl-C, and later ones are ignored until `work` has ended. */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(new Interrupted());
  for (const name of signals) process.on(name, abort);
  try {
    return await work(controller.signal);
  } catch (error) {
    // A child that got the same Ctrl-C ends with an error of its own; the reason is the interruption.
    await turns();
    throw controller.signal.aborted && !(error instanceof Interrupted) ? controller.signal.reason : error;
  } finally {
    for (const name of signals) process.off(name, abort);
  }
}

/** Throws after a signal that came meanwhile, also while a program was waited for. */
export async function heard(signal: AbortSignal | undefined, message?: string): Promise<void> {
  await turns();
  if (signal?.aborted) throw new Interrupted(message);
}

/** libuv passes a signal that came while the event loop stood still (spawnSync) on in the next turn but one. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise(setImmediate);
}
