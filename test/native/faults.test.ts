// A device that fails, answers short or is slow, below the data plane: errors are what the kernel makes of those of its
// own swap files. The faults are made where the data plane has a transfer's result (native/dataplane/faults.h).

import { promises as fs } from "node:fs";

import { verifyingFio } from "../support/fio";
import { withCleanup } from "../support/mounted-cleanup";
import { must, sleep } from "../support/mounted-run";
import { pageSize, sanitized, type Plane } from "./fake";
import { faultyMount, opened, type Faulty } from "./faulty";

const pages = 16;
const bytes = pages * pageSize;

type Way = "asked" | "mapped" | "swap_rw";

/** File 0: 16 written pages, each a run of its own on the device, page n filled with n + 1. */
async function writtenFile({ mount }: Faulty, way: Way): Promise<void> {
  await mount.tell("fragment:1");
  const content = Buffer.concat(Array.from({ length: pages }, (_, page) => Buffer.alloc(pageSize, page + 1)));
  await fs.writeFile(mount.at(0), content);
  if (way === "mapped") await mount.tell("install:0");
  if (way === "swap_rw") await mount.tell("swap_rw:0");
}

const ways = ["asked", "mapped", "swap_rw"] as const;
const kinds = ["fail", "short"] as const;
const cases = ways.flatMap((way) => kinds.map((kind) => [kind, way] as const));

test.each(cases)("a read of many runs of which one %ss is EIO and fills no page: %s", (kind, way) =>
  withCleanup(async (cleanup) => {
    const faulty = await faultyMount(cleanup);
    await writtenFile(faulty, way);
    const before = await faulty.mount.counters();
    await faulty.faults.set({ kind, transfers: "read", skip: 5 });
    await opened(faulty.mount, async (handle) => {
      const into = Buffer.alloc(bytes, 0xee);
      await expect(handle.read(into, 0, bytes, 0)).rejects.toMatchObject({ code: "EIO" });
      expect(into.every((byte) => byte === 0xee)).toBe(true);
      expect((await faulty.mount.counters())["errors"]! - before["errors"]!).toBe(1);
      expect((await faulty.mount.counters())["read_bytes"]).toBe(before["read_bytes"]);
      const { buffer } = await handle.read(into, 0, bytes, 0); // the fault is over
      expect(Array.from({ length: pages }, (_, page) => buffer[page * pageSize])).toEqual(Array.from({ length: pages }, (_, page) => page + 1));
    });
    const word = kind === "short" ? "short" : "Input/output error";
    expect(await faulty.mount.log()).toMatch(new RegExp(`cannot read \\d+ bytes at device page \\d+: ${word}`));
  }));

test.each(cases)("a write of many runs of which one %ss is EIO as a whole: %s", (kind, way) =>
  withCleanup(async (cleanup) => {
    const faulty = await faultyMount(cleanup);
    await writtenFile(faulty, way);
    const before = await faulty.mount.counters();
    await faulty.faults.set({ kind, transfers: "write", skip: 5 });
    await opened(faulty.mount, async (handle) => {
      const content = Buffer.alloc(bytes, 0x77);
      await expect(handle.write(content, 0, bytes, 0)).rejects.toMatchObject({ code: "EIO" });
      const after = await faulty.mount.counters();
      expect(after["errors"]! - before["errors"]!).toBe(1);
      expect(after["written_bytes"]).toBe(before["written_bytes"]);
      await handle.write(content, 0, bytes, 0);
      const { buffer } = await handle.read(Buffer.alloc(bytes), 0, bytes, 0);
      expect(buffer.equals(content)).toBe(true);
    });
    expect(await faulty.mount.log()).toMatch(/cannot write \d+ bytes at device page \d+: /);
  }));

test("a part of a page whose rest cannot be read is not written, and the page stays as it was", () =>
  withCleanup(async (cleanup) => {
    const faulty = await faultyMount(cleanup);
    await writtenFile(faulty, "mapped");
    await faulty.faults.set({ kind: "fail", transfers: "read" });
    const handle = await fs.open(faulty.mount.at(0), "r+");
    await expect(handle.write(Buffer.alloc(10, 9), 0, 10, 100)).rejects.toMatchObject({ code: "EIO" });
    await handle.close();
    await opened(faulty.mount, async (again) => {
      const { buffer } = await again.read(Buffer.alloc(pageSize), 0, pageSize, 0);
      expect(buffer.every((byte) => byte === 1)).toBe(true);
    });
  }));

if (!sanitized) {
  test("a device that goes on failing is logged now and then, with how many failures were left out", () =>
    withCleanup(async (cleanup) => {
      const faulty = await faultyMount(cleanup);
      await writtenFile(faulty, "mapped");
      await faulty.faults.set({ kind: "fail", transfers: "read", count: 1e6 });
      const before = await faulty.mount.counters();
      const logged = async (): Promise<number> => (await faulty.mount.log()).match(/cannot read /g)?.length ?? 0;
      await opened(faulty.mount, async (handle) => {
        const fails = async (): Promise<void> => {
          await expect(handle.read(Buffer.alloc(pageSize), 0, pageSize, 0)).rejects.toMatchObject({ code: "EIO" });
        };
        for (let round = 0; round < 500; round += 1) await fails();
        const shown = await logged();
        expect(shown).toBeGreaterThanOrEqual(20);
        expect(shown).toBeLessThan(500);
        await sleep(5100); // native/dataplane/rate_limit.h
        await fails();
        expect(await logged()).toBe(shown + 1);
        expect((await faulty.mount.counters())["errors"]! - before["errors"]!).toBe(501);
        expect(await faulty.mount.log()).toMatch(/\(\d+ failures before it are not shown\)/);
      });
    }));
}

test.each([["write", "delay"], ["write", "fail"], ["read", "delay"], ["read", "fail"]] as const)(
  "a map is not revoked under a %s that is under way (%s)", (transfers, kind) =>
    withCleanup(async (cleanup) => {
      const faulty = await faultyMount(cleanup);
      await writtenFile(faulty, "swap_rw");
      await faulty.faults.set({ kind, transfers, delayMs: 1500 });
      await opened(faulty.mount, async (handle) => {
        const page = Buffer.alloc(pageSize, 0x55);
        const outcome = (transfers === "write" ? handle.write(page, 0, pageSize, 0) : handle.read(page, 0, pageSize, 0))
          .then(() => "done", (error: NodeJS.ErrnoException) => error.code);
        await faulty.faults.reached(1);
        let revoked = false;
        const revoke = faulty.mount.tell("uninstall:0").then(() => (revoked = true));
        await sleep(300);
        expect(revoked).toBe(false);
        expect(await outcome).toBe(kind === "delay" ? "done" : "EIO");
        await revoke;
        const { buffer } = await handle.read(Buffer.alloc(pageSize), 0, pageSize, pageSize); // served by asking now
        expect(buffer[0]).toBe(2);
      });
    }));

test.each(ways)("the data plane dies with slow and failing transfers pending: nothing fails, nothing is lost: %s", (way) =>
  withCleanup(async (cleanup) => {
    // Without the ring: its one thread would sit out both delays one after the other, which a slow device does not ask of it.
    const faulty = await faultyMount(cleanup, ["--device-waits", "0"]);
    await writtenFile(faulty, way);
    // What it would have answered EIO is sent again and carried out by the next data plane, for which the fault is over.
    await faulty.faults.set({ kind: "fail", transfers: "any", delayMs: 8000, count: 2 });
    await opened(faulty.mount, async (handle) => {
      const write = handle.write(Buffer.alloc(pageSize, 0x33), 0, pageSize, pageSize);
      const read = handle.read(Buffer.alloc(pageSize), 0, pageSize, 7 * pageSize);
      await faulty.faults.reached(2);
      await faulty.mount.kill("data");
      await write;
      expect((await read).buffer[0]).toBe(8);
      const { buffer } = await handle.read(Buffer.alloc(bytes), 0, bytes, 0);
      expect([0, 1, 2, 7].map((at) => buffer[at * pageSize])).toEqual([1, 0x33, 3, 8]);
    });
    expect((await faulty.mount.counters())["errors"]).toBe(0);
  }));

test.each<Plane>(["data", "control"])("SIGKILL of the %s plane again and again over a slow device, verified", (plane) =>
  withCleanup(async (cleanup) => {
    const faulty = await faultyMount(cleanup);
    await must("fallocate", ["--length", "8M", faulty.mount.at(1)]);
    await faulty.faults.set({ kind: "delay", transfers: "any", delayMs: 5, count: 1e9 });
    const job = verifyingFio(faulty.mount.dir, `--filename=${faulty.mount.at(1)}`, "--size=8M", "--bsrange=4k-64k", "--direct=1",
      "--ioengine=libaio", "--iodepth=16");
    for (let kill = 0; kill < 3; kill += 1) {
      await faulty.mount.transferred(200);
      await faulty.mount.kill(plane);
    }
    job.stop();
    expect(await job.done).toMatchObject({ status: 0 });
    expect(await faulty.mount.counters()).toMatchObject({ errors: 0, allocations: 0 });
  }));
