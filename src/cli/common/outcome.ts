// What a command's end means: an exit code, and for an error one line that says what to do.

import { UserError, exitCode, messageOf } from "../../base/errors";
import { debugLog } from "../../base/log";
import { Interrupted, interruptedExit } from "./interrupt";

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
