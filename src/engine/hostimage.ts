// An image as it lies on its host, for the gate and for a person who mounts it.

import type { WalkedExtent } from "../activation/extentwalk";
import { hostFilesystem } from "../activation/hosts";
import { imageReasons, type HostAllowances, type ImageLayer } from "../activation/imagelayer";
import { joinExtents, windowsOf, type ImageExtents } from "../activation/imagewalk";
import type { Reason } from "../activation/verdict";
import { addon } from "../sys/addon";
import { hostFacts } from "../sys/hostfile";
import { withOpen } from "../sys/kernelfiles";

/** What lies below pages [0, pages) of a file of the volume that begins at `offset`, in bytes, of the image `fd`. */
export function readImageLayer(
  { fd, offset }: { fd: number; offset: number }, allow: HostAllowances, extents: Iterable<WalkedExtent>, pages: number,
): ImageLayer {
  const { magic, flags, options } = hostFacts(fd);
  return { host: hostFilesystem(magic, flags, options), allow, extents: readExtents(fd, offset, extents, pages) };
}

// The first question writes out the image, so that nothing is delalloc (FIEMAP_FLAG_SYNC: fiemap_prep in fs/ioctl.c).
// Our own I/O is direct and leaves nothing to write, so that it costs nothing.
function readExtents(fd: number, base: number, extents: Iterable<WalkedExtent>, pages: number): ImageExtents | { error: string } {
  try {
    return joinExtents(windowsOf(extents, pages).map(({ offset, length }, index) =>
      addon().fiemap(fd, base + offset, length, index === 0).map((value, at) => (at % 4 === 0 ? value - base : value))));
  } catch (error) {
    return { error: (error as NodeJS.ErrnoException).code ?? "EIO" };
  }
}

/** The host's own reasons against every file of the image, asked about its first page. */
export function hostOfImage(path: string, allow: HostAllowances): { host: ImageLayer["host"]; reasons: Reason[] } {
  const page: WalkedExtent = { filePage: 0, devicePage: 0, count: 1, state: "written" };
  const layer = withOpen(path, "r", (fd) => readImageLayer({ fd, offset: 0 }, allow, [page], 1));
  return { host: layer.host, reasons: imageReasons(layer, [page], 1).filter((reason) => "host" in reason) };
}
