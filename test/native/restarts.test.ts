// SIGKILL of either plane under I/O that is verified, and the pools of the data plane at their limits: a pause, no error.

import { promises as fs } from "node:fs";

import { verifyingFio, type Running } from "../support/fio";
import { hostFilesystem } from "../support/hosts";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { attachLoop, imageFile, scratchDir } from "../support/mounted-devices";
import { must, run, sleep, until } from "../support/mounted-run";
import { FakeMount, type Plane } from "./fake";

const running = (mount: FakeMount, ...options: string[]): Running =>
  verifyingFio(mount.dir, `--filename=${mount.at(0)}`, "--size=32M", "--bsrange=4k-64k", ...options);

const direct = ["--direct=1", "--ioengine=libaio", "--iodepth=32"];
const buffered = ["--direct=0", "--ioengine=psync", "--numjobs=2", "--offset_increment=16M", "--size=16M"];

async function prepared(mount: FakeMount, installed: boolean): Promise<void> {
  await must("fallocate", ["--length", "32M", mount.at(0)]);
  if (!installed) return;
  await must("dd", ["if=/dev/zero", `of=${mount.at(0)}`, "bs=1M", "count=32", "conv=notrunc"]);
  await mount.tell("install:0");
}

test.each<[Plane, string, boolean, string[]]>([
  ["data", "direct through asks", false, direct],
  ["data", "direct through a map", true, direct],
  ["control", "direct through asks", false, direct],
  ["control", "direct through a map", true, direct],
  ["data", "through the page cache", false, buffered],
  ["control", "through the page cache", false, buffered],
])("SIGKILL of the %s plane, %s", (plane, _name, installed, options) =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    await prepared(mount, installed);
    const job = running(mount, ...options);
    for (let kill = 0; kill < 4; kill += 1) {
      await mount.transferred(150);
      await mount.kill(plane);
    }
    job.stop();
    expect(await job.done).toMatchObject({ status: 0 });
    const counters = await mount.counters();
    expect(counters).toMatchObject({ errors: 0, allocations: 0 });
    expect(counters["resends"]).toBeGreaterThanOrEqual(4);
    expect(await mount.log()).toMatch(new RegExp(`the ${plane} plane \\(pid \\d+\\) died of signal 9, starting another`));
  }));

test("both planes die at the same moment, again and again", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    await prepared(mount, false);
    const job = running(mount, ...direct);
    for (let kill = 0; kill < 3; kill += 1) {
      await mount.transferred(150);
      await Promise.all([mount.kill("data"), mount.kill("control")]);
    }
    job.stop();
    expect(await job.done).toMatchObject({ status: 0 });
  }));

/** On a host that can be frozen: writes to the device then wait, and are carried out at the thaw. */
async function onHost(cleanup: Cleanup): Promise<{ mount: FakeMount; freeze: () => Promise<unknown>; thaw: () => Promise<unknown> }> {
  const host = await hostFilesystem(cleanup, await scratchDir(cleanup), "ext4");
  const device = await attachLoop(cleanup, await imageFile(host, "below", 256 << 20));
  const mount = await FakeMount.mounted(cleanup, { device });
  await prepared(mount, true);
  cleanup.add("the frozen host", () => run("fsfreeze", ["--unfreeze", host]));
  return {
    mount,
    freeze: () => must("fsfreeze", ["--freeze", host]),
    thaw: () => must("fsfreeze", ["--unfreeze", host]),
  };
}

/** How many threads of a process wait for a device themselves. */
async function threadsInDevice(pid: number): Promise<number> {
  const threads = await fs.readdir(`/proc/${pid}/task`);
  const stats = await Promise.all(threads.map((thread) => fs.readFile(`/proc/${pid}/task/${thread}/stat`, "utf8")));
  return stats.filter((stat) => stat.includes(") D ")).length;
}

test("SIGKILL of the data plane while io_uring has its transfers in the device: there is no other one before they are over", () =>
  withCleanup(async (cleanup) => {
    const { mount, freeze, thaw } = await onHost(cleanup);
    const job = running(mount, ...direct, "--rw=randwrite", "--bsrange=4k-4k", "--do_verify=0"); // a frozen host can be read
    await until("all that waits was handed to io_uring", async () => {
      await sleep(200);
      await freeze();
      await sleep(200);
      if ((await mount.counters())["in_flight"]! > 1 && await threadsInDevice(await mount.pidOf("data")) === 0) return true;
      await thaw(); // a request that was alone when it came has its thread in the device, and the process would stay as well
      return false;
    }, 120_000);
    process.kill(await mount.pidOf("data"), "SIGKILL");
    await until("it is gone", async () => (await mount.log()).includes("died of signal 9"));
    await until("the log says who waits", async () => /\d+ transfers of the data plane that died are still under way in/.test(await mount.log()));
    expect(await mount.pidOf("data")).toBe(0);
    await thaw();
    await until("another one is up", async () => (await mount.pidOf("data")) !== 0);
    job.stop();
    expect(await job.done).toMatchObject({ status: 0 });
    expect(await mount.counters()).toMatchObject({ errors: 0 });
  }));

test("SIGKILL of the data plane while a thread of it waits for the device: it is not over before its transfer is", () =>
  withCleanup(async (cleanup) => {
    const { mount, freeze, thaw } = await onHost(cleanup);
    await freeze();
    const pid = await mount.pidOf("data");
    const write = run("dd", ["if=/dev/zero", `of=${mount.at(0)}`, "bs=4096", "count=1", "conv=notrunc", "oflag=direct"]);
    await until("the thread waits", async () => (await threadsInDevice(pid)) === 1);
    process.kill(pid, "SIGKILL");
    await sleep(1000);
    expect(await mount.pidOf("data")).toBe(pid);
    expect(await mount.log()).not.toContain("died of signal 9");
    await thaw();
    await until("another one is up", async () => ![0, pid].includes(await mount.pidOf("data")));
    expect(await write).toMatchObject({ status: 0 });
    expect(await mount.counters()).toMatchObject({ errors: 0 });
  }));

test("requests that find no room are deferred and come again", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    await prepared(mount, false);
    const job = running(mount, "--direct=1", "--ioengine=libaio", "--iodepth=300", "--numjobs=1");
    await mount.transferred(50);
    await mount.tell("stall:700");
    await mount.transferred(50);
    job.stop();
    expect(await job.done).toMatchObject({ status: 0 });
    const counters = await mount.counters();
    expect(counters["deferred"]).toBeGreaterThan(0);
    expect(counters["resends"]).toBeGreaterThan(0);
    expect(counters).toMatchObject({ errors: 0, allocations: 0 });
  }));

// Before 6.9 the kernel sends nothing again: a request that was dropped would hang for good.
test("a kernel without FUSE_NOTIFY_RESEND: nothing is dropped, also before anybody has died", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup, { keeperArgs: ["--resend", "0"] });
    await prepared(mount, false);
    const job = running(mount, "--direct=1", "--ioengine=libaio", "--iodepth=300", "--numjobs=1");
    await mount.transferred(50);
    await mount.tell("stall:700");
    await mount.transferred(50);
    job.stop();
    expect(await job.done).toMatchObject({ status: 0 });
    expect(await mount.counters()).toMatchObject({ deferred: 0, resent: 0, resends: 0, errors: 0, allocations: 0 });
    expect(await mount.log()).toContain("no FUSE_NOTIFY_RESEND");
  }));

test("asks that nobody answers for a while keep the others out, not the metadata", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    await prepared(mount, false);
    await mount.tell("hold");
    const job = running(mount, "--direct=1", "--ioengine=libaio", "--iodepth=300");
    await until("asks are held", async () => (await mount.counters())["parked"]! > 50);
    await mount.tell("go"); // a directory is made: it would wait for good if asks kept it out
    job.stop();
    expect(await job.done).toMatchObject({ status: 0 });
    expect((await mount.counters())["errors"]).toBe(0);
  }));

// An activated file's map is looked up without a lock: it must not go, nor move to another place, while it is read.
test.each(["install", "swap_rw"])("maps are revoked, truncated and installed under load: %s", (install) =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    await prepared(mount, true);
    await must("truncate", ["--size", "8M", mount.at(1)]);
    await mount.tell("install:1");
    const job = running(mount, ...direct);
    const end = Date.now() + 2000;
    const bytes = Buffer.alloc(100_000, 3);
    for (let round = 0; Date.now() < end; round += 1) {
      await mount.tell("revoke:0");
      await mount.tell(`${install}:0`);
      await mount.tell(`${install}:0`); // a successor, while requests use it
      await fs.truncate(mount.at(1), 8_000_000 - (round % 7) * 4096);
      const handle = await fs.open(mount.at(1), "r+");
      await handle.write(bytes, 0, bytes.length, 7_800_000 + round);
      expect((await handle.read(Buffer.alloc(bytes.length), 0, bytes.length, 7_800_000 + round)).buffer.equals(bytes)).toBe(true);
      await handle.close();
    }
    job.stop();
    expect(await job.done).toMatchObject({ status: 0 });
    expect(await mount.counters()).toMatchObject({ errors: 0, allocations: 0 });
  }));
