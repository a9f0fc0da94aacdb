// What the gate knows of an image below the volume, and what speaks against swap on it. The reader of it has system
// calls; here is only data.

import type { WalkedExtent } from "./extentwalk";
import type { HostFilesystem } from "./hosts";
import { walkImage, type ImageExtents } from "./imagewalk";
import type { ImageFault, Reason } from "./verdict";

/** What the person who mounted takes on himself. */
export interface HostAllowances {
  /** --allow-cow */
  readonly cow: boolean;
  /** --allow-unmapped-host */
  readonly unmapped: boolean;
}

/** There is an image, and it cannot be looked at: nothing on it passes. */
export type UnreachableImage = Extract<Reason, { kind: "unreachable-image" }>;

export interface ImageLayer {
  readonly host: HostFilesystem;
  readonly allow: HostAllowances;
  /** the image's extents below the file, or the name of the errno that FIEMAP gave */
  readonly extents: ImageExtents | { readonly error: string };
}

/** Without FIEMAP: the ioctl is unknown, or known and not supported. Everything else is a failure of the host. */
const unsupported: ReadonlySet<string> = new Set(["EOPNOTSUPP", "ENOTSUP", "ENOTTY"]);

const order: readonly ImageFault[] = ["hole", "shared", "unwritten", "inline", "delalloc", "encoded", "not-aligned"];

/** `extents`, `pages`: of the file. */
export function imageReasons(image: ImageLayer | UnreachableImage, extents: Iterable<WalkedExtent>, pages: number): Reason[] {
  if ("kind" in image) return [image];
  const { host, allow } = image;
  const reasons: Reason[] = [];
  if (host.readOnly) reasons.push({ kind: "read-only-host", host: host.name });
  if (host.copies !== undefined && !allow.cow) reasons.push({ kind: "cow-host", host: host.name, why: host.copies });
  if ("error" in image.extents) {
    const { error } = image.extents;
    if (!(allow.unmapped && unsupported.has(error))) reasons.push({ kind: "unmapped-host", host: host.name, error });
    return reasons;
  }
  const { faults } = walkImage(extents, pages, image.extents);
  for (const kind of order) {
    const ranges = faults.get(kind);
    if (ranges !== undefined) reasons.push({ kind, layer: "image", ranges });
  }
  return reasons;
}
