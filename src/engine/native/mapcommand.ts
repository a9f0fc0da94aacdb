// Where a file lies, for `swapfs map`: its extents on the volume's device, and, for an image, on the host below.

import type { ImageLayer, UnreachableImage } from "../../activation/imagelayer";
import { eachPiece } from "../../activation/imagewalk";
import { type FiemapFlag, decodeFlags } from "../../base/fiemap";
import type { FileSystem } from "../../blocks/filesystem";
import type { Extent } from "../../volume/changes";
import type { Inode } from "../../volume/inode";

/** A piece of an image file that lies in a row on the host's device, all in bytes. */
export interface MappedPiece {
  readonly offset: number;
  readonly image: number;
  /** absent for a hole */
  readonly host?: number;
  readonly length: number;
  readonly flags: readonly FiemapFlag[];
}

export interface FileMap {
  readonly ino: number;
  readonly size: number;
  /** in pages */
  readonly extents: readonly Extent[];
  readonly image?: { readonly host: string; readonly pieces?: readonly MappedPiece[]; readonly error?: string };
}

export function mapFile({ surroundings }: FileSystem, inode: Inode): FileMap {
  const extents = [...inode.extents];
  const layer = surroundings?.image(extents, Infinity);
  return { ino: inode.ino, size: inode.size, extents, ...(layer === undefined ? {} : { image: imageMap(layer, extents) }) };
}

function imageMap(layer: ImageLayer | UnreachableImage, extents: readonly Extent[]): NonNullable<FileMap["image"]> {
  if ("kind" in layer) return { host: layer.file, error: layer.why };
  const { host, extents: image } = layer;
  if ("error" in image) return { host: host.name, error: image.error };
  const pieces: MappedPiece[] = [];
  eachPiece(extents, Infinity, image, ({ file, image: offset, host: at, length, flags }) => {
    pieces.push({ offset: file, image: offset, ...(at < 0 ? {} : { host: at }), length, flags: decodeFlags(flags).filter((flag) => flag !== "last") });
  });
  return { host: host.name, pieces };
}
