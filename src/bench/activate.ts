// Activation: swapon asks for each page of the file where it lies, in one request a page where a daemon answers.

import { join } from "node:path";
import { UserError, exitCode } from "../base/errors";
import { formatByteLength, pageSize, wholePages } from "../base/units";
import { contender, type ContenderId } from "./contenders";
import { deviceFor, steps, turn, type BenchContext, type GroupResult, undoing, turnsOf } from "./context";
import type { BenchDevice } from "./device";
import { extraShare, fragmented, requirePieces } from "./fragments";
import { atMost, type RatioRule, contendersOf, Samples, type RowHead } from "./samples";
import { fresh, make, mount, swapOn, swapPriority, written } from "./stages";
import { extentsOf, must, secondsOf, swapfs } from "./tools";

export interface SwapfileShape {
  readonly byteLength: number;
  readonly pieces: number;
}

/** Makes the file; the turn's cleanup undoes it. A reason thrown here is shown in the row. */
export type ActivateStage = (context: BenchContext, device: string, shape: SwapfileShape) => Promise<string>;

export const activateStages = {
  swapfs: async (context, device, { byteLength, pieces }) => {
    const file = fragmented(fresh(context, "swapfs", device), byteLength, pieces);
    requirePieces(file, pieces, extentsOf(file));
    return file;
  },
  "swapfs-block": async (context, device, { byteLength, pieces }) => {
    if (pieces > 1) throw new UserError(exitCode.mountFailed, "left out: a block view by loop device takes a file in one extent");
    const file = join(fresh(context, "swapfs", device), "a");
    swapfs("create", file, "--block", "--size", String(byteLength));
    return file;
  },
  ext4: async (context, device, { byteLength, pieces }) => {
    const file = fragmented(fresh(context, "ext4", device), byteLength, pieces);
    requirePieces(file, pieces, piecesOf(file));
    return file;
  },
  "ntfs-3g": ntfsFile,
  // Refused whatever its length: type fuse, so the kernel has no bmap to ask. Without fallocate a long one takes minutes.
  "fuse-native": async (context, device) => written(join(fresh(context, "fuse-native", device), "a"), refusedBytes),
} as const satisfies Partial<Record<ContenderId, ActivateStage>>;

export type ActivateContender = keyof typeof activateStages;

const refusedBytes = 2 ** 24;

/** More than this takes minutes to swap on (16 to 30 us a page) or, in many pieces, to make. */
const ntfsBytesMax = { one: 2 ** 34, few: 2 ** 32, many: 0 };
const fewPieces = 1000;

/** ntfs-3g has no fallocate; ntfsfallocate allocates on the unmounted device: in pieces, of two files in turn. */
async function ntfsFile(context: BenchContext, device: string, { byteLength, pieces }: SwapfileShape): Promise<string> {
  const most = pieces === 1 ? ntfsBytesMax.one : pieces < fewPieces ? ntfsBytesMax.few : ntfsBytesMax.many;
  if (byteLength > most) throw new UserError(exitCode.mountFailed, "left out: ntfs-3g takes minutes to make such a file or to swap on it");
  make("ntfs-3g", device);
  await undoing(context, async () => {
    const mountpoint = mount(context, "ntfs-3g", device);
    must("touch", [join(mountpoint, "a"), join(mountpoint, "filler")]);
  });
  const bytes = pieces === 1 ? byteLength : wholePages(Math.floor(byteLength / pieces / extraShare)) * pageSize;
  const allocate = (name: string, offset: number, length: number): unknown =>
    must("ntfsfallocate", ["-f", "-o", String(offset), "-l", String(length), device, name]);
  for (let offset = 0, piece = 0; offset < byteLength; offset += bytes, piece += 1) {
    allocate("a", offset, Math.min(bytes, byteLength - offset));
    if (pieces > 1) allocate("filler", piece * pageSize, pageSize);
  }
  const file = join(mount(context, "ntfs-3g", device), "a");
  requirePieces(file, pieces, piecesOf(file));
  return file;
}

function piecesOf(file: string): number {
  return Number(/: (\d+) extents? found/.exec(must("filefrag", [file]))?.[1]);
}

const gib = 2 ** 30;
const pieces = [1, 100, 10_000];
/** Longer files are swapped on once: 16 GiB take a daemon half a minute or more. */
const repeatedBytesMax = gib;
/** Beside the file there is room for what keeps its pieces apart, and for metadata. */
const withRoom = (byteLength: number): number => byteLength + byteLength / 8 + 2 ** 28;

const contenders = Object.keys(activateStages) as ActivateContender[];

/** 6 us a page with caller and server on one CPU; 2.5 times faster than ntfs-3g. */
export const activateRatios: readonly RatioRule[] = [
  { contender: "swapfs", against: "ntfs-3g", rows: /./, bound: atMost(0.4) },
  { contender: "swapfs-block", against: "swapfs", rows: / 1 extent$/ },
];

export async function benchActivate(context: BenchContext): Promise<GroupResult> {
  const shapes = shapesFor(context);
  const lengths = shapes.map(({ byteLength }) => withRoom(byteLength));
  // A device that was given may be too small for some of the files only.
  const device = await deviceFor(context, context.givenDevice === undefined ? Math.max(...lengths) : Math.min(...lengths));
  const samples = new Samples();
  const turns = shapes.flatMap((shape) => roundsOf(context, shape).flatMap((round) =>
    turnsOf(contenders, round).map((who) => ({ shape, round, who }))));
  const next = steps(context, "activate", turns.length);
  for (const { shape, round, who } of turns) {
    await next(`round ${round + 1}, ${shapeText(shape)}, ${contender(who).name}`);
    await turn(context, samples, who, [rowName(shape)], async () => {
      requireRoom(device, shape);
      await device.renew();
      const stage: ActivateStage = activateStages[who];
      samples.add(rowName(shape), who, round, activation(context, who, await stage(context, device.path, shape), shape));
    });
  }
  const heads = shapes.map((shape): RowHead => ({ group: "activate", name: rowName(shape), unit: "us/page", better: "less", contenders }));
  return { contenders: contendersOf(heads), rows: samples.rows(heads, activateRatios) };
}

function shapesFor({ quick }: BenchContext): SwapfileShape[] {
  if (quick) return [1, 100].map((count) => ({ byteLength: 2 ** 26, pieces: count }));
  return [1, 4, 16].flatMap((count) => pieces.map((each) => ({ byteLength: count * gib, pieces: each })));
}

function roundsOf({ rounds }: BenchContext, { byteLength }: SwapfileShape): number[] {
  return Array.from({ length: byteLength > repeatedBytesMax ? 1 : rounds }, (_, round) => round);
}

function requireRoom(device: BenchDevice, { byteLength }: SwapfileShape): void {
  if (withRoom(byteLength) <= device.byteLength) return;
  throw new UserError(exitCode.mountFailed, `left out: the device is only ${formatByteLength(device.byteLength)} long`);
}

/** Microseconds a page; those of the block view with the start of the command, and undone by the umount. */
function activation(context: BenchContext, who: ActivateContender, file: string, { byteLength }: SwapfileShape): number {
  if (who !== "swapfs-block") must("mkswap", ["-q", file]);
  const seconds = who === "swapfs-block" ? secondsOf(() => swapfs("swapon", "--block", file, "--priority", swapPriority)) : swapOn(context, file);
  return seconds * 1e6 / (byteLength / pageSize);
}

function rowName(shape: SwapfileShape): string {
  return `swapon of ${shapeText(shape)}`;
}

function shapeText({ byteLength, pieces: count }: SwapfileShape): string {
  return `${formatByteLength(byteLength)}, ${count.toLocaleString("en-US")} extent${count === 1 ? "" : "s"}`;
}
