// What a command's end means: an exit code, and for an error one line that says what to do. Ctrl-C, SIGTERM and SIGHUP end the
// work but never the cleaning up after it.

import { UserError, exitCode, messageOf } from "../../base/errors";
import { debugLog } from "../../base/log";

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
  process.stderr.write(`swapfs: internal error: ${messageOf(error)}, please report it with the output of DEBUG=swapfs:*\n`);
  if (debug.enabled && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  return exitCode.internal;
}

/** "cannot VERB OBJECT: STATE, NEXT STEP" with the exit code of a wrong command line. */
export function usageError(message: string): UserError {
  return new UserError(exitCode.usage, message);
}

/** The state of the machine, not the command line, is in the way; nothing was left changed. */
export function failed(message: string): UserError {
  return new UserError(exitCode.mountFailed, message);
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What a program that was interrupted exits with, as in the shell: 128 + SIGINT. */
export const interruptedExit = 130;

export class Interrupted extends Error {
  override name = "Interrupted";

  constructor() {
    super("interrupted, everything was cleaned up");
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
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    for (const name of signals) process.off(name, abort);
  }
}
