// Files to be swapped on, in so many pieces, on each filesystem.

import { join } from "node:path";
import { UserError, exitCode } from "../base/errors";
import { pageSize, wholePages } from "../base/units";
import { undoing, type BenchContext } from "./context";
import type { ContenderId } from "./contenders";
import { extraShare, fragmented, requirePieces } from "./fragments";
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
    requirePieces(file, pieces, piecesOf(file));
    return file;
  },
  "ntfs-3g": ntfsFile,
  // Refused whatever its length: type fuse, so the kernel has no bmap to ask. Without fallocate a long one takes minutes.
  "fuse-native": async (context, device) => written(join(mountOursFresh(context, device, "fuse-native"), "a"), refusedBytes),
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
  makeNtfs(device);
  await undoing(context, async () => {
    const mountpoint = mountNtfs(context, device);
    must("touch", [join(mountpoint, "a"), join(mountpoint, "filler")]);
  });
  const bytes = pieces === 1 ? byteLength : wholePages(Math.floor(byteLength / pieces / extraShare)) * pageSize;
  const allocate = (name: string, offset: number, length: number): unknown =>
    must("ntfsfallocate", ["-f", "-o", String(offset), "-l", String(length), device, name]);
  for (let offset = 0, piece = 0; offset < byteLength; offset += bytes, piece += 1) {
    allocate("a", offset, Math.min(bytes, byteLength - offset));
    if (pieces > 1) allocate("filler", piece * pageSize, pageSize);
  }
  const file = join(mountNtfs(context, device), "a");
  requirePieces(file, pieces, piecesOf(file));
  return file;
}

function piecesOf(file: string): number {
  return Number(/: (\d+) extents? found/.exec(must("filefrag", [file]))?.[1]);
}
