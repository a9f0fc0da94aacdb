// What may be gone by the time it is read, or lie on somebody else's failing disk: of /sys and /proc, and files below loop devices.

import * as fs from "node:fs";

/** Without the newline at its end. */
export function readText(path: string): string | undefined {
  try {
    return fs.readFileSync(path, "utf8").replace(/\n$/, "");
  } catch {
    return undefined;
  }
}

export function statIfAny(path: string): fs.Stats | undefined {
  try {
    return fs.statSync(path);
  } catch {
    return undefined;
  }
}

export function realPath(path: string): string | undefined {
  try {
    return fs.realpathSync(path);
  } catch {
    return undefined;
  }
}

export function listFolder(path: string): string[] {
  try {
    return fs.readdirSync(path);
  } catch {
    return [];
  }
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
