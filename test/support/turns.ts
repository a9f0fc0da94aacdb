// What only one test on the machine may do at a time, in whichever run it is: a lock on a file, that ends with its holder.
// Waiting for it counts in no test's time.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import path from "node:path";

import { Cleanup } from "./mounted-cleanup";
import { zramDevice } from "./mounted-devices";
import { must, run, until } from "./mounted-run";
import { sharedFolder } from "./runs";

/**
 * "swap": memory is pushed out, and the test says where it must arrive, or what is then on the device. The kernel takes the
 * swap area of the highest priority, and areas of the same one in turn (mm/swapfile.c), whoever has swapped them on.
 * "fuse parameters": the parameters of the kernel's module fuse are changed.
 * "request timeouts": those of every mount that begins meanwhile are short, so none but the test's own does.
 */
export type Turn = "swap" | "fuse parameters" | "request timeouts";

/** Far longer than all tests together hold it. */
export const turnMs = 30 * 60_000;

/** For the tests of the file, or of the describe that it is called in: each takes its turn, and may say when that is over. */
export function takesTurns(turn: Turn): { over(): Promise<void> } {
  let end: () => Promise<void>;
  beforeEach(async () => {
    end = await takeTurn(turn);
  }, turnMs);
  afterEach(() => end());
  return { over: () => end() };
}

/**
 * As takesTurns("swap"), for tests that swap a file on for a moment and say what is in it afterwards: a machine pushes cold memory out
 * whenever it can (DAMON does with nothing short), so there is an area that the kernel prefers meanwhile.
 */
export function swapsWithoutTraffic(): void {
  const cleanup = new Cleanup();
  beforeEach(async () => {
    const end = await takeTurn("swap");
    cleanup.add("the turn", end);
    const preferred = await zramDevice(cleanup, 256 << 20);
    await must("mkswap", ["-q", preferred]);
    await must("swapon", ["-p", "32767", preferred]);
    // ENOMEM while a page that it holds belongs to a memory cgroup at its limit, of whichever test on the machine (mm/swapfile.c, unuse_pte).
    cleanup.add(`swap on ${preferred}`, () => until(`swapoff ${preferred}`, async () => (await run("swapoff", [preferred])).status === 0, 60_000));
  }, turnMs);
  afterEach(() => cleanup.run());
}

/** Returns what ends the turn. */
export async function takeTurn(turn: Turn): Promise<() => Promise<void>> {
  const holder = spawn("flock", [fileOf(turn), "sh", "-c", "echo taken; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(holder, "exit");
  const taken = await Promise.race([once(holder.stdout, "data"), ended.then(() => undefined)]);
  if (taken === undefined) throw new Error(`flock(1) cannot lock ${sharedFolder}/${turn}`);
  return async () => {
    holder.stdin.end();
    await ended;
  };
}

/** What runs `command` while nobody has the turn, whoever else runs one. */
export function whileNobodyHas(turn: Turn, command: readonly string[]): [string, ...string[]] {
  return ["flock", "--shared", "--close", fileOf(turn), ...command];
}

function fileOf(turn: Turn): string {
  mkdirSync(sharedFolder, { recursive: true });
  return path.join(sharedFolder, turn);
}
