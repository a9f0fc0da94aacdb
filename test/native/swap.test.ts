// swapon and swapoff of a file of the fake mount: BMAP, its burst, and what the death of a plane means for both.

import { promises as fs } from "node:fs";

import { withCleanup } from "../support/mounted-cleanup";
import { must, run, sleep } from "../support/mounted-run";
import { FakeMount, pageSize } from "./fake";

const mebibyte = 1 << 20;

async function swapfile(mount: FakeMount, file: number, bytes: number): Promise<string> {
  await must("fallocate", ["--length", String(bytes), mount.at(file)]);
  await must("chmod", ["600", mount.at(file)]);
  await must("mkswap", [mount.at(file)]);
  return mount.at(file);
}

async function swappedOn(file: string): Promise<boolean> {
  return (await fs.readFile("/proc/swaps", "utf8")).includes(file);
}

test("the first BMAP passes the gate of the control plane, all others are answered from the pinned map", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    const file = await swapfile(mount, 0, 32 * mebibyte);
    await must("swapon", ["--priority", "10", file]);
    expect(await swappedOn(file)).toBe(true);
    const { bmap_requests, bmap_hits, allocations } = await mount.counters();
    expect(bmap_requests).toBe((32 * mebibyte) / pageSize);
    expect(bmap_hits).toBe(bmap_requests! - 1);
    expect(allocations).toBe(0);
    expect((await run("umount", [mount.mountpoint])).status).not.toBe(0);
    await must("swapoff", [file]);
    expect(await swappedOn(file)).toBe(false);
  }));

test("a sparse file is refused", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    await must("truncate", ["--size", "4M", mount.at(0)]);
    await must("mkswap", [mount.at(0)]);
    const done = await run("swapon", ["--priority", "10", mount.at(0)]);
    expect(done.stderr).toMatch(/holes|Invalid argument/);
    expect(await swappedOn(mount.at(0))).toBe(false);
  }));

test("the caller of a burst has its own CPUs back afterwards", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    const file = await swapfile(mount, 0, 32 * mebibyte);
    const script = `swapon -p 10 "$1" & wait $!; swapoff "$1"; sleep 0.1; taskset -p $$`;
    const before = (await must("sh", ["-c", "taskset -p $$"])).split(": ")[1];
    expect((await must("sh", ["-euc", script, "sh", file])).split(": ")[1]).toBe(before);
    const header = await mount.header();
    for (const task of await fs.readdir(`/proc/${header.data_pid}/task`)) {
      expect((await must("taskset", ["-p", task])).split(": ")[1]).toBe(before);
    }
  }));

test.each(["data", "control"] as const)("the %s plane dies during swapon and during swapoff: both succeed", (plane) =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    const file = await swapfile(mount, 0, 192 * mebibyte);
    for (let round = 0; round < 2; round += 1) {
      const on = run("swapon", ["--priority", "10", file]);
      await sleep(60 + 100 * round);
      await mount.kill(plane);
      expect(await on).toMatchObject({ status: 0, stderr: "" });
      expect(await swappedOn(file)).toBe(true);
      const off = run("swapoff", [file]);
      await mount.kill(plane);
      expect(await off).toMatchObject({ status: 0, stderr: "" });
    }
    expect((await mount.counters())["resends"]).toBeGreaterThan(0);
  }));

test("an area that is on survives the death of one plane after the other, and is swapped off", () =>
  withCleanup(async (cleanup) => {
    const mount = await FakeMount.mounted(cleanup);
    const file = await swapfile(mount, 0, 16 * mebibyte);
    await must("swapon", ["--priority", "10", file]);
    for (const plane of ["control", "data", "control", "data"] as const) await mount.kill(plane);
    expect(await swappedOn(file)).toBe(true);
    await must("swapoff", [file]);
    await mount.umount();
    expect(await mount.ended).toBe(0);
  }));
