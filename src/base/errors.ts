// Errors that know their answer: an errno for the kernel, an exit code for a person.
// Messages read: cannot VERB OBJECT: state, next step.

import { errno, type ErrnoName } from "./errno";

/** A request that fails with an errno; `message` is for the log. */
export class FsError extends Error {
  override name = "FsError";
  readonly code: ErrnoName;

  constructor(code: ErrnoName, message: string = code) {
    super(message);
    this.code = code;
  }

  get errno(): number {
    return errno[this.code];
  }
}

/** Refused since the file has a block view: that may have gone meanwhile, unnoticed, and then it is to be tried again (ops/table.ts). */
export class ViewedError extends FsError {
  override name = "ViewedError";
}

/** Exit codes of every command: the stable interface, also listed in the README. */
export const exitCode = {
  done: 0,
  usage: 2,
  notActivatable: 10,
  damaged: 11,
  mountFailed: 12,
  internal: 70,
} as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

/** Something that a person must be told, with the exit code of the command. */
export class UserError extends Error {
  override name = "UserError";
  readonly exit: ExitCode;

  constructor(exit: ExitCode, message: string) {
    super(message);
    this.exit = exit;
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The errno that a thrown thing asks for: its own, Node's, else EIO. */
export function errnoOf(error: unknown): number {
  if (error instanceof FsError) return error.errno;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (typeof code === "string" && code in errno) return errno[code as ErrnoName];
  return errno.EIO;
}
