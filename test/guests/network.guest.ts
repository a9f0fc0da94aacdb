// A network block device whose server is killed and started again: what doctor says of it, that docs/nbd-keep.py keeps it, and
// that a volume on it loses nothing, with memory in swap on it.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

import { must, run, sh, sleep, swapfs, until } from "../support/mounted-run";
import { withPackages } from "./support/kernels";
import { scenario } from "./support/scenario";

const nbd = "/dev/nbd0";
const mnt = "/mnt/volume";
let server: ChildProcess | undefined;

async function startServer(): Promise<void> {
  server = spawn("nbd-server", ["-d", "-C", "/run/nbd.conf"], { stdio: "ignore", detached: true });
  const listens = (table: string): boolean => readFileSync(table, "utf8").includes(":2A39 ");
  await until("nbd-server listens", () => listens("/proc/net/tcp") || listens("/proc/net/tcp6"), 60_000);
}

async function killServer(): Promise<void> {
  const ended = once(server!, "exit");
  process.kill(-server!.pid!, "SIGKILL"); // and its children, one for each connection
  await ended;
}

/** Connected and kept until the returned function disconnects it. */
async function kept(): Promise<() => Promise<void>> {
  const keep = spawn("python3", ["docs/nbd-keep.py", "127.0.0.1", "10809", "volume", nbd], { stdio: ["ignore", "inherit", "inherit"] });
  const bytes = (): number => Number(readFileSync("/sys/block/nbd0/size", "utf8"));
  await until("it is connected", () => bytes() > 0, 60_000);
  return async () => {
    keep.kill("SIGTERM");
    await once(keep, "exit");
    await until("it is disconnected", () => bytes() === 0, 60_000);
  };
}

const pagesOut = (): number => Number(/^pswpout (\d+)$/m.exec(readFileSync("/proc/vmstat", "utf8"))![1]);

const write = (seek: number) => run("dd", ["if=/run/random", `of=${nbd}`, "bs=1M", `seek=${seek}`, "oflag=direct", "conv=fsync", "status=none"], { timeoutMs: 120_000 });

scenario("network", {
  kernels: ["6.12"],
  bootMinutes: 10,
  stepMinutes: 15,
  disks: [256 * 2 ** 20],
  prepare: `${withPackages}
    ip link set lo up && modprobe nbd nbds_max=2 && mkdir ${mnt} && head -c 1M /dev/urandom >/run/random
    printf '[generic]\\nuser = root\\ngroup = root\\n[volume]\\nexportname = /dev/vda\\n' >/run/nbd.conf`,
  expected: /nbd0|I\/O error/,
  steps: {
    "nbd-client as it is: doctor warns, and when the server dies writes fail at once": async (guest) => {
      await startServer();
      await must("nbd-client", ["-N", "volume", "-b", "4096", "127.0.0.1", nbd]);
      assert.match((await guest.swapfs("doctor")).stdout, /^warn +nbd +\/dev\/nbd0 is connected by /m);
      assert.equal((await write(0)).status, 0);
      await killServer();
      assert.match((await write(1)).stderr, /Input\/output error/);
      await must("nbd-client", ["-d", nbd]);
    },
    "docs/nbd-keep.py: no warning, and writes wait for the server to come back, twice": async (guest) => {
      await startServer();
      const disconnect = await kept();
      assert.doesNotMatch((await guest.swapfs("doctor")).stdout, /^warn +nbd /m);
      for (const seek of [2, 3]) {
        await killServer();
        const late = write(seek);
        await sleep(2000);
        await startServer();
        assert.equal((await late).status, 0);
        await sh(`dd if=${nbd} bs=1M skip=${seek} count=1 iflag=direct status=none | cmp - /run/random`);
      }
      await disconnect();
      await until("the server has ended with its client (-d)", () => server!.exitCode !== null || server!.signalCode !== null);
    },
    "a volume on it, with memory in swap: the server is killed and started again, twice, and nothing is lost": async (guest) => {
      await startServer();
      const disconnect = await kept();
      await guest.must("mount", nbd, mnt, "--format");
      await guest.must("create", `${mnt}/swapfile`, "--size", "160M", "--on", "--priority", "10");
      const pressure = swapfs(["pressure", "--size", "128M", "--resident", "32M", "--seconds", "60", "--json"], { timeoutMs: 800_000 });
      for (const name of ["a", "b"]) {
        const before = pagesOut();
        await until("memory is written out", () => pagesOut() > before + 1000, 120_000);
        await killServer();
        const late = run("dd", ["if=/run/random", `of=${mnt}/${name}`, "bs=64k", "conv=fsync", "status=none"]);
        await sleep(2000);
        await startServer();
        assert.equal((await late).status, 0);
        await sh(`dd if=${mnt}/${name} bs=64k iflag=direct status=none | cmp - /run/random`);
      }
      const { status, stdout, stderr } = await pressure;
      assert.equal(status, 0, stderr);
      const result = JSON.parse(stdout) as { badPages: number; pagesOut: number; pagesIn: number };
      assert.equal(result.badPages, 0);
      guest.note(`${result.pagesOut} pages out, ${result.pagesIn} in`);
      await guest.must("umount", "--swapoff", mnt);
      await guest.must("fsck", nbd);
      await disconnect();
      await guest.nothingIsLeft();
    },
  },
});
