// Long transfers that are alone, on a device that works in the context of its caller: two threads move them.

import { verifyingFio } from "../support/fio";
import { withCleanup, type Cleanup } from "../support/mounted-cleanup";
import { must, until } from "../support/mounted-run";
import { pageSize } from "./fake";
import { faultyMount, opened, type Faulty } from "./faulty";

/** Not 1 MiB: from a buffer that starts inside a page that is 257 pages, one more than a request has. */
const longBytes = 512 << 10;
const pieces = 16;
const fileBytes = 4 << 20;

interface Paired extends Faulty {
  /** pieces that the partner has moved so far */
  readonly moved: () => Promise<number>;
}

/** f0 has 4 MiB on the swap_rw path; each transfer takes `delayMs` longer than the device. */
async function paired(cleanup: Cleanup, delayMs: number): Promise<Paired> {
  const { mount, faults } = await faultyMount(cleanup, ["--device-waits", "0", "--partner", "1"]);
  await must("fallocate", ["--length", String(fileBytes), mount.at(0)]);
  await must("dd", ["if=/dev/urandom", `of=${mount.at(0)}`, "bs=1M", "count=4", "oflag=direct", "conv=notrunc", "status=none"]);
  await mount.tell("swap_rw:0");
  if (delayMs > 0) await faults.set({ kind: "delay", transfers: "any", delayMs, count: 1e9 });
  return { mount, faults, moved: async () => (await mount.counters())["partner_pieces"]! };
}

/** Each page another one. */
function content(seed: number): Buffer {
  return Buffer.concat(Array.from({ length: longBytes / pageSize }, (_, page) => Buffer.alloc(pageSize, `${seed} ${page} `)));
}

/** Its errno. One that did not fail was not alone: the reader of the one before it was not quite done, so it had one thread. */
function failure(transfer: Promise<unknown>): Promise<string | undefined> {
  return transfer.then(() => undefined, ({ code }: NodeJS.ErrnoException) => code);
}

test("two threads move what is long, each piece once and to its place", () =>
  withCleanup(async (cleanup) => {
    const both = await paired(cleanup, 1);
    await opened(both.mount, async (handle) => {
      const before = await both.moved();
      for (let seed = 0; seed < 4; seed += 1) {
        await handle.write(content(seed), 0, longBytes, seed * longBytes);
      }
      const written = await both.moved();
      expect(written).toBeGreaterThan(before);
      for (let seed = 0; seed < 4; seed += 1) {
        const { buffer } = await handle.read(Buffer.alloc(longBytes), 0, longBytes, seed * longBytes);
        expect(buffer.equals(content(seed))).toBe(true);
      }
      expect(await both.moved()).toBeGreaterThan(written);
    });
    expect(await both.mount.counters()).toMatchObject({ errors: 0, device_errors: 0, allocations: 0 });
  }));

test("nobody is called for what is short", () =>
  withCleanup(async (cleanup) => {
    const both = await paired(cleanup, 1);
    const before = await both.moved();
    await opened(both.mount, async (handle) => {
      for (const bytes of [pageSize, 32 << 10]) {
        for (let time = 0; time < 20; time += 1) {
          await handle.write(Buffer.alloc(bytes, time), 0, bytes, 0);
          await handle.read(Buffer.alloc(bytes), 0, bytes, 0);
        }
      }
    });
    expect(await both.moved()).toBe(before);
  }));

test.each(["read", "write"] as const)("a %s of which one piece fails is EIO as a whole, whoever has moved that piece", (transfers) =>
  withCleanup(async (cleanup) => {
    const both = await paired(cleanup, 1);
    await opened(both.mount, async (handle) => {
      const move = (): Promise<unknown> => (transfers === "write" ? handle.write(content(9), 0, longBytes, 0)
        : handle.read(Buffer.alloc(longBytes), 0, longBytes, 0));
      const before = await both.mount.counters();
      for (let piece = 0; piece < pieces; piece += 1) {
        await both.faults.set({ kind: "fail", transfers, skip: piece, delayMs: 1 });
        await until("a transfer in pieces, one of which failed", async () => (await failure(move())) === "EIO");
      }
      const after = await both.mount.counters();
      expect(after["errors"]! - before["errors"]!).toBe(pieces);
      expect(after["device_errors"]! - before["device_errors"]!).toBe(pieces);
      expect(after["partner_pieces"]).toBeGreaterThan(before["partner_pieces"]!);
      await move();
    });
  }));

test("SIGKILL of the data plane in the middle of shared transfers, verified", () =>
  withCleanup(async (cleanup) => {
    const both = await paired(cleanup, 1);
    const job = verifyingFio(both.mount.dir, `--filename=${both.mount.at(0)}`, `--size=${fileBytes}`, "--bs=512k", "--direct=1", "--ioengine=psync");
    for (let kill = 0; kill < 3; kill += 1) {
      await both.mount.transferred(100);
      await both.mount.kill("data");
    }
    job.stop();
    expect(await job.done).toMatchObject({ status: 0 });
    expect(await both.mount.counters()).toMatchObject({ errors: 0, allocations: 0 });
    expect(await both.moved()).toBeGreaterThan(0);
  }));
