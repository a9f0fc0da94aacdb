// Random histories with races: two processes at the same time on the same file, on a device that is slow, with deaths.

import { zramDevice } from "../support/mounted-devices";
import { Slowness } from "../support/slowness";
import { historiesOn } from "./history/suite";

/** Few in `npm test`, which they take a quarter of a minute each; SWAPFS_HISTORIES=200 for more. */
historiesOn({
  name: "a slow block device",
  histories: 3,
  make: async (cleanup, dir) => ({ source: await zramDevice(cleanup, 24 << 20), args: ["--format"], slow: await Slowness.make(dir) }),
}, { least: (histories) => ({ race: 2 * histories }) });
