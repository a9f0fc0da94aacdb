// Files as they are looked at here: perhaps gone by the time they are read, or on somebody else's failing disk. Of /sys and /proc, and
// files below loop devices.

import * as fs from "node:fs";

/** What `look` gives; undefined when it throws, for whatever reason. */
export function ifAny<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** Without the newline at its end. */
export function readText(path: string): string | undefined {
  return ifAny(() => fs.readFileSync(path, "utf8").replace(/\n$/, ""));
}

/** Open for as long as `work` takes. */
export function withOpen<T>(path: string, flags: string, work: (fd: number) => T): T {
  const fd = fs.openSync(path, flags, 0o600);
  try {
    return work(fd);
  } finally {
    fs.closeSync(fd);
  }
}

export function statIfAny(path: string): fs.Stats | undefined {
  return ifAny(() => fs.statSync(path));
}

export function realPath(path: string): string | undefined {
  return ifAny(() => fs.realpathSync(path));
}

export function listFolder(path: string): string[] {
  return ifAny(() => fs.readdirSync(path)) ?? [];
}

/**
 * Names in /proc files: the kernel writes space, tab, newline and backslash as three octal digits (mangle_path, fs/seq_file.c).
 * "a\040b" to "a b", byte by byte, so that names of many-byte characters come out whole.
 */
export function unescapeOctal(text: string): string {
  if (!text.includes("\\")) return text;
  const raw = Buffer.from(text, "utf8").toString("latin1");
  const plain = raw.replace(/\\([0-3][0-7]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
  return Buffer.from(plain, "latin1").toString("utf8");
}
