// A file that is open for as long as something takes.

import { closeSync, openSync } from "node:fs";

export function withOpen<T>(path: string, flags: "r" | "r+", work: (fd: number) => T): T {
  const fd = openSync(path, flags);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}
