// A case does something on a filesystem and returns what it saw; what is expected is the same on every target, and where
// a target truly cannot, `differs` says why and what it does instead.

import { promises as fs } from "node:fs";

import type { TargetName } from "../../support/mounted-targets";

export interface Place {
  /** an empty directory, 0777, for this case alone */
  readonly dir: string;
  readonly target: TargetName;
}

export interface Difference {
  readonly because: string;
  readonly expect: unknown;
}

export interface Case {
  readonly name: string;
  readonly run: (place: Place) => Promise<unknown>;
  readonly expect: unknown;
  readonly differs?: Partial<Record<TargetName, Difference>>;
}

/** "ok", or the name of the errno that the operation fails with. */
export async function outcome(operation: Promise<unknown>): Promise<string> {
  try {
    await operation;
    return "ok";
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (typeof code !== "string") throw error;
    return code;
  }
}

export async function withOpen<T>(
  file: string | Buffer, flags: string | number, body: (handle: fs.FileHandle) => Promise<T>, mode = 0o644,
): Promise<T> {
  const handle = await fs.open(file, flags, mode);
  try {
    return await body(handle);
  } finally {
    await handle.close();
  }
}

/** "a*3 0*2" for Buffer "aaa\0\0": long contents in a form that a failed test can show. */
export function runs(content: Buffer): string {
  const parts: string[] = [];
  for (let from = 0, at = 1; at <= content.length; at += 1) {
    if (content[at] === content[from]) continue;
    const byte = content[from]!;
    parts.push(`${byte === 0 ? "0" : String.fromCharCode(byte)}*${at - from}`);
    from = at;
  }
  return parts.join(" ");
}

/** The permission bits, setuid, setgid and sticky included, in octal. */
export async function modeOf(file: string): Promise<string> {
  return ((await fs.lstat(file)).mode & 0o7777).toString(8);
}

/** Allocated bytes, from st_blocks. */
export async function allocated(file: string): Promise<number> {
  return (await fs.stat(file)).blocks * 512;
}
