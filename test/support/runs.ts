// Several runs of the tests may be under way on one machine. Each has a folder, which is its TMPDIR, and every process of it
// inherits the folder's name: so what a run has made can be told from what others have made.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

const variable = "SWAPFS_TEST_RUN";
/** What the runs of this machine tell each other: turns (turns.ts), and which zram device is whose. */
export const sharedFolder = "/run/lock/swapfs-tests";

/** The folder of the run that this process belongs to. */
export function runFolder(): string | undefined {
  return process.env[variable];
}

/** Makes this process and all that it starts a run of its own, unless it belongs to one: then undefined. */
export function beginRun(): string | undefined {
  if (runFolder() !== undefined) return undefined;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-run-"));
  fs.chmodSync(folder, 0o755); // tests run programs as other users
  process.env[variable] = process.env["TMPDIR"] = folder;
  return folder;
}

/** Whether the process is this one or has inherited the run. */
export function isOfRun(pid: number, folder: string): boolean {
  return pid === process.pid || environmentOf(pid).includes(`${variable}=${folder}`);
}

function environmentOf(pid: number): string[] {
  try {
    return fs.readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
  } catch {
    return []; // it has ended
  }
}

/** Says that the zram device is this run's; `release` when it is gone. */
export function claimZram(number: string): { release(): void } {
  fs.mkdirSync(sharedFolder, { recursive: true });
  const file = path.join(sharedFolder, `zram${number}`);
  fs.writeFileSync(file, runFolder() ?? "");
  return { release: () => fs.rmSync(file, { force: true }) };
}

/** The folder of the run that has made the zram device ("zram0"); undefined: not made by `zramDevice`. */
export function ownerOfZram(name: string): string | undefined {
  try {
    return fs.readFileSync(path.join(sharedFolder, name), "utf8");
  } catch {
    return undefined;
  }
}
