// swapfs bench --quick on this machine: in every group every contender has a number, or a reason that is known. No figure is judged.

import { promises as fs } from "node:fs";
import path from "node:path";

import type { BenchReport, Row } from "#src/report/model";
import { Cleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { swapfs } from "../support/mounted-run";
import { takesTurns } from "../support/turns";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

jest.setTimeout(300_000);

async function bench(group: string): Promise<BenchReport> {
  const file = path.join(await scratchDir(cleanup), "report.json");
  const done = await swapfs(["bench", group, "--quick", "--json", file], { timeoutMs: 280_000 });
  // 70: a bound was missed, which says nothing in a run as short as this.
  expect([0, 70]).toContain(done.status);
  return JSON.parse(await fs.readFile(file, "utf8")) as BenchReport;
}

/** "contender: reason" for what could not be measured. */
function refusals(rows: readonly Row[]): string[] {
  return [...new Set(rows.flatMap(({ cells }) => cells.flatMap(({ contender, refused }) => (refused === undefined ? [] : [`${contender}: ${refused}`]))))];
}

function contendersIn(rows: readonly Row[]): string[] {
  return [...new Set(rows.flatMap(({ cells }) => cells.map(({ contender }) => contender)))];
}

function expectNumbers(rows: readonly Row[]): void {
  for (const { name, cells } of rows) {
    for (const { summary } of cells) {
      if (summary && !(Number.isFinite(summary.median) && summary.median >= 0)) throw new Error(`${name}: ${summary.median}`);
    }
  }
}

describe("with swap areas", () => {
  takesTurns("swap");

  test("swap: ten contenders, out, in and touch, no bad page, no request for plain swapfs", async () => {
    const { rows, contenders } = await bench("swap");
    expect(contenders.map(({ id }) => id)).toEqual(
      ["device", "swapfs", "swapfs-block", "ext4", "xfs", "btrfs", "ntfs-3g", "loop-buffered", "loop-direct", "swapfs-loop"]);
    expect(refusals(rows)).toEqual([]);
    expectNumbers(rows);
    const row = (name: string): Row => rows.find((candidate) => candidate.name === name)!;
    expect(row("bad pages").cells.map(({ summary, met }) => [summary?.median, met])).toEqual(contenders.map(() => [0, true]));
    expect(row("FUSE requests in the run").cells[0]).toMatchObject({ contender: "swapfs", summary: { median: 0 }, met: true });
    const requests = row("FUSE requests in the run").cells;
    expect(requests.map(({ contender }) => contender)).toEqual(["swapfs", "swapfs-block", "swapfs-loop"]);
    expect(requests[1]).toMatchObject({ summary: { median: 0 }, met: true });
    expect(requests[2]!.summary!.median).toBeGreaterThan(0);
    for (const phase of ["sequential out", "sequential in", "random touch"]) {
      expect(row(`${phase}, 1 thread, huge pages off`).ratios.find(({ against }) => against === "device")).toMatchObject({ bound: { side: "at most", value: 1.03 } });
    }
  });

  test("activate: one piece and a hundred; fuse-native is refused, in the words of swapon", async () => {
    const { rows } = await bench("activate");
    expect(rows.map(({ name }) => name)).toEqual(["swapon of 64 MiB, 1 extent", "swapon of 64 MiB, 100 extents"]);
    expect(contendersIn(rows)).toEqual(["swapfs", "swapfs-block", "ext4", "ntfs-3g", "fuse-native"]);
    expect(refusals(rows).sort()).toEqual([expect.stringMatching(/^fuse-native: .*swapon.*Invalid argument/), expect.stringMatching(/^swapfs-block: left out: .*one extent/)]);
    expectNumbers(rows);
  });

  test("extents: every kind of work on a file in one piece and on one in a hundred, and the bound on what it grows by", async () => {
    const { rows } = await bench("extents");
    expect(contendersIn(rows)).toEqual(["extents-1", "extents-100"]);
    expect(refusals(rows)).toEqual([]);
    expectNumbers(rows);
    expect(rows.map(({ name }) => name)).toEqual([
      "4 KiB random read, activated", "4 KiB random write, activated", "4 KiB random read, ordinary", "4 KiB random write, ordinary",
      "open, read a page, close", "append a page, truncate", "swapon", "swapfs check",
    ]);
    for (const { ratios } of rows) expect(ratios).toEqual([expect.objectContaining({ contender: "extents-100", against: "extents-1", bound: { side: "at most", value: 3, remark: "1 + log10 of the extents" } })]);
  });

  test("pressure: through the daemon, no bad page", async () => {
    const { rows } = await bench("pressure");
    const median = (name: string): number => rows.find((row) => row.name === `pressure: ${name}`)!.cells[0]!.summary!.median;
    expect(median("bad pages")).toBe(0);
    expect(median("touches")).toBeGreaterThan(0);
    expect(median("FUSE requests")).toBeGreaterThan(0);
  });
});

test("io: eight contenders in every direct job, four with a page cache, latencies with them", async () => {
  const { rows } = await bench("io");
  expect(contendersIn(rows)).toEqual(["device", "swapfs-block", "swapfs-activated", "swapfs-ordinary", "ext4", "loop-direct", "ntfs-3g", "fuse-native"]);
  expect(refusals(rows)).toEqual([]);
  expectNumbers(rows);
  const random = rows.find(({ name }) => name === "4 KiB random read, depth 1, 1 job")!;
  expect(random.cells.map(({ latency }) => latency?.points.length)).toEqual(random.cells.map(() => 20));
  expect(random.ratios).toContainEqual(expect.objectContaining({ contender: "swapfs-activated", against: "fuse-native", bound: { side: "at least", value: 5 } }));
});

test("metadata: four filesystems; checkpoints and memory of ours", async () => {
  const { rows } = await bench("metadata");
  expect(contendersIn(rows)).toEqual(["swapfs", "ext4", "ntfs-3g", "fuse-native"]);
  expect(refusals(rows)).toEqual([]);
  expectNumbers(rows);
  expect(rows.filter(({ name }) => name.startsWith("checkpoint")).map(({ name }) => name))
    .toEqual(["checkpoint with 0 files", "checkpoint with 100 files", "checkpoint with 1,000 files"]);
  expect(rows.filter(({ group }) => group === "memory").map(({ cells }) => cells[0]!.contender)).toEqual(["swapfs", "swapfs"]);
});
