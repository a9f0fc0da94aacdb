// READ and WRITE through the data plane, with the fake control plane behind it.

import { randomBytes } from "node:crypto";
import { constants, promises as fs } from "node:fs";

import { Cleanup } from "../support/mounted-cleanup";
import { must } from "../support/mounted-run";
import { FakeMount, pageSize, randomFrom, sanitized } from "./fake";

const cleanup = new Cleanup();
let mount: FakeMount;

beforeAll(async () => {
  mount = await FakeMount.mounted(cleanup);
});
afterAll(() => cleanup.run());

/** Writes at random places and compares the whole file with a buffer that was written alike. */
async function agreesWithModel(file: number, seed: number, model: Buffer, flags: number): Promise<void> {
  const random = randomFrom(seed);
  const handle = await fs.open(mount.at(file), constants.O_RDWR | flags);
  try {
    for (let step = 0; step < 150; step += 1) {
      const length = 1 + random(step % 10 === 0 ? 300_000 : 9_000);
      const offset = random(model.length - length);
      const bytes = Buffer.alloc(length, 1 + random(255));
      bytes.writeUInt8(step & 255, 0);
      bytes.copy(model, offset);
      await handle.write(bytes, 0, length, offset);
    }
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(model.length + 10), 0, model.length + 10, 0);
    expect(bytesRead).toBe(model.length);
    expect(buffer.subarray(0, bytesRead).equals(model)).toBe(true);
  } finally {
    await handle.close();
  }
}

const megabytes = 3;
const odd = megabytes * 1024 * 1024 + 777;

test.each([
  ["page cache, contiguous", 0, 0, 0],
  ["direct, every page by itself", 1, constants.O_DIRECT, 1],
])("random writes agree with a model, asked and then mapped: %s", async (_name, file, flags, fragment) => {
  await must("truncate", ["--size", String(odd), mount.at(file)]);
  await mount.tell(`fragment:${fragment}`);
  const model = Buffer.alloc(odd);
  await agreesWithModel(file, 1, model, flags);
  const asked = await mount.counters();
  expect(asked["parked"]).toBeGreaterThan(100);
  await must("fallocate", ["--length", String(odd), mount.at(file)]);
  await mount.tell(`install:${file}`);
  for (const seed of [2, 3]) await agreesWithModel(file, seed, model, flags);
  const mapped = await mount.counters();
  expect(mapped["mapped"]! - asked["mapped"]!).toBeGreaterThan(100);
  expect(mapped["errors"]).toBe(0);
});

test("holes, unwritten pages and what lies past the end read as zeros and as nothing", async () => {
  const handle = await fs.open(mount.at(2), "r+");
  await handle.write(Buffer.from("head"), 0, 4, 0);
  await handle.write(Buffer.from("tail"), 0, 4, 5 * pageSize + 10);
  await must("fallocate", ["--offset", String(2 * pageSize), "--length", String(pageSize), mount.at(2)]);
  for (const install of [false, true]) {
    if (install) await mount.tell("install:2");
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(8 * pageSize, 7), 0, 8 * pageSize, 0);
    const expected = Buffer.alloc(5 * pageSize + 14);
    expected.write("head", 0);
    expected.write("tail", 5 * pageSize + 10);
    expect(buffer.subarray(0, bytesRead).equals(expected)).toBe(true);
  }
  await handle.close();
});

test("a truncated page comes back with zeros", async () => {
  const handle = await fs.open(mount.at(2), "r+");
  await handle.write(Buffer.alloc(2 * pageSize, 1), 0, 2 * pageSize, 0);
  await handle.truncate(100);
  await handle.truncate(2 * pageSize);
  const { buffer } = await handle.read(Buffer.alloc(2 * pageSize), 0, 2 * pageSize, 0);
  expect(buffer.equals(Buffer.concat([Buffer.alloc(100, 1), Buffer.alloc(2 * pageSize - 100)]))).toBe(true);
  await handle.close();
});

test("kCopy: device pages are copied as they are, in one run, in steps and page by page, while others read and write", async () => {
  const source = await fs.open(mount.at(0), "r+");
  await must("truncate", ["--size", "0", mount.at(1)]);
  await mount.tell("fragment:0");
  await must("truncate", ["--size", "0", mount.at(2)]);
  await must("truncate", ["--size", String(odd), mount.at(2)]);
  const busy = agreesWithModel(2, 9, Buffer.alloc(odd), constants.O_DIRECT);
  for (const [fragment, length] of [[0, 3 << 20], [1, 400 << 10]] as const) {
    await mount.tell(`fragment:${fragment}`);
    await must("truncate", ["--size", "0", mount.at(1)]);
    const bytes = randomBytes(length);
    await source.truncate(0);
    await source.write(bytes, 0, bytes.length, 0);
    await source.sync();
    await mount.tell("copy:0");
    await must("fallocate", ["--length", String(bytes.length), mount.at(1)]); // the fake's new size, for the kernel
    expect((await fs.readFile(mount.at(1))).equals(bytes)).toBe(true);
  }
  await busy;
  await source.close();
});

test("swap_rw: whole pages only, counted as pages in and out", async () => {
  await must("fallocate", ["--length", String(1 << 20), mount.at(3)]);
  await must("dd", ["if=/dev/zero", `of=${mount.at(3)}`, "bs=1M", "count=1", "oflag=direct", "conv=notrunc"]);
  await mount.tell("swap_rw:3");
  const before = await mount.counters();
  const handle = await fs.open(mount.at(3), constants.O_RDWR | constants.O_DIRECT);
  const page = Buffer.alloc(pageSize, 5);
  await handle.write(page, 0, pageSize, 3 * pageSize);
  const { buffer } = await handle.read(Buffer.alloc(pageSize), 0, pageSize, 3 * pageSize);
  expect(buffer.equals(page)).toBe(true);
  await expect(handle.write(page, 0, 100, 0)).rejects.toMatchObject({ code: "EINVAL" });
  await expect(handle.write(page, 0, pageSize, 512)).rejects.toMatchObject({ code: "EINVAL" });
  await handle.close();
  const after = await mount.counters();
  expect(after["swap_rw_pages_out"]! - before["swap_rw_pages_out"]!).toBe(1);
  expect(after["swap_rw_pages_in"]! - before["swap_rw_pages_in"]!).toBe(1);
});

test("nothing was allocated after the start, and both processes lock at most 32 MiB", async () => {
  const header = await mount.header();
  expect((await mount.counters())["allocations"]).toBe(0);
  let locked = 0;
  for (const pid of [header.keeper_pid, header.data_pid]) {
    const status = await fs.readFile(`/proc/${pid}/status`, "utf8");
    locked += Number(/VmLck:\s+(\d+)/.exec(status)![1]) * 1024;
  }
  expect(header.memory_locked).toBe(sanitized ? 0 : 1);
  expect(locked).toBeLessThanOrEqual(32 << 20);
  expect(locked >= Number(header.locked_bytes)).toBe(true);
  // Both need CAP_SYS_RESOURCE, which some virtual machines and containers drop; the session then says so.
  const capabilities = BigInt(`0x${/CapEff:\s+(\w+)/.exec(await fs.readFile("/proc/self/status", "utf8"))![1]}`);
  const permitted = Number((capabilities >> 24n) & 1n);
  expect(header).toMatchObject({ io_flusher: permitted, oom_protected: permitted });
  expect(await fs.readFile(`/proc/${header.control_pid}/oom_score_adj`, "utf8")).toBe(await fs.readFile("/proc/self/oom_score_adj", "utf8"));
});

test("the buffers of requests lie in huge pages where the system gives them", async () => {
  const setting = await fs.readFile("/sys/kernel/mm/transparent_hugepage/enabled", "utf8").catch(() => "[never]");
  const { data_pid: pid } = await mount.header();
  const rollup = await fs.readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  const kib = Number(/AnonHugePages:\s+(\d+) kB/.exec(rollup)![1]);
  // At least one, never all: a machine whose memory is in pieces gives what it has.
  expect(kib > 0).toBe(!setting.includes("[never]"));
});

test("an error of the device is EIO for the caller, is counted and logged, and no page is filled", async () => {
  const beyond = 256 * 256 + 1; // no such page on a device of 256 MiB
  await mount.tell("uninstall:2");
  await must("truncate", ["--size", "0", mount.at(2)]);
  await mount.tell(`next:${beyond}`);
  const before = await mount.counters();
  const handle = await fs.open(mount.at(2), constants.O_RDWR | constants.O_DIRECT);
  await expect(handle.write(Buffer.alloc(pageSize, 1), 0, pageSize, 0)).rejects.toMatchObject({ code: "EIO" });
  await must("fallocate", ["--length", String(2 * pageSize), mount.at(2)]);
  await mount.tell("written:2");
  await expect(handle.read(Buffer.alloc(pageSize), 0, pageSize, 0)).rejects.toMatchObject({ code: "EIO" });
  await mount.tell("install:2");
  await expect(handle.read(Buffer.alloc(pageSize), 0, pageSize, 0)).rejects.toMatchObject({ code: "EIO" });
  await expect(handle.write(Buffer.alloc(pageSize, 1), 0, pageSize, 0)).rejects.toMatchObject({ code: "EIO" });
  await expect(handle.write(Buffer.alloc(10, 1), 0, 10, 0)).rejects.toMatchObject({ code: "EIO" });
  await handle.close();
  await expect(mount.tell("copy:2")).rejects.toThrow(/Input\/output error/);
  expect((await mount.counters())["errors"]! - before["errors"]!).toBe(5);
  expect(await mount.log()).toMatch(/cannot read 4096 bytes at device page \d+: short/);
  expect((await mount.counters())["allocations"]).toBe(0);
});

test("pages are counted by path, answers by how long they took, and nothing stays in flight", async () => {
  await must("fallocate", ["--length", String(1 << 20), mount.at(1)]);
  await mount.tell("uninstall:1");
  const handle = await fs.open(mount.at(1), constants.O_RDWR | constants.O_DIRECT);
  const block = Buffer.alloc(4 * pageSize, 3);
  const start = await mount.counted();
  await handle.write(block, 0, block.length, 0);
  await handle.read(block, 0, block.length, 0);
  const parked = await mount.counted();
  expect(parked.totals.parked_pages_out - start.totals.parked_pages_out).toBe(4);
  expect(parked.totals.parked_pages_in - start.totals.parked_pages_in).toBe(4);
  await mount.tell("install:1");
  for (let times = 0; times < 10; times += 1) await handle.write(block, 0, block.length, 0);
  await handle.read(block, 0, block.length, 0);
  await handle.close();
  const mapped = await mount.counted();
  expect(mapped.totals.ordinary_pages_out - parked.totals.ordinary_pages_out).toBe(40);
  expect(mapped.totals.ordinary_pages_in - parked.totals.ordinary_pages_in).toBe(4);
  expect(mapped.latency.write.count - start.latency.write.count).toBe(11);
  expect(mapped.latency.read.count - start.latency.read.count).toBe(2);
  expect(mapped.latency.write.p50Ns).toBeGreaterThan(0);
  expect(mapped.totals.in_flight).toBe(0);
  expect(mapped.totals.in_flight_max).toBeGreaterThan(0);
});
