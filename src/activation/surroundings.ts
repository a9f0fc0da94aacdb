// What the gate learns from outside the volume. No answer may come from the own mountpoint: while swapon waits, nobody
// answers there.

import type { WalkedExtent } from "./extentwalk";
import type { ImageLayer, UnreachableImage } from "./imagelayer";

export interface Surroundings {
  /** What lies below pages [0, pages) of a file; undefined where the volume has a device to itself. Asks anew each time. */
  image(extents: Iterable<WalkedExtent>, pages: number): ImageLayer | UnreachableImage | undefined;
  /**
   * What swapon(2) writes back of the file has been answered before the area is on. Not before Linux 6.16: there FUSE's pages count as
   * written when they are copied, and a write could come when the kernel swaps to its page already.
   */
  readonly swaponDrains: boolean;
  /** Those of `pids` that are in swapon(2) now. */
  inSwapon(pids: readonly number[]): Promise<readonly number[]>;
  /** Processes that have the file mapped shared and writable; those that cannot be looked at in a moment are left out. */
  mappedBy(ino: number): Promise<readonly number[]>;
}

export const noSurroundings: Surroundings = {
  swaponDrains: false, image: () => undefined, inSwapon: async () => [], mappedBy: async () => [],
};
