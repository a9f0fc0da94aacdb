// A network block device whose server is killed and started again: what doctor says of it, and that docs/nbd-keep.py keeps it.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

import { must, run, sh, sleep, until } from "../support/mounted-run";
import { withPackages } from "./support/kernels";
import { scenario } from "./support/scenario";

const nbd = "/dev/nbd0";
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

const write = (seek: number) => run("dd", ["if=/run/random", `of=${nbd}`, "bs=1M", `seek=${seek}`, "oflag=direct", "conv=fsync", "status=none"], { timeoutMs: 120_000 });

scenario("network", {
  kernels: ["6.12"],
  bootMinutes: 10,
  prepare: `${withPackages}
    ip link set lo up && modprobe nbd nbds_max=2 && truncate -s 64M /run/export && head -c 1M /dev/urandom >/run/random
    printf '[generic]\\nuser = root\\ngroup = root\\n[volume]\\nexportname = /run/export\\n' >/run/nbd.conf`,
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
      const keep = spawn("python3", ["docs/nbd-keep.py", "127.0.0.1", "10809", "volume", nbd], { stdio: ["ignore", "inherit", "inherit"] });
      await until("it is connected", () => Number(readFileSync("/sys/block/nbd0/size", "utf8")) > 0, 60_000);
      assert.doesNotMatch((await guest.swapfs("doctor")).stdout, /^warn +nbd /m);
      for (const seek of [2, 3]) {
        await killServer();
        const late = write(seek);
        await sleep(2000);
        await startServer();
        assert.equal((await late).status, 0);
        await sh(`dd if=${nbd} bs=1M skip=${seek} count=1 iflag=direct status=none | cmp - /run/random`);
      }
      keep.kill("SIGTERM");
      await once(keep, "exit");
      await until("it is disconnected", () => Number(readFileSync("/sys/block/nbd0/size", "utf8")) === 0, 60_000);
    },
  },
});
