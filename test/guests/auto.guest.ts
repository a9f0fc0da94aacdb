// A whole small machine, without a cgroup, on which a program grows to four times its memory: with swapfs auto, and beside it with Debian's
// swapspace(8) on ext4. What the program held is compared in the end.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { totalmem } from "node:os";

import { readSwaps } from "#src/sys/procswaps";
import { must, run, sh, until } from "../support/mounted-run";
import { withPackages } from "./support/kernels";
import type { Guest } from "./support/guest";
import { roundsVariable, scenario } from "./support/scenario";

const mnt = "/mnt/volume";
const MiB = 2 ** 20;
const waitMs = 240_000;

/** Pieces of 4 MiB, each with a number of its own, in so many seconds, or in four jumps with pauses between them. */
const program = `
import sys, time
pieces, seconds, jumps = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "jumps"
held, start = [], time.time()
for n in range(pieces):
    held.append(bytearray(n.to_bytes(4, "little") * ${MiB}))
    due = start + (4 * n // pieces) * seconds / 4 if jumps else start + n * seconds / pieces
    time.sleep(max(0, due - time.time()))
bad = sum(1 for n, one in enumerate(held) if one[:4] != n.to_bytes(4, "little") or one.count(one[:4]) < ${MiB})
print("%.1f" % (time.time() - start))
sys.exit(bad)`;

const ways = [["ten seconds", 10, "steadily"], ["jumps, 5 s apart", 20, "jumps"], ["a minute", 60, "steadily"]] as const;

function areas(): string {
  const on = readSwaps();
  const sum = (of: (area: (typeof on)[number]) => number): number => Math.round(on.reduce((all, area) => all + of(area), 0) / MiB);
  return `${on.length} areas, ${sum(({ byteLength }) => byteLength)} MiB, used ${sum(({ usedBytes }) => usedBytes)}`;
}

/** Whether it went through. */
async function grow(guest: Guest, what: string, [name, seconds, how]: (typeof ways)[number]): Promise<boolean> {
  const pieces = Math.round((totalmem() * 4) / (4 * MiB));
  const { status, stdout, stderr } = await run("python3", ["-c", program, String(pieces), String(seconds), how], { timeoutMs: 1e9 });
  guest.note(`${what}, ${pieces * 4} MiB in ${name}: ${status === 0 ? `all compared after ${stdout.trim()} s` : `status ${status} ${stderr.slice(-200)}`}; then ${areas()}`);
  return status === 0;
}

const rounds = Number(process.env[roundsVariable] ?? 1);
let auto: ChildProcess;

async function withSwapfs(guest: Guest): Promise<void> {
  const log = openSync("/run/auto.log", "w");
  auto = spawn(process.execPath, ["dist/cli/main.js", "auto", mnt, "--calm", "20"], { stdio: ["ignore", log, log] });
  const count = (words: string): number => readFileSync("/run/auto.log", "utf8").split(words).length - 1;
  try {
    await until("a second file lies ready", () => count("lies ready") === 2, waitMs);
    for (const way of ways) {
      assert(await grow(guest, "swapfs auto", way), readFileSync("/run/auto.log", "utf8"));
      await until("areas are gone again, and one lies ready", () => readSwaps().length <= 2 && count("lies ready") > count("is swapped on"), waitMs).catch(() => guest.note(`after four minutes: ${areas()}`));
    }
  } finally {
    auto.kill("SIGTERM");
    await once(auto, "exit");
  }
  await must("swapoff", readSwaps().map(({ path }) => path), { timeoutMs: waitMs });
}

async function withSwapspace(guest: Guest): Promise<void> {
  const daemon = spawn("swapspace", ["--swappath=/mnt/host/swap"], { stdio: "inherit" });
  try {
    for (const way of ways) await grow(guest, "swapspace", way);
  } finally {
    daemon.kill("SIGTERM");
    await once(daemon, "exit");
  }
  const left = readSwaps().map(({ path }) => path);
  if (left.length > 0) await must("swapoff", left, { timeoutMs: waitMs });
  await sh("rm -f /mnt/host/swap/*");
}

scenario("auto", {
  kernels: ["6.1", "6.12"],
  memoryMiB: 192,
  disks: [1280 * MiB, 1280 * MiB],
  stepMinutes: 15,
  expected: /Out of memory/, // of swapspace; ours fails the step
  prepare: `mkdir /mnt/volume /mnt/host; ${withPackages}`,
  steps: {
    "a volume, and a filesystem for swapspace": async () => {
      await must(process.execPath, ["dist/cli/main.js", "mount", "/dev/vda", mnt, "--format"], { timeoutMs: 1e9 });
      await sh("mkfs.ext4 -qF /dev/vdb && mount /dev/vdb /mnt/host && mkdir -m 700 /mnt/host/swap");
    },
    ...Object.fromEntries(Array.from({ length: rounds }, (_, at) => [
      [`round ${at + 1}: swapfs auto, no OOM kill`, withSwapfs], [`round ${at + 1}: swapspace, counted`, withSwapspace],
    ] as const).flat()),
    "umount leaves nothing": async (guest) => {
      await must(process.execPath, ["dist/cli/main.js", "umount", "--swapoff", mnt], { timeoutMs: 1e9 });
      await must("umount", ["/mnt/host"]);
      await guest.nothingIsLeft();
    },
  },
});
