// SIGKILL of the data plane and of the control plane, one at a time, under load: a pause and nothing else.

import { promises as fs } from "node:fs";

import { verifyingFio } from "../support/fio";
import { ended, isRunning, killAndAwait, mountSwapfs, pidOf, statusOf, umount, type Role } from "../support/mounted";
import { imageUnderTest } from "../support/mounted-image";
import { pressure } from "../support/mounted-pressure";
import { must, run, sh, sleep, swapfs, until } from "../support/mounted-run";
import { rememberRunDir } from "../support/rundirs";
import { takesTurns } from "../support/turns";
import { randomHistory } from "./cases/random";
import { churn, operationsMin } from "./churn";

const volume = imageUnderTest("512M");
const { cleanup, at } = volume;

/**
 * Kills the role's process `times` times while `work` runs, then calls `stop`: until that it goes on. What has an end of its own
 * (no `stop`) may be over before, on a slow machine, but not before the first.
 */
async function killingDuring<T>(role: Role, times: number, work: Promise<T>, stop?: () => void): Promise<T> {
  let over = false;
  const watched = work.finally(() => (over = true));
  watched.catch(() => undefined);
  let kills = 0;
  for (; kills < times && !over; kills += 1) {
    await sleep(300);
    await killAndAwait(volume.mountpoint, role);
  }
  await sleep(300);
  if (stop === undefined) expect(kills).toBeGreaterThan(0);
  else if (!over) stop();
  else throw new Error(`it is over before it was told to stop: ${JSON.stringify(await watched)}`);
  return watched;
}

const roles: readonly Role[] = ["data plane", "control plane"];

describe.each(roles)("SIGKILL of the %s", (role) => {
  test.each([
    ["direct, deep queue", ["--direct=1", "--ioengine=libaio", "--iodepth=16"]],
    ["buffered", ["--direct=0", "--ioengine=psync"]],
    ["mapped", ["--direct=0", "--ioengine=mmap"]],
  ])("under fio randrw with verification: %s", async (_name, options) => {
    const fio = verifyingFio(volume.dir, `--directory=${volume.mountpoint}`, `--filename=fio-${role[0]}`, "--verify_backlog=128",
      "--size=24M", "--bsrange=4k-64k", "--output-format=normal", ...options);
    const done = await killingDuring(role, 3, fio.done, fio.stop);
    expect(done).toMatchObject({ status: 0 });
    expect(done.stdout + done.stderr).not.toMatch(/verify:|error=|err=\s*[1-9]/);
  });

  test("under a metadata load: every acknowledged operation has happened, and none twice", async () => {
    const folder = at(`churn-${role[0]}`);
    await fs.mkdir(folder);
    const stop = { now: false };
    const model = await killingDuring(role, 4, churn(folder, stop, 120), () => (stop.now = true));
    expect(await model.compare()).toEqual([]);
    expect(model.operations).toBeGreaterThanOrEqual(operationsMin);
  });

  test("random histories of writes, truncations and holes on three files at once agree with buffers", async () => {
    let over = false;
    const histories = Promise.all([2, 4, 6].map((seed) => randomHistory(at(`random-${seed}`), seed, 100_000, () => over)));
    expect(await killingDuring(role, 4, histories, () => (over = true))).toEqual(["equal", "equal", "equal"]);
  });

  describe("under memory pressure", () => {
    takesTurns("swap");

    test("an unlinked open file and a pinned one live on", async () => {
      const handle = await fs.open(at("unlinked"), "w+");
      try {
        await handle.write("written before");
        await fs.unlink(at("unlinked"));
        await sh(`fallocate -l 64M "$F"; chmod 600 "$F"; mkswap "$F"; swapon -p 10 "$F"`, { env: { F: at("swap") } });
        const done = await killingDuring(role, 2, pressure(["--size", "56M", "--resident", "32M", "--seconds", "4"]));
        expect([done.status, done.status === 0 ? JSON.parse(done.stdout).badPages : done.stderr]).toEqual([0, 0]);
        // Whatever is free is given out now: what is pinned or open must not be among it.
        await run("dd", ["if=/dev/zero", `of=${at("fill")}`, "bs=1M", "conv=fsync"]);
        await fs.unlink(at("fill"));
        await handle.write(" and after", 14);
        expect((await handle.read(Buffer.alloc(40), 0, 40, 0)).buffer.toString("latin1", 0, 24)).toBe("written before and after");
        expect((await handle.stat()).nlink).toBe(0);
        await expect(fs.writeFile(at("swap"), "x", { flag: "r+" })).rejects.toMatchObject({ code: "ETXTBSY" });
        await must("swapoff", [at("swap")]);
        await fs.unlink(at("swap"));
      } finally {
        await handle.close();
      }
    });
  });
});

test("both are killed at once: a pause", async () => {
  await fs.writeFile(at("both"), "before");
  for (const role of roles) process.kill((await pidOf(volume.mountpoint, role))!, "SIGKILL");
  await fs.appendFile(at("both"), " after");
  expect(await fs.readFile(at("both"), "utf8")).toBe("before after");
});

test("status counts the starts, and nothing allocated in the data plane", async () => {
  await until("the control plane answers", async () => (await statusOf(volume.mountpoint)).problem === undefined);
  const { processes, counters } = await statusOf(volume.mountpoint);
  expect(processes.keeper).toMatchObject({ running: true, starts: 1 });
  expect(processes.dataPlane.starts).toBeGreaterThan(10);
  expect(processes.controlPlane.starts).toBeGreaterThan(10);
  expect(counters.allocations).toBe(0);
});

test("without keeper and control plane the data plane serves what it has maps of; all else waits until it has gone as well", async () => {
  await sh(`fallocate -l 1M "$F"`, { env: { F: at("mapped") } });
  expect(await swapfs(["activate", at("mapped")])).toMatchObject({ status: 0 });
  const runDir = rememberRunDir(cleanup, (await statusOf(volume.mountpoint)).runDir);
  const handle = await fs.open(at("mapped"), "r+");
  try {
    await handle.read(Buffer.alloc(4096), 0, 4096, 0);
    const pids = await Promise.all((["keeper", "control plane", "data plane"] as const).map(async (role) => (await pidOf(volume.mountpoint, role))!));
    for (const pid of pids.slice(0, 2)) process.kill(pid, "SIGKILL");
    await until("both are gone", () => pids.slice(0, 2).every((pid) => !isRunning(pid)));

    const page = Buffer.alloc(4096, "nobody else is left");
    await handle.write(page, 0, 4096, 8192);
    expect((await handle.read(Buffer.alloc(4096), 0, 4096, 8192)).buffer.equals(page)).toBe(true);
    let over = false;
    const made = run("mkdir", [at("waits")]).finally(() => (over = true));
    await sleep(1000);
    expect(over).toBe(false);
    process.kill(pids[2]!, "SIGKILL");
    expect(await made).toMatchObject({ status: 1, stderr: expect.stringMatching(/not connected|connection abort/) });
  } finally {
    await handle.close().catch(() => undefined);
  }
  await must("umount", ["--lazy", volume.mountpoint]);
  await ended(volume.mountpoint);
  await runDir.remove();
  await mountSwapfs(cleanup, volume.image, volume.mountpoint);
  expect((await fs.readFile(at("mapped"))).toString("latin1", 8192, 8211)).toBe("nobody else is left");
});

test("after all that the volume is sound, and holds what it held", async () => {
  const before = await sh(`cd "$M"; find . -type f | sort | xargs sha256sum`, { env: { M: volume.mountpoint } });
  await umount(volume.mountpoint);
  expect(await swapfs(["fsck", volume.image])).toMatchObject({ status: 0, stderr: "" });
  await mountSwapfs(cleanup, volume.image, volume.mountpoint);
  expect(await sh(`cd "$M"; find . -type f | sort | xargs sha256sum`, { env: { M: volume.mountpoint } })).toBe(before);
});
