// A whole small machine runs out of memory, without a cgroup: half as much again as there is memory is touched and verified.

import assert from "node:assert/strict";
import { readFile, rm } from "node:fs/promises";
import { totalmem } from "node:os";
import path from "node:path";

import { pidOf, type Role } from "../support/mounted";
import { must, projectDir, run, sh } from "../support/mounted-run";
import type { Guest } from "./support/guest";
import { roundsVariable, scenario, type Scenario } from "./support/scenario";

const mnt = "/mnt/volume";
const MiB = 2 ** 20;
const roles: readonly Role[] = ["keeper", "data plane", "control plane"];

function pids(): Promise<(number | undefined)[]> {
  return Promise.all(roles.map((role) => pidOf(mnt, role)));
}

interface Result {
  readonly badPages: number;
  readonly fillSeconds: number;
  readonly verifySeconds: number;
}

async function exhaust(): Promise<Result> {
  const bytes = Math.round((totalmem() * 1.5) / MiB) * MiB;
  const { status, stdout, stderr } = await run(
    path.join(projectDir, "native/build/swapfs-pressure"), ["--bytes", String(bytes), "--touches", "5000"], { timeoutMs: 1e9 });
  assert.equal(status, 0, `status ${status}: ${stdout}${stderr.slice(-500)}`);
  return JSON.parse(stdout) as Result;
}

/** In processes of their own, which give their memory back: this one stays as small as it can be. */
async function swapfs(...args: string[]): Promise<void> {
  await must(process.execPath, ["dist/cli/main.js", ...args], { timeoutMs: 1e9 });
}

async function mounted(source: string, more: readonly string[] = [], how: readonly string[] = []): Promise<void> {
  await swapfs("mount", source, mnt, ...more);
  await swapfs("create", `${mnt}/swapfile`, "--size", "400M", "--on", ...how, "--priority", "10");
}

const machine = { memoryMiB: 192, disks: [512 * MiB], prepare: "mkdir /mnt/volume /mnt/host", kernels: ["6.1", "6.12"] } as const;

async function round(guest: Guest): Promise<void> {
  const { badPages, fillSeconds, verifySeconds } = await exhaust();
  assert.equal(badPages, 0);
  guest.note(`${Math.round(totalmem() / MiB)} MiB of memory, filled in ${fillSeconds.toFixed(1)} s, verified in ${verifySeconds.toFixed(1)} s`);
}

const most = Number(process.env[roundsVariable] ?? 10);

/** Each round in the machine that the one before has left. */
function rounds(count: number, how: readonly string[], end: Scenario["steps"]): Scenario["steps"] {
  let before: (number | undefined)[] = [];
  const steps: Record<string, (guest: Guest) => Promise<void>> = {
    "a swapfile on the disk": async () => {
      await mounted("/dev/vda", ["--format"], how);
      before = await pids();
      assert(before.every((pid) => pid !== undefined));
    },
  };
  for (let number = 1; number <= count; number += 1) {
    steps[`round ${number}`] = async (guest) => {
      await round(guest);
      assert.deepEqual(await pids(), before, "a process of the mount was killed");
    };
  }
  return { ...steps, ...end };
}

async function nothingIsLeft(guest: Guest): Promise<void> {
  await swapfs("fsck", "/dev/vda");
  await guest.nothingIsLeft();
}

scenario("exhaustion", {
  ...machine,
  steps: rounds(most, [], {
    "swapoff, umount, fsck": async (guest) => {
      await swapfs("umount", "--swapoff", mnt);
      await nothingIsLeft(guest);
    },
  }),
});

scenario("exhaustion by block view", {
  ...machine,
  steps: rounds(Math.ceil(most / 2), ["--block"], {
    "a round with all processes of the mount killed, and memory of its end swapped out; swapoff(8), a new mount, fsck": async (guest) => {
      for (const pid of await pids()) process.kill(pid!, "SIGKILL"); // the keeper first: it would start the others again
      await round(guest);
      const [, area] = (await readFile("/proc/swaps", "utf8")).trim().split("\n").map((line) => line.split(/\s+/));
      assert.match(area![0]!, /^\/dev\/loop\d+$/);
      guest.note(`${area![3]} KiB of it are in use at swapoff`);
      await must("swapoff", [area![0]!], { timeoutMs: 1e9 });
      await swapfs("umount", mnt);
      await swapfs("mount", "/dev/vda", mnt);
      await rm(`${mnt}/swapfile`); // which is leased to nobody
      await swapfs("umount", mnt);
      await nothingIsLeft(guest);
    },
  }),
});

// As with every loop device over a file, writing memory out needs memory (README, honest limits).
scenario("exhaustion with an image on ext4", {
  ...machine,
  stepMinutes: 4,
  counted: 3,
  steps: {
    "a swapfile on an image": async () => {
      await sh("mkfs.ext4 -qF /dev/vda && mount /dev/vda /mnt/host");
      await mounted("/mnt/host/volume.img", ["--size", "450M"]);
    },
    "one round": async () => assert.equal((await exhaust()).badPages, 0),
  },
});
