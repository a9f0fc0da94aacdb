// Activation: swapon asks for each page of the file where it lies, in one request a page where a daemon answers.

import { UserError, exitCode } from "../base/errors";
import { formatByteLength, pageSize } from "../base/units";
import { activateStages, type ActivateContender, type ActivateStage, type SwapfileShape } from "./activatecontenders";
import { deviceFor, Steps, turn, type BenchContext, type GroupResult } from "./context";
import { contender } from "./contenders";
import type { BenchDevice } from "./device";
import { turnsOf } from "./rounds";
import { atMost, type RatioRule } from "./rules";
import { contendersOf, Samples, type RowHead } from "./samples";
import { must, timed } from "./tools";

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
];

export async function benchActivate(context: BenchContext): Promise<GroupResult> {
  const shapes = shapesFor(context);
  const lengths = shapes.map(({ byteLength }) => withRoom(byteLength));
  // A device that was given may be too small for some of the files only.
  const device = await deviceFor(context, context.givenDevice === undefined ? Math.max(...lengths) : Math.min(...lengths));
  const samples = new Samples();
  const turns = shapes.flatMap((shape) => roundsOf(context, shape).flatMap((round) =>
    turnsOf(contenders, round).map((who) => ({ shape, round, who }))));
  const steps = new Steps(context, "activate", turns.length);
  for (const { shape, round, who } of turns) {
    await steps.next(`round ${round + 1}, ${shapeText(shape)}, ${contender(who).name}`);
    await turn(context, samples, who, [rowName(shape)], async () => {
      requireRoom(device, shape);
      await device.renew();
      const stage: ActivateStage = activateStages[who];
      samples.add(rowName(shape), who, round, activation(context, await stage(context, device.path, shape), shape));
    });
  }
  const heads = shapes.map((shape): RowHead => ({ group: "activate", name: rowName(shape), unit: "us/page", better: "less", contenders }));
  return { contenders: contendersOf(heads, contender), rows: samples.rows(heads, activateRatios) };
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

/** Microseconds a page. */
function activation(context: BenchContext, file: string, { byteLength }: SwapfileShape): number {
  must("mkswap", ["-q", file]);
  const seconds = timed("swapon", ["-p", "10", file]);
  context.cleanup.add(`swapoff ${file}`, () => must("swapoff", [file]));
  return (seconds * 1e6) / (byteLength / pageSize);
}

function rowName(shape: SwapfileShape): string {
  return `swapon of ${shapeText(shape)}`;
}

function shapeText({ byteLength, pieces: count }: SwapfileShape): string {
  return `${formatByteLength(byteLength)}, ${count.toLocaleString("en-US")} extent${count === 1 ? "" : "s"}`;
}
