// Which readers read, and what they do when there is nothing to read.

import { spawn } from "node:child_process";
import { constants, promises as fs } from "node:fs";

import { Cleanup } from "../support/mounted-cleanup";
import { must, sleep } from "../support/mounted-run";
import { FakeMount, pageSize } from "./fake";

const cleanup = new Cleanup();
let mount: FakeMount;

beforeAll(async () => {
  mount = await FakeMount.mounted(cleanup);
  await must("fallocate", ["--length", String(8 << 20), mount.at(0)]);
  await must("dd", ["if=/dev/zero", `of=${mount.at(0)}`, "bs=1M", "count=8", "oflag=direct", "conv=notrunc", "status=none"]);
  await mount.tell("swap_rw:0");
});
afterAll(() => cleanup.run());

/** Reads pages one after the other, in a process of its own: timers of this one would come between. */
async function readPages(count: number): Promise<void> {
  await must("dd", [`if=${mount.at(0)}`, "of=/dev/null", `bs=${pageSize}`, `count=${count}`, "iflag=direct", "status=none"]);
}

/** Clock ticks that the data plane has run for. */
async function dataPlaneTicks(): Promise<number> {
  const stat = await fs.readFile(`/proc/${await mount.pidOf("data")}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

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

test("many at once are all answered while the planes' readers come and go, and none stays in flight", async () => {
  const reads = Array.from({ length: 8 }, () => new Promise<number | null>((resolve, reject) => {
    const child = spawn("dd", [`if=${mount.at(0)}`, "of=/dev/null", `bs=${4 * pageSize}`, "iflag=direct", "status=none"]);
    child.on("error", reject);
    child.on("exit", resolve);
  }));
  expect(await Promise.all(reads)).toEqual(Array.from({ length: 8 }, () => 0));
  expect(await mount.counters()).toMatchObject({ in_flight: 0, errors: 0, allocations: 0 });
});
