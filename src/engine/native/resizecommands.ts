// grow and shrink: what the control socket offers. Shrinking may take long: it is begun, asked after, and called off.

import { UserError, exitCode, messageOf } from "../../base/errors";
import { logLine } from "../../base/log";
import { bytesOfPages, formatByteLength } from "../../base/units";
import type { FileSystem } from "../../blocks/filesystem";
import { grow, shrink, type Resized } from "../../volume/resizing";
import type { Commands, Question } from "../control-socket";
import { pathsOf } from "./status";

interface Job {
  readonly byteLength: number;
  readonly controller: AbortController;
  readonly progress: { moved: number; total: number };
  done?: Resized;
  error?: { readonly message: string; readonly exit: number };
}

/** What a question after a shrink is answered with; src/cli/volume/resizing.ts shows it. */
export interface ShrinkState {
  /** bytes */
  readonly moved: number;
  readonly total: number;
  readonly done?: Resized;
  readonly error?: Job["error"];
}

export function resizeCommands(fs: FileSystem, mountpoint: string): Commands {
  let job: Job | undefined;
  return {
    grow: (question) => growTo(fs, question["bytes"]),
    shrink: (question) => {
      if (job === undefined || isOver(job)) job = begin(fs, mountpoint, bytesOf(question));
      else if (job.byteLength !== bytesOf(question)) throw new UserError(exitCode.mountFailed, "it is being shrunk to another size, wait for that");
      return stateOf(job);
    },
    "shrink-state": () => (job === undefined ? null : stateOf(job)),
    "shrink-cancel": () => void job?.controller.abort(new UserError(exitCode.mountFailed, "called off; what was moved stays where it is, the size is as before")),
  };
}

function growTo({ volume }: FileSystem, bytes: unknown): { done?: Resized; error?: Job["error"] } {
  try {
    const done = grow(volume, typeof bytes === "number" ? bytes : undefined);
    if (done.before !== done.bytes) logLine(`the volume grew from ${formatByteLength(done.before)} to ${formatByteLength(done.bytes)}`);
    return { done };
  } catch (error) {
    return { error: errorOf(error) };
  }
}

function begin(fs: FileSystem, mountpoint: string, byteLength: number): Job {
  const { volume, mapping } = fs;
  const job: Job = { byteLength, controller: new AbortController(), progress: { moved: 0, total: 0 } };
  const parts = {
    volume,
    commit: fs.commit.bind(fs),
    exclusive: mapping.exclusive.bind(mapping),
    free: fs.freed.bind(fs),
    settle: () => fs.grants.endAll(),
    isPinned: (ino: number) => !fs.leases.mayMove(ino),
    nameOf: (ino: number) => {
      const path = pathsOf(volume).get(ino);
      return path === undefined ? `inode ${ino}` : `${mountpoint}${path}`;
    },
  };
  shrink(parts, byteLength, job.progress, job.controller.signal).then(
    (done) => {
      job.done = done;
      if (done.before !== done.bytes) logLine(`the volume shrank from ${formatByteLength(done.before)} to ${formatByteLength(done.bytes)}`);
    },
    (error: unknown) => {
      job.error = errorOf(error);
      logLine(job.error.message);
    },
  );
  return job;
}

function isOver(job: Job): boolean {
  return job.done !== undefined || job.error !== undefined;
}

function stateOf({ progress, done, error }: Job): ShrinkState {
  return {
    moved: bytesOfPages(progress.moved), total: bytesOfPages(progress.total),
    ...(done && { done }), ...(error && { error }),
  };
}

function bytesOf(question: Question): number {
  const { bytes } = question;
  if (typeof bytes !== "number") throw new UserError(exitCode.usage, "no size given");
  return bytes;
}

function errorOf(error: unknown): NonNullable<Job["error"]> {
  return { message: messageOf(error), exit: error instanceof UserError ? error.exit : exitCode.mountFailed };
}
