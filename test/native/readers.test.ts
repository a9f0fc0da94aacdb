// Which readers read, and what they do when there is nothing to read.

import { constants, promises as fs } from "node:fs";

import { verifyingFio } from "../support/fio";
import { Cleanup, withCleanup } from "../support/mounted-cleanup";
import { must, run, sleep, until } from "../support/mounted-run";
import { FakeMount, pageSize, sanitized } from "./fake";
import { faultyMount } from "./faulty";

const cleanup = new Cleanup();
let mount: FakeMount;

/** With f0 of 8 MiB on the swap_rw path. `waits`: whether readers take the device for one that makes them wait. */
async function mountWithFile(waits: boolean): Promise<FakeMount> {
  const made = await FakeMount.mounted(cleanup, { keeperArgs: ["--device-waits", waits ? "1" : "0"] });
  await must("fallocate", ["--length", String(8 << 20), made.at(0)]);
  await must("dd", ["if=/dev/urandom", `of=${made.at(0)}`, "bs=1M", "count=8", "oflag=direct", "conv=notrunc", "status=none"]);
  await made.tell("swap_rw:0");
  return made;
}

beforeAll(async () => {
  mount = await mountWithFile(false);
});
afterAll(() => cleanup.run());

/** Reads pages one after the other, in a process of its own: timers of this one would come between. */
async function readPages(count: number): Promise<void> {
  await must("nice", ["-n", "-20", "dd", `if=${mount.at(0)}`, "of=/dev/null", `bs=${pageSize}`, `count=${count}`, "iflag=direct", "status=none"]);
}

/** Clock ticks that the data plane has run for. */
async function dataPlaneTicks(): Promise<number> {
  const stat = await fs.readFile(`/proc/${await mount.pidOf("data")}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** How soon readers look again, and how long they keep CPUs awake. */
function timedTests(): void {
  test("readers look before they sleep while requests come, and not once when none does", async () => {
    for (let times = 0; times < 20; times += 1) await readPages(500);
    const busy = await mount.counters();
    expect(busy["polls"]).toBeGreaterThan(0);
    expect(busy["poll_hits"]).toBeLessThanOrEqual(busy["polls"]!);
    await sleep(300); // the watch over readers that may be stuck ends 100 ms after the last request
    const [before, ticks] = [await mount.counters(), await dataPlaneTicks()];
    await sleep(1_000);
    expect((await mount.counters())["polls"]).toBe(before["polls"]);
    expect(await dataPlaneTicks() - ticks).toBeLessThanOrEqual(2);
  });

  test("idle CPUs are kept from halting while single requests stream in, and not a moment longer", async () => {
    const before = await mount.counters();
    // What runs beside this test must not come between two requests.
    const threads = await fs.readdir(`/proc/${await mount.pidOf("data")}/task`);
    await must("renice", ["-n", "-20", "-p", ...threads]);
    await until("a stream of requests was taken for one, by readers that have a CPU often enough", async () => {
      await readPages(5_000);
      return (await mount.counters())["awake_began"]! > before["awake_began"]!;
    }, 120_000);
    await until("idle CPUs may halt again", async () => {
      const { awake_began, awake_ended } = await mount.counters();
      return awake_ended === awake_began;
    });
    const ended = await mount.counters();
    for (let times = 0; times < 100; times += 1) { // more than a row, but far apart
      await readPages(1);
      await sleep(1);
    }
    expect((await mount.counters())["awake_began"]).toBe(ended["awake_began"]);
  });

  test("requests that come far apart are looked for ever more seldom", async () => {
    const handle = await fs.open(mount.at(0), constants.O_RDONLY | constants.O_DIRECT);
    const before = (await mount.counters())["polls"]!;
    for (let times = 0; times < 200; times += 1) {
      await handle.read(Buffer.alloc(pageSize), 0, pageSize, 0);
      await sleep(1);
    }
    await handle.close();
    // 1 + 2 + 4 + … sleeps lie between two looks in vain.
    expect((await mount.counters())["polls"]! - before).toBeLessThan(40);
  });
}

if (!sanitized) describe("when nothing is to be read", timedTests);

/** fio with verification: every block that is read carries the sum that was written with it. */
async function fio(on: FakeMount, mode: string, depth: number, blockSize = pageSize): Promise<void> {
  await must("fio", [
    "--name=x", `--filename=${on.at(0)}`, `--rw=${mode}`, `--bs=${blockSize}`, `--iodepth=${depth}`, "--ioengine=libaio", "--direct=1",
    "--size=8M", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--minimal",
  ], { timeoutMs: 60_000 });
}

test("many at once are all answered while readers come and go, and none stays in flight", async () => {
  await fio(mount, "randwrite", 32);
  const before = await mount.counted();
  await fio(mount, "randwrite", 32, 8 * pageSize);
  const after = await mount.counted();
  expect(after.totals.in_flight_max).toBeLessThanOrEqual(4); // a request is one thread's
  expect(after.totals.swap_rw_pages_out - before.totals.swap_rw_pages_out).toBe(2048);
  expect(after.totals).toMatchObject({ in_flight: 0, errors: 0, allocations: 0, merged: 0 });
});

test("a device that makes its callers wait: neighbours share a transfer, and what is in flight is bounded", async () => {
  const waiting = await mountWithFile(true);
  await fio(waiting, "randwrite", 32);
  const { totals: random } = await waiting.counted();
  expect(random.in_flight_max).toBeGreaterThan(4);
  expect(random.in_flight_max).toBeLessThanOrEqual(64 + 4);
  for (let times = 0; times < 5; times += 1) await fio(waiting, "write", 32);
  const { totals } = await waiting.counted();
  const grown = (name: keyof typeof totals): number => totals[name] - random[name];
  expect(grown("merged")).toBeGreaterThan(0);
  const pages = grown("swap_rw_pages_in") + grown("swap_rw_pages_out");
  expect(pages).toBe(5 * 2 * 2048);
  expect(grown("transfers")).toBe(pages - grown("merged"));
  expect(totals).toMatchObject({ in_flight: 0, errors: 0, allocations: 0 });
});

test("a page that cannot be read or written fails the request that it belongs to, not those that share its transfer", () =>
  withCleanup(async (own) => {
    const { mount: waiting, faults } = await faultyMount(own, ["--device-waits", "1"]);
    await must("dd", ["if=/dev/urandom", `of=${waiting.at(0)}`, "bs=1M", "count=8", "oflag=direct", "status=none"]);
    await waiting.tell("swap_rw:0");
    await faults.set({ kind: "fail", transfers: "read" });
    expect((await run("dd", [`if=${waiting.at(0)}`, "of=/dev/null", "bs=4k", "skip=100", "count=1", "iflag=direct"])).status).not.toBe(0);
    const bad = Number(/cannot read 4096 bytes at device page (\d+)/.exec(await waiting.log())![1]);
    await faults.set({ kind: "fail", transfers: "any", pages: [bad, bad + 1], count: 1e9 });
    const { merged } = (await waiting.counted()).totals;
    for (const way of ["read", "write"]) {
      const { stdout } = await run("fio", [
        "--name=x", `--filename=${waiting.at(0)}`, `--rw=${way}`, "--bs=4k", "--iodepth=32", "--ioengine=libaio", "--direct=1", "--size=8M",
        "--loops=10", "--continue_on_error=all", "--output-format=json",
      ]);
      expect([way, JSON.parse(stdout.slice(stdout.indexOf("{"))).jobs[0].total_err]).toEqual([way, 10]);
    }
    expect((await waiting.counted()).totals.merged).toBeGreaterThan(merged);
  }));

test("a plane that dies with many requests in flight: each is answered, once, by the next", async () => {
  const waiting = await mountWithFile(true);
  const job = verifyingFio(waiting.dir, `--filename=${waiting.at(0)}`, "--size=8M", "--bs=4k", "--rw=randwrite", "--iodepth=32", "--ioengine=libaio", "--direct=1");
  for (const plane of ["data", "control", "data"] as const) {
    await waiting.transferred(200);
    await waiting.kill(plane);
  }
  job.stop();
  expect(await job.done).toMatchObject({ status: 0 });
  await fio(waiting, "randrw", 32);
  expect(await waiting.counters()).toMatchObject({ in_flight: 0, errors: 0 });
});
