// Files and folders of /sys and /proc, which may be gone by the time they are read.

import * as fs from "node:fs";

/** Without the newline at its end. */
export function readText(path: string): string | undefined {
  try {
    return fs.readFileSync(path, "utf8").replace(/\n$/, "");
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
