// O_DSYNC, O_SYNC and RWF_DSYNC through FOPEN_DIRECT_IO, where the kernel leaves them to the server: each write is on the
// device when it is answered. Counted by the flushes of the loop device below.

import { flushesOf } from "../support/mounted-devices";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { must } from "../support/mounted-run";
import { FakeMount } from "./fake";

async function activated(cleanup: Cleanup, waits: string): Promise<FakeMount> {
  const mount = await FakeMount.mounted(cleanup, { keeperArgs: ["--device-waits", waits] });
  await must("fallocate", ["--length", "1M", mount.at(0)]);
  await must("dd", ["if=/dev/zero", `of=${mount.at(0)}`, "bs=1M", "count=1", "conv=notrunc"]);
  await mount.tell("swap_rw:0");
  return mount;
}

async function flushesDuring(mount: FakeMount, work: () => Promise<unknown>): Promise<number> {
  const before = await flushesOf(mount.device);
  await work();
  return (await flushesOf(mount.device)) - before;
}

const dd = (mount: FakeMount, ...options: string[]): Promise<string> =>
  must("dd", ["if=/dev/zero", `of=${mount.at(0)}`, "bs=64k", "count=5", "conv=notrunc", ...options]);

test.each(["O_DSYNC", "O_SYNC", "RWF_DSYNC"])("five writes with %s are five flushes, five without are none", (how) =>
  withCleanup(async (cleanup) => {
    const mount = await activated(cleanup, "0");
    expect(await flushesDuring(mount, () => dd(mount, "oflag=direct"))).toBe(0);
    const five = (): Promise<unknown> => {
      if (how !== "RWF_DSYNC") return dd(mount, how === "O_SYNC" ? "oflag=sync" : "oflag=dsync");
      return must("xfs_io", ["-c", "pwrite -V 1 -D -b 64k 0 320k", mount.at(0)]);
    };
    expect(await flushesDuring(mount, five)).toBeGreaterThanOrEqual(5);
    expect(await mount.counters()).toMatchObject({ errors: 0, allocations: 0 });
  }));

test("in the ring as well, also where neighbours share a transfer; and a write beside them without the flag flushes nothing", () =>
  withCleanup(async (cleanup) => {
    const mount = await activated(cleanup, "1");
    const fio = (...options: string[]): Promise<string> => must("fio", [
      "--name=job", `--filename=${mount.at(0)}`, "--size=1M", "--rw=write", "--bs=4k", "--ioengine=libaio", "--iodepth=16", "--direct=1",
      "--fallocate=none", ...options,
    ], { cwd: mount.dir });
    expect(await flushesDuring(mount, () => fio())).toBe(0);
    const before = (await mount.counters())["transfers"]!;
    const flushes = await flushesDuring(mount, () => fio("--sync=dsync"));
    // Those under way at one time may share a flush (blk-flush.c): at most 16.
    expect(flushes).toBeGreaterThanOrEqual(Math.floor(((await mount.counters())["transfers"]! - before) / 16));
    expect(flushes).toBeGreaterThan(0);
    expect(await mount.counters()).toMatchObject({ errors: 0, allocations: 0 });
  }));
