// SWAPFS_ABLATE: each switch has its effect, told by counters.

import { constants, promises as fs } from "node:fs";
import path from "node:path";

import { DeviceFaults } from "../support/faults";
import { isMounted, mountSwapfs, statusOf, tryMount } from "../support/mounted";
import { Cleanup, withCleanup } from "../support/mounted-cleanup";
import { imageFile, scratchDir } from "../support/mounted-devices";
import { must, swapfs } from "../support/mounted-run";

const page = 4096;
const pages = 16;

async function withEnvironment<T>(values: Record<string, string>, work: () => Promise<T>): Promise<T> {
  Object.assign(process.env, values);
  try {
    return await work();
  } finally {
    for (const name of Object.keys(values)) delete process.env[name];
  }
}

interface Place {
  readonly mountpoint: string;
  readonly file: string;
}

/** An activated file on a volume that was mounted with these switches. */
async function activatedWith(cleanup: Cleanup, switches: string, env: Record<string, string> = {}): Promise<Place> {
  const dir = await scratchDir(cleanup);
  const mountpoint = path.join(dir, "mnt");
  await withEnvironment({ ...env, SWAPFS_ABLATE: switches },
    () => mountSwapfs(cleanup, path.join(dir, "disk.img"), mountpoint, { args: ["--size", "64M"] }));
  const file = path.join(mountpoint, "a");
  await must("fallocate", ["-l", String(pages * page), file]);
  expect(await swapfs(["activate", file])).toMatchObject({ status: 0 });
  return { mountpoint, file };
}

const write = (file: string, ...args: string[]): Promise<string> =>
  must("dd", ["if=/dev/zero", `of=${file}`, "bs=4k", `count=${pages}`, "conv=notrunc", "status=none", ...args]);

/** Through one handle, without O_DIRECT. */
async function writeAndRead(file: string): Promise<void> {
  const handle = await fs.open(file, constants.O_RDWR | constants.O_CREAT);
  try {
    for (let at = 0; at < pages; at += 1) await handle.write(Buffer.alloc(page, 7), 0, page, at * page);
    expect((await handle.read(Buffer.alloc(pages * page), 0, pages * page, 0)).buffer.equals(Buffer.alloc(pages * page, 7))).toBe(true);
  } finally {
    await handle.close();
  }
}

interface Change {
  readonly getxattr: number;
  readonly parked: number;
  readonly writes: number;
  readonly reads: number;
  readonly records: number;
  readonly mtime: boolean;
}

/** What the counters say that `work` has done. */
async function changeOf({ mountpoint, file }: Place, work: () => Promise<unknown>): Promise<Change> {
  const before = { status: await statusOf(mountpoint), stat: await fs.stat(file, { bigint: true }) };
  await work();
  const after = { status: await statusOf(mountpoint), stat: await fs.stat(file, { bigint: true }) };
  const requests = (name: string): number => (after.status.requests[name] ?? 0) - (before.status.requests[name] ?? 0);
  return {
    getxattr: requests("GETXATTR"), writes: requests("WRITE"), reads: requests("READ"),
    parked: after.status.counters.parked - before.status.counters.parked,
    records: after.status.volume.sequence - before.status.volume.sequence,
    mtime: after.stat.mtimeNs !== before.stat.mtimeNs,
  };
}

test("nothing switched on: a write is one request, and nothing else", () => withCleanup(async (cleanup) => {
  const place = await activatedWith(cleanup, "");
  expect((await statusOf(place.mountpoint)).ablated).toEqual([]);
  expect(await changeOf(place, () => write(place.file, "oflag=direct")))
    .toEqual({ getxattr: 0, writes: pages, reads: 0, parked: 0, records: 0, mtime: false });
}));

test("time: a write changes mtime, as one to an ordinary file", () => withCleanup(async (cleanup) => {
  const place = await activatedWith(cleanup, "time");
  expect(await changeOf(place, () => write(place.file, "oflag=direct"))).toMatchObject({ writes: pages, parked: 0, mtime: true });
}));

test("ask: every write asks the control plane, which has nothing to commit; with commit: a journal record for each", () => withCleanup(async (cleanup) => {
  const asks = await activatedWith(cleanup, "ask");
  expect(await changeOf(asks, () => write(asks.file, "oflag=direct")))
    .toEqual({ getxattr: 0, writes: pages, reads: 0, parked: pages, records: 0, mtime: false });
  const commits = await activatedWith(cleanup, "ask,commit");
  const change = await changeOf(commits, () => write(commits.file, "oflag=direct"));
  expect(change).toMatchObject({ parked: pages, mtime: true });
  expect(change.records).toBeGreaterThanOrEqual(pages);
}));

test("killpriv: where the kernel looks for privileges to take away, it asks for them before each write", () => withCleanup(async (cleanup) => {
  const without = await activatedWith(cleanup, "cache");
  const change = await changeOf(without, () => write(without.file, "oflag=direct"));
  expect(change.writes).toBe(pages);
  expect(change.getxattr).toBeLessThanOrEqual(1); // it remembers the answer (S_NOSEC) as long as it has the attributes
  const asked = await activatedWith(cleanup, "cache,killpriv");
  expect(await changeOf(asked, () => write(asked.file, "oflag=direct"))).toMatchObject({ getxattr: pages, writes: pages });
}));

test("cache: what was written is in the page cache, and goes to the daemon at each write as well", () => withCleanup(async (cleanup) => {
  const cached = await activatedWith(cleanup, "cache");
  expect(await changeOf(cached, () => writeAndRead(cached.file))).toMatchObject({ writes: pages, reads: 0 });
  const direct = await activatedWith(cleanup, "");
  expect((await changeOf(direct, () => writeAndRead(direct.file))).reads).toBeGreaterThan(0);
}));

test("keep: pages that a handle from before has read stay cached when a writer opens the file, until it writes to them", () => withCleanup(async (cleanup) => {
  const readAgain = async (switches: string): Promise<number> => {
    const place = await activatedWith(cleanup, switches);
    expect(await swapfs(["deactivate", place.file])).toMatchObject({ status: 0 });
    const reader = await fs.open(place.file, "r");
    try {
      expect(await swapfs(["activate", place.file])).toMatchObject({ status: 0 });
      const readAll = async (): Promise<unknown> => reader.read(Buffer.alloc(pages * page), 0, pages * page, 0);
      await readAll();
      await write(place.file, "oflag=direct", "count=1", "seek=3");
      const before = (await statusOf(place.mountpoint)).counters.swap_rw_pages_in;
      await readAll();
      return (await statusOf(place.mountpoint)).counters.swap_rw_pages_in - before;
    } finally {
      await reader.close();
    }
  };
  expect(await readAgain("")).toBe(pages);
  expect(await readAgain("keep")).toBe(1);
}));

test("direct: an ordinary file is opened as an activated one is, past the page cache", () => withCleanup(async (cleanup) => {
  const readsOf = async (switches: string): Promise<number> => {
    const place = await activatedWith(cleanup, switches);
    return (await changeOf(place, () => writeAndRead(path.join(place.mountpoint, "ordinary")))).reads;
  };
  expect(await readsOf("")).toBe(0);
  expect(await readsOf("direct")).toBeGreaterThan(0);
}));

test("lock: of two programs that write to one file, one waits in the kernel", () => withCleanup(async (cleanup) => {
  const mostInFlight = async (switches: string): Promise<number> => {
    const faults = await DeviceFaults.make(path.join(await scratchDir(cleanup), "faults"));
    const place = await activatedWith(cleanup, switches, { SWAPFS_TEST_FAULTS: faults.file });
    await faults.set({ kind: "delay", transfers: "write", count: 1000, delayMs: 400 });
    let writing = true;
    const written = Promise.all([0, 8].map((seek) => write(place.file, "oflag=direct", "count=5", `seek=${seek}`))).finally(() => (writing = false));
    let most = 0;
    while (writing) most = Math.max(most, (await statusOf(place.mountpoint)).counters.in_flight);
    await written;
    return most;
  };
  expect(await mostInFlight("")).toBe(2);
  expect(await mostInFlight("lock")).toBe(1);
}));

test("status and mount say that switches are on; an unknown one is refused, and so is the fuse-native engine", () => withCleanup(async (cleanup) => {
  const place = await activatedWith(cleanup, "lock, time");
  const status = await statusOf(place.mountpoint);
  expect(status.ablated).toEqual(["lock", "time"]);
  expect((await swapfs(["status", place.mountpoint])).stdout).toContain("warning: slowed down on purpose, to measure it (SWAPFS_ABLATE=lock,time)");
  const dir = await scratchDir(cleanup);
  const image = await imageFile(dir, "other.img", 64 << 20);
  const attempt = (switches: string, engine?: "fuse-native") => withEnvironment({ SWAPFS_ABLATE: switches },
    () => tryMount(cleanup, image, path.join(dir, "mnt"), { args: ["--format"], ...(engine && { engine }) }));
  const refused = await attempt("lock,looks");
  expect(refused).toMatchObject({ status: 2 });
  expect(refused.stderr).toContain(`"looks" is not a switch, known are lock, killpriv, time, commit, cache, keep, direct, ask`);
  expect(await attempt("lock", "fuse-native")).toMatchObject({ status: 2 });
  expect(await isMounted(path.join(dir, "mnt"))).toBe(false);
}));
