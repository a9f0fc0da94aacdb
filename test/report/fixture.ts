// A report as a long run leaves it: every group, every contender, refused cells, a missed bound. The figures are made up from
// a seed, near to what was once measured.

import type { Ablation, BenchReport, Cell, Contender, Ratio, Row, Summary } from "#src/report/model";
import { summarize } from "#src/report/stats";

export const contenders: readonly Contender[] = [
  { id: "device", name: "raw device", ours: false },
  { id: "swapfs", name: "swapfs", ours: true },
  { id: "swapfs-loop", name: "swapfs --loop", ours: true },
  { id: "swapfs-activated", name: "swapfs, activated", ours: true },
  { id: "swapfs-ordinary", name: "swapfs, ordinary", ours: true },
  { id: "ext4", name: "ext4", ours: false },
  { id: "xfs", name: "xfs", ours: false },
  { id: "btrfs", name: "btrfs", ours: false },
  { id: "loop-direct", name: "loop over ext4, direct", ours: false },
  { id: "loop-buffered", name: "loop over ext4, buffered", ours: false },
  { id: "ntfs-3g", name: "ntfs-3g", ours: false },
  { id: "fuse-native", name: "fuse-native engine", ours: true },
];

const rounds = 5;
let seed = 20260131;

/** -1 to 1, the same in every run. */
function noise(): number {
  seed = (seed * 1103515245 + 12345) % 2 ** 31;
  return seed / 2 ** 30 - 1;
}

function around(value: number, spread = 0.06): Summary {
  return summarize(Array.from({ length: rounds }, () => value * (1 + spread * noise())));
}

type Figures = Readonly<Record<string, number | string>>;
interface Asked { readonly contender: string; readonly against: string; readonly bound?: readonly ["at most" | "at least", number] }

function rowOf(head: Pick<Row, "group" | "name" | "unit" | "better">, figures: Figures, asked: readonly Asked[] = [], curves = false): Row {
  const cells = Object.entries(figures).map(([contender, figure]): Cell => (typeof figure === "string"
    ? { contender, refused: figure }
    : { contender, summary: around(figure), ...(curves && { latency: { points: curve(figure) } }) }));
  return { ...head, cells, ratios: asked.flatMap((each) => ratioOf(cells, each)) };
}

function ratioOf(cells: readonly Cell[], { contender, against, bound }: Asked): Ratio[] {
  const median = (id: string): number | undefined => cells.find((cell) => cell.contender === id)?.summary?.median;
  const [one, other] = [median(contender), median(against)];
  if (one === undefined || other === undefined) return [];
  const summary = around(one / other, 0.02);
  if (!bound) return [{ contender, against, summary }];
  const met = bound[0] === "at most" ? summary.median <= bound[1] : summary.median >= bound[1];
  return [{ contender, against, summary, bound: { side: bound[0], value: bound[1] }, met }];
}

/** The more operations a second, the sooner each is done; the tail is long. */
function curve(perSecond: number): [number, number][] {
  const typical = 1e6 / perSecond;
  return ([[1, 0.6], [5, 0.7], [10, 0.75], [20, 0.8], [50, 1], [90, 1.3], [95, 1.6], [99, 2.6], [99.5, 4], [99.9, 9], [99.95, 14], [99.99, 40]] as const)
    .map(([percentile, factor]) => [percentile, Number((typical * factor * (1 + 0.1 * noise())).toFixed(3))]);
}

function swapRows(): Row[] {
  const noSwap = "swapon: Invalid argument: this kernel refuses a swapfile on btrfs here";
  const phases = { "sequential out": 4.1, "sequential in": 5.6, "random touch": 11.8 };
  return [[1, "off"], [4, "off"], [1, "on"], [4, "on"]].flatMap(([threads, pages]) => Object.entries(phases).map(([phase, us]) => {
    const random = phase === "random touch";
    return rowOf({ group: "swap", name: `${phase}, ${threads} thread${threads === 1 ? "" : "s"}, huge pages ${pages}`, unit: "us/page", better: "less" }, {
      device: us, ext4: us * 1.01, xfs: us * 1.01, btrfs: noSwap, "loop-buffered": us * (random ? 7.9 : 2.2),
      "loop-direct": us * (random ? 6.4 : 2.6), swapfs: us * 1.012, "swapfs-loop": us * (random ? 7.6 : 3.1), "ntfs-3g": us * 1.06,
    }, [
      { contender: "swapfs", against: "device", bound: ["at most", threads === 4 && random ? 1 : 1.08] },
      { contender: "loop-direct", against: "swapfs", ...(random && { bound: ["at least", 5] as const }) },
      { contender: "swapfs-loop", against: "loop-direct", bound: ["at most", 1.3] },
    ]);
  })).concat(countRows());
}

/** Counts: zeros are shown as such. */
function countRows(): Row[] {
  const row = rowOf({ group: "swap", name: "bad pages", unit: "", better: "less" }, { device: 0, swapfs: 0, btrfs: "swapon: Invalid argument" });
  return [
    { ...row, cells: row.cells.map((cell) => (cell.summary ? { ...cell, bound: { side: "at most", value: 0 } as const, met: true } : cell)) },
    rowOf({ group: "swap", name: "FUSE requests in the run", unit: "", better: "less" }, { swapfs: 0, "swapfs-loop": 81_344 }),
  ];
}

function ioRows(): Row[] {
  return [4, 128].flatMap((kib) => ["random", "sequential"].flatMap((order) => ["read", "write"].flatMap((way) => [1, 32].map((depth) => {
    const top = (kib === 4 ? 190_000 : 2600) * (depth === 1 ? 1 : 2.6) * (order === "random" ? 0.9 : 1);
    return rowOf({ group: "io", name: `${kib} KiB ${order} ${way}, depth ${depth}, 1 job`, unit: kib === 4 ? "IOPS" : "MB/s", better: "more" }, {
      device: top, ext4: top * 0.93, "loop-direct": top * 0.34, "swapfs-ordinary": top * 0.21, "swapfs-activated": top * 0.42, "ntfs-3g": top * 0.11,
      "fuse-native": way === "write" && depth === 32 ? "cannot run fio: the engine answers <one> request at a time" : top * 0.041,
    }, [
      { contender: "swapfs-activated", against: "fuse-native", ...(kib === 4 && way === "read" && { bound: ["at least", depth === 1 ? 5 : 10] as const }) },
      { contender: "swapfs-ordinary", against: "ntfs-3g", bound: ["at least", 1] },
    ], true);
  }))));
}

function activateRows(): Row[] {
  const noBmap = "swapon: Invalid argument (the engine has no BMAP)";
  return [1, 4, 16].flatMap((gib) => [1, 100, 10_000].map((count) => rowOf(
    { group: "activate", name: `swapon of ${gib} GiB, ${count.toLocaleString("en-US")} extent${count === 1 ? "" : "s"}`, unit: "us/page", better: "less" },
    {
      ext4: 0.002 + count / 4e6, swapfs: 6.1 + Math.log10(count) / 20,
      "ntfs-3g": gib === 16 && count === 10_000 ? "took longer than 120 s" : 16.2 + count / 180, "fuse-native": noBmap,
    },
    [{ contender: "swapfs", against: "ntfs-3g", bound: ["at most", 0.4] }])));
}

function metadataRows(): Row[] {
  const rate = (name: string, ...[ours, ntfs, ext4]: [number, number, number]): Row =>
    rowOf({ group: "metadata", name, unit: "files/s", better: "more" }, { ext4, swapfs: ours, "ntfs-3g": ntfs }, [{ contender: "swapfs", against: "ntfs-3g" }]);
  const time = (name: string, ms: number): Row => rowOf({ group: "metadata", name, unit: "ms", better: "less" }, { swapfs: ms });
  return [
    rate("create 10,000 files", 3230, 7640, 41_000), rate("stat 10,000 files, nothing cached", 21_000, 26_000, 310_000),
    rate("rename 10,000 files", 3900, 5100, 52_000), rate("unlink 10,000 files", 4100, 8800, 61_000),
    rowOf({ group: "metadata", name: "mount with 10,000 files", unit: "ms", better: "less" }, { ext4: 4, swapfs: 390, "ntfs-3g": 12 }),
    time("checkpoint with 0 files", 1.1), time("checkpoint with 1,000 files", 4.5), time("checkpoint with 10,000 files", 38),
  ];
}

function memoryRows(): Row[] {
  const row = rowOf({ group: "memory", name: "locked: keeper + data plane", unit: "MiB", better: "less" }, { swapfs: 29.2 });
  const cells = row.cells.map((cell) => ({ ...cell, bound: { side: "at most", value: 32 } as const, met: cell.summary!.median <= 32 }));
  return [{ ...row, cells },
    rowOf({ group: "memory", name: "resident: control plane, 10,000 files", unit: "MiB", better: "less" }, { swapfs: 78.9 })];
}

function ablationOf(): Ablation {
  const bare = 6.2;
  const step = (id: string, name: string, how: string, kernelStep: string, added: number): Ablation["steps"][number] =>
    ({ id, name, switch: how, kernelStep, ...both(around(added, 0.12)) });
  const both = (added: Summary): { withStep: Summary; added: Summary } => ({ added, withStep: summarize(added.samples.map((us) => bare + us)) });
  return { base: around(bare, 0.02), steps: [
    step("lock", "exclusive inode lock", "open without FOPEN_PARALLEL_DIRECT_WRITES", "inode_lock in ext4_file_write_iter", 0.31),
    step("privileges", "privilege removal", "mount without HANDLE_KILLPRIV_V2: a GETXATTR before each write", "file_remove_privs in generic_write_checks", 5.4),
    step("times", "time update and journal commit", "mtime set and committed at each write", "file_update_time, jbd2 commit", 41.5),
    step("cache", "page cache instead of direct I/O", "open without FOPEN_DIRECT_IO", "generic_perform_write, writeback", 3.2),
    step("invalidate", "invalidation of cached pages", "NOTIFY_INVAL_INODE after each write", "invalidate_inode_pages2_range", 7.4),
    step("allocate", "allocation", "write into holes of a sparse file", "ext4_map_blocks with EXT4_GET_BLOCKS_CREATE", 58.0),
    step("cow", "copy-on-write break", "write to the clone of a file", "xfs_reflink_allocate_cow", 74.1),
    step("unwritten", "unwritten conversion", "write to preallocated pages", "ext4_convert_unwritten_extents", 51.2),
    step("control", "a trip through the control plane", "grant asked for at each write", "none: only FUSE has it", 88.0),
    step("javascript", "a trip through JavaScript", "the fuse-native engine", "none: only FUSE has it", 161.0),
  ] };
}

export const report: BenchReport = {
  format: 3,
  identity: { date: "2026-01-31 10:00", commit: "1a2b3c4", kernel: "6.18.0", cpu: "A CPU </script> & <b>Co</b>", cpus: 2, memoryBytes: 8 * 2 ** 30 },
  device: "zram", rounds, contenders,
  rows: [...swapRows(), ...ioRows(), ...activateRows(), ...metadataRows(), ...memoryRows()],
  ablation: ablationOf(),
};
