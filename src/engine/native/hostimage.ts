// The image below the volume, as `swapfs prepare` looks at it (through the gate's own eyes) and changes it.

import type { Surroundings } from "../../activation/surroundings";
import { unreadyIn, type PrepareImage } from "../../blocks/prepare/image";
import type { ImageRun } from "../../blocks/prepare/plan";
import type { BlockDevice } from "../../volume/blockdevice";
import type { Extent } from "../../volume/changes";

/** undefined for a volume that has a device to itself. */
export function hostImageOf(device: BlockDevice, surroundings: Surroundings | undefined): PrepareImage | undefined {
  if (device.writeBacking === undefined || surroundings === undefined) return undefined;
  return {
    unready: (extents) => unreadyBelow(extents, surroundings),
    writeZeros: ({ page, count }) => device.writeBacking!(page, count),
  };
}

function unreadyBelow(extents: readonly Extent[], surroundings: Surroundings): ImageRun[] {
  const last = extents.at(-1);
  const layer = last && surroundings.image(extents, last.filePage + last.count);
  // A host that does not say: nothing is known, and so nothing can be made better. The gate tells that.
  return layer === undefined || "kind" in layer || "error" in layer.extents ? [] : unreadyIn(extents, layer.extents);
}
