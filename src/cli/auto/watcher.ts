// The native process that watches memory and swaps on (native/autoswap): started, told what lies ready, heard; found again when its parent died.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, openSync } from "node:fs";
import * as path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { ifAny } from "../../sys/kernelfiles";
import { flockHolder } from "../../sys/locks";
import { lockNow } from "../common/flock";
import { failed } from "../common/outcome";

const program = path.join(__dirname, "../../../native/build/swapfs-autoswap");

/** Instead of a pressure file: it is woken by its clock alone. */
export const noPressure = "none";

export interface WatcherOptions {
  readonly pressure: string | undefined;
  /** for tests: what is read instead of /proc/meminfo */
  readonly meminfo: string | undefined;
  readonly intervalMs: number;
  /** a file that it holds with flock(2) for as long as it lives, and makes */
  readonly lock: string;
}

/** What it says (native/autoswap): a line's first word, and the others as numbers. Of "on" the last one is a name, which is a number too. */
export type Heard = (word: string, numbers: readonly number[]) => void;

export type Watcher = ReturnType<typeof startWatcher>;

export function startWatcher(folder: string, { pressure, meminfo, intervalMs, lock }: WatcherOptions, heard: Heard) {
  const words = [...(pressure === undefined ? [] : ["--pressure", pressure]), ...(meminfo === undefined ? [] : ["--meminfo", meminfo])];
  // In a session of its own: a Ctrl-C is for us, and what we leave alone.
  const child = spawn(program, [...words, "--interval", String(intervalMs), "--lock", lock, folder], { stdio: ["pipe", "pipe", "inherit"], detached: true });
  child.stdin.on("error", () => undefined); // it has ended, which is heard below
  createInterface(child.stdout).on("line", (line) => {
    const [word = "", ...rest] = line.split(" ");
    heard(word, rest.map(Number));
  });
  const ended = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  return {
    /** how it ended; throws when it could not be started */
    ended: ended.then(([code, signal]) => signal ?? `exit ${code}`, () => Promise.reject(failed(`cannot run ${program}: run ./mount.sh --setup`))),
    tell: (line: string): void => void child.stdin.write(`${line}\n`),
    stop: (): void => void child.kill("SIGTERM"),
  };
}

const endMs = 600_000;
const pollMs = 50;

/**
 * Of a parent that died; true: there was one. A swapon that is under way is waited for: it may take seconds. It is whoever holds the lock:
 * a process with the same command line may be another container's.
 */
export async function endOrphan(lock: string): Promise<boolean> {
  const fd = ifAny(() => openSync(lock, "r"));
  if (fd === undefined) return false;
  try {
    let ended: number | undefined;
    for (const end = Date.now() + endMs; !lockNow(fd); await sleep(pollMs)) {
      const pid = flockHolder(fstatSync(fd)) ?? ended;
      if (pid === 0) throw failed(`cannot take over from the swapfs-autoswap that holds ${lock}: it is in another pid namespace, end it there`);
      if (pid !== undefined && pid !== ended) process.kill((ended = pid), "SIGTERM");
      if (Date.now() > end) throw failed(`cannot take over from process ${pid} (swapfs-autoswap): it does not end, look at dmesg`);
    }
    return ended !== undefined;
  } finally {
    closeSync(fd);
  }
}
