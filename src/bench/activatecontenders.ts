// Files to be swapped on, in so many pieces, on each filesystem.

import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { UserError, exitCode } from "../base/errors";
import { pageSize, pagesFor } from "../base/units";
import { undoing, type BenchContext } from "./context";
import type { ContenderId } from "./contenders";
import { fragmented, requirePieces } from "./fragments";
import { freshKernel, makeNtfs, mountNtfs, mountOursFresh, written } from "./stages";
import { must, swapfs } from "./tools";

export interface SwapfileShape {
  readonly byteLength: number;
  readonly pieces: number;
}

/** Makes the file; the turn's cleanup undoes it. A reason thrown here is shown in the row. */
export type ActivateStage = (context: BenchContext, device: string, shape: SwapfileShape) => Promise<string>;

export const activateStages = {
  swapfs: async (context, device, { byteLength, pieces }) => {
    const file = fragmented(mountOursFresh(context, device), byteLength, pieces);
    const { extents } = JSON.parse(swapfs("map", file, "--json")) as { extents: unknown[] };
    requirePieces(file, pieces, extents.length);
    return file;
  },
  ext4: async (context, device, { byteLength, pieces }) => {
    const file = fragmented(freshKernel(context, "ext4", device), byteLength, pieces);
    requirePieces(file, pieces, Number(/: (\d+) extents? found/.exec(must("filefrag", [file]))?.[1]));
    return file;
  },
  "ntfs-3g": ntfsFile,
  // Refused whatever its length: type fuse, so the kernel has no bmap to ask. Without fallocate a long one takes minutes.
  "fuse-native": async (context, device) => written(join(mountOursFresh(context, device, "fuse-native"), "a"), refusedBytes),
} as const satisfies Partial<Record<ContenderId, ActivateStage>>;

export type ActivateContender = keyof typeof activateStages;

const refusedBytes = 2 ** 24;

/** Making these takes longer than everything else together: each piece is a program run, or all of it is written. */
const ntfsBytesMax = { few: 4 * 2 ** 30, one: 16 * 2 ** 30, many: 2 ** 30 };
const fewPieces = 100;

/** ntfs-3g has no fallocate; ntfsfallocate allocates on the unmounted device. */
async function ntfsFile(context: BenchContext, device: string, { byteLength, pieces }: SwapfileShape): Promise<string> {
  const most = pieces === 1 ? ntfsBytesMax.one : pieces <= fewPieces ? ntfsBytesMax.few : ntfsBytesMax.many;
  if (byteLength > most) throw new UserError(exitCode.mountFailed, "left out: ntfs-3g takes minutes to make or to swap on such a file");
  makeNtfs(device);
  if (pieces > fewPieces) return interleaved(mountNtfs(context, device), byteLength, pieces);
  await undoing(context, async () => {
    const mountpoint = mountNtfs(context, device);
    must("touch", [join(mountpoint, "a"), join(mountpoint, "filler")]);
  });
  const bytes = pagesFor(Math.ceil(byteLength / pieces)) * pageSize;
  for (let piece = 0; piece < pieces; piece += 1) {
    const offset = piece * bytes;
    must("ntfsfallocate", ["-f", "-o", String(offset), "-l", String(Math.min(bytes, byteLength - offset)), device, "a"]);
    if (pieces > 1) must("ntfsfallocate", ["-f", "-o", String(piece * pageSize), "-l", String(pageSize), device, "filler"]);
  }
  return join(mountNtfs(context, device), "a");
}

/** Two files that grow in turn. Zeros: zram keeps them without memory. */
function interleaved(mountpoint: string, byteLength: number, pieces: number): string {
  const [file, filler] = [join(mountpoint, "a"), join(mountpoint, "filler")];
  const [one, other] = [openSync(file, "w", 0o600), openSync(filler, "w", 0o600)];
  const zeros = Buffer.alloc(pagesFor(Math.ceil(byteLength / pieces)) * pageSize);
  for (let left = byteLength; left > 0; left -= zeros.length) {
    writeSync(one, zeros, 0, Math.min(left, zeros.length));
    writeSync(other, zeros, 0, pageSize);
  }
  closeSync(one);
  closeSync(other);
  return file;
}
