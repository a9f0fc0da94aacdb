// Whether a cost grows with the number of extents: files of the same length in one piece and in many, on one volume.

import { ftruncateSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { pageSize } from "../base/units";
import { withOpen } from "../sys/kernelfiles";
import { contender, type ContenderId } from "./contenders";
import { deviceFor, steps, trying, undoing, type BenchContext, type GroupResult, turnsOf } from "./context";
import { runFio } from "./fio";
import { makeFragmented, requirePieces } from "./fragments";
import { atMost, type RatioRule, contendersOf, Samples, type RowHead } from "./samples";
import { fresh, swapOn } from "./stages";
import { extentsOf, must, secondsOf, swapfs } from "./tools";

const shapes = [
  { who: "extents-1", pieces: 1 }, { who: "extents-100", pieces: 100 },
  { who: "extents-10000", pieces: 10_000 }, { who: "extents-100000", pieces: 100_000 },
] as const;
type Shape = (typeof shapes)[number];
const quickShapes = shapes.slice(0, 2);

/** Each of 100,000 pieces and a quarter more is one page. */
const filePages = { whole: 125_000, quick: 5000 };
/** As much again keeps the pieces apart, and there is metadata. */
const deviceBytesFor = (files: number, pages: number): number => (files + 1) * 1.2 * pages * pageSize + 2 ** 26;

/** "No cost grows faster than its logarithm": 1 for one extent, and as much again for each zero. */
export const extentRatios: readonly RatioRule[] = shapes.slice(1).map(({ who, pieces }) => ({
  contender: who, against: "extents-1", rows: /./, bound: atMost(1 + Math.log10(pieces), "1 + log10 of the extents"),
}));

/** What is done to a file; it gives the value of a row. Whoever comes next finds the file as it was. */
interface Work {
  readonly row: string;
  readonly unit: string;
  readonly measure: (context: BenchContext, file: string, byteLength: number) => Promise<number> | number;
}

const activated = async (context: BenchContext, file: string, byteLength: number, direction: "read" | "write"): Promise<number> => {
  swapfs("activate", file);
  try {
    return await microseconds(context, file, byteLength, direction);
  } finally {
    swapfs("deactivate", file);
  }
};

const works: readonly Work[] = [
  { row: "4 KiB random read, activated", unit: "us", measure: (context, file, byteLength) => activated(context, file, byteLength, "read") },
  { row: "4 KiB random write, activated", unit: "us", measure: (context, file, byteLength) => activated(context, file, byteLength, "write") },
  { row: "4 KiB random read, ordinary", unit: "us", measure: (context, file, byteLength) => microseconds(context, file, byteLength, "read") },
  { row: "4 KiB random write, ordinary", unit: "us", measure: (context, file, byteLength) => microseconds(context, file, byteLength, "write") },
  { row: "open, read a page, close", unit: "us", measure: (_context, file, byteLength) => openReadClose(file, byteLength) },
  { row: "append a page, truncate", unit: "us", measure: (_context, file, byteLength) => appendTruncate(file, byteLength) },
  { row: "swapon", unit: "us/page", measure: (context, file, byteLength) => undoing(context, async () => swapOn(context, file) * 1e6 / (byteLength / pageSize)) },
  { row: "swapfs check", unit: "ms", measure: (_context, file) => 1000 * secondsOf(() => swapfs("check", file)) },
];

export async function benchExtents(context: BenchContext): Promise<GroupResult> {
  const wanted = context.quick ? quickShapes : shapes;
  const pages = context.quick ? filePages.quick : filePages.whole;
  const byteLength = pages * pageSize;
  const samples = new Samples();
  const reason = await trying(context, "extents", async () => {
    const device = await deviceFor(context, deviceBytesFor(wanted.length, pages));
    await device.renew();
    const next = steps(context, "extents", context.rounds * wanted.length + 1);
    await next("files in many pieces are made");
    const mountpoint = fresh(context, "swapfs", device.path);
    const fileOf = makeFiles(mountpoint, byteLength, wanted);
    for (let round = 0; round < context.rounds; round += 1) {
      for (const { who } of turnsOf(wanted, round)) {
        await next(`round ${round + 1}, ${contender(who).name}`);
        for (const { row, measure } of works) samples.add(row, who, round, await measure(context, fileOf(who), byteLength));
      }
    }
  });
  if (reason !== undefined) for (const { row } of works) for (const { who } of wanted) samples.refuse(row, who, reason);
  const contenders = wanted.map(({ who }) => who);
  const heads = works.map(({ row, unit }): RowHead => ({ group: "extents", name: row, unit, better: "less", contenders }));
  return { contenders: contendersOf(heads), rows: samples.rows(heads, extentRatios) };
}

/** Every page is written, with zeros, by an activation: what comes later is not the first write to anything. */
function makeFiles(mountpoint: string, byteLength: number, wanted: readonly Shape[]): (who: ContenderId) => string {
  const fileOf = (who: ContenderId): string => join(mountpoint, who);
  makeFragmented(mountpoint, byteLength, wanted.map(({ who, pieces }) => ({ file: fileOf(who), pieces })));
  must("truncate", ["-s", "-32M", join(mountpoint, "filler")]); // room for what is appended, behind everything else
  for (const { who, pieces } of wanted) {
    swapfs("activate", fileOf(who));
    swapfs("deactivate", fileOf(who));
    must("mkswap", ["-q", fileOf(who)]);
    requirePieces(fileOf(who), pieces, extentsOf(fileOf(who)));
  }
  return fileOf;
}

/**
 * Page 0 is left alone: it holds the swap header. What comes before the ramp ends does not count: the map of an ordinary
 * file is sent to the data plane when a page has been asked for in 64 of its extents (src/dataplane/maps.ts).
 */
async function microseconds(context: BenchContext, file: string, byteLength: number, direction: "read" | "write"): Promise<number> {
  const lines = [
    `rw=rand${direction}`, "bs=4k", "direct=1", "ioengine=psync", "iodepth=1", "norandommap=1", `offset=${pageSize}`, `size=${byteLength - pageSize}`,
    "time_based=1", `runtime=${context.quick ? 30 : 350}ms`, `ramp_time=${context.quick ? 30 : 600}ms`,
  ];
  const result = (await runFio(context, file, byteLength, [{ row: direction, direction, lines }])).get(direction)!;
  return 1e6 / result.iops;
}

const repeats = 200;

function openReadClose(file: string, byteLength: number): number {
  const page = Buffer.alloc(pageSize);
  return each((n) => withOpen(file, "r", (fd) => readSync(fd, page, 0, pageSize, scattered(n, byteLength))));
}

function appendTruncate(file: string, byteLength: number): number {
  const page = Buffer.alloc(pageSize, 1);
  return withOpen(file, "r+", (fd) => each(() => {
    writeSync(fd, page, 0, pageSize, byteLength);
    ftruncateSync(fd, byteLength);
  }));
}

/** Pages all over the file, in no order. */
function scattered(n: number, byteLength: number): number {
  return ((n * 7919) % (byteLength / pageSize)) * pageSize;
}

function each(work: (n: number) => unknown): number {
  return 1e6 / repeats * secondsOf(() => {
    for (let n = 0; n < repeats; n += 1) work(n);
  });
}
