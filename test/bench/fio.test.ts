// The job file that fio is given, and what is read from its answer.

import { jobFile, readResults, type FioJob } from "#src/bench/fio";
import { ioJobs } from "#src/bench/io";

const jobs: FioJob[] = [
  { row: "4 KiB random read", direction: "read", lines: ["rw=randread", "bs=4k"] },
  { row: "4 KiB write", direction: "write", lines: ["rw=write"] },
];

test("jobFile: a section for each job, one after the other, caches dropped before each", () => {
  const [global, ...sections] = jobFile("/dev/zram9", 4096, jobs).split(/\n(?=\[job)/);
  expect(global).toMatch(/^\[global\]\nfilename=\/dev\/zram9\nsize=4096\n/);
  expect(global).toContain("drop_caches");
  expect(sections).toEqual(["[job0]\nstonewall\nrw=read\nrw=randread\nbs=4k\n", "[job1]\nstonewall\nrw=write\nrw=write\n"]);
});

test("readResults: past fio's notes, by row, the direction of the job, microseconds", () => {
  const idle = { iops: 0, bw_bytes: 0 };
  const read = { iops: 1000, bw_bytes: 4_096_000, clat_ns: { percentile: { "99.000000": 20_000, "50.000000": 8_500 } } };
  const output = `note: both iodepth\n${JSON.stringify({ jobs: [
    { jobname: "job0", error: 0, read, write: idle }, { jobname: "job1", error: 28, read: idle, write: { iops: 7, bw_bytes: 7 } },
  ] }, undefined, 2)}`;
  const results = readResults(output, jobs);
  expect(results.get("4 KiB random read")).toEqual({ iops: 1000, bytesPerSecond: 4_096_000, error: 0, latency: { points: [[50, 8.5], [99, 20]] } });
  expect(results.get("4 KiB write")).toEqual({ iops: 7, bytesPerSecond: 7, error: 28, latency: undefined });
});

test("ioJobs: 4 and 128 KiB by order, direction, depth and jobs; 1 MiB; buffered. Every write ends with an fsync", () => {
  const all = ioJobs(false, "/new");
  const rows = all.map(({ row }) => row);
  expect(new Set(rows).size).toBe(rows.length);
  expect(rows.filter((row) => /^4 KiB (random|sequential) (read|write), depth (1|32), (1 job|2 jobs)$/.test(row))).toHaveLength(16);
  expect(rows.filter((row) => /^128 KiB (random|sequential) (read|write), depth (1|32), (1 job|2 jobs)$/.test(row))).toHaveLength(16);
  expect(rows.filter((row) => /^1 MiB sequential (read|write), depth [14], 1 job$/.test(row))).toHaveLength(4);
  expect(rows.filter((row) => row.includes("buffered"))).toHaveLength(3);
  expect(all.filter(({ direction, lines }) => (direction === "write") !== lines.includes("end_fsync=1"))).toEqual([]);
});
