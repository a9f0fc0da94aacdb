// /proc/locks: a line of it each, and the kernel's own of a lock that flock(1) holds.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { flockHolder } from "#src/sys/locks";

const file = { dev: 0x1_03, ino: 77 };

test.each([
  ["1: FLOCK  ADVISORY  WRITE 1234 01:03:77 0 EOF\n", 1234],
  ["1: FLOCK  ADVISORY  WRITE 1 01:03:78 0 EOF\n2: FLOCK  ADVISORY  WRITE 9 01:03:77 0 EOF\n2: -> FLOCK  ADVISORY  WRITE 10 01:03:77 0 EOF\n", 9],
  ["1: FLOCK  ADVISORY  WRITE 0 01:03:77 0 EOF\n", 0],
  ["1: FLOCK  ADVISORY  WRITE -1 01:03:77 0 EOF\n", 0],
  ["1: POSIX  ADVISORY  WRITE 1234 01:03:77 0 EOF\n1: FLOCK  ADVISORY  READ 5 01:03:77 0 EOF\n", undefined],
])("flockHolder %#", (text, pid) => expect(flockHolder(file, text)).toBe(pid));

test("flockHolder: who has it on this machine", async () => {
  const dir = mkdtempSync(path.join(tmpdir(), "locks-"));
  const holder = spawn("flock", [dir, "sh", "-c", "echo taken; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
  try {
    await once(holder.stdout, "data");
    expect(flockHolder(statSync(dir))).toBe(holder.pid);
  } finally {
    holder.stdin.end();
    await once(holder, "exit");
    rmSync(dir, { recursive: true });
  }
  expect(flockHolder({ dev: 1, ino: 1 })).toBeUndefined();
});
