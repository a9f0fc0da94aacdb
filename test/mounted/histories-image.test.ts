// Random histories of real system calls, real swap and real deaths, on images. That every kind of step is taken is proved on a block
// device (histories-device.test.ts), by the same generator; here it is the host that makes the difference.

import path from "node:path";

import { hostFilesystem, type HostType } from "../support/hosts";
import { historiesOn, type Source } from "./history/suite";

const onRoot: Source = {
  name: "an image",
  histories: 3,
  make: async (_cleanup, dir) => ({ source: path.join(dir, "disk.img"), args: ["--size", "24M"] }),
};

const onHost = (type: HostType): Source => ({
  name: `an image on ${type}`,
  histories: 3,
  make: async (cleanup, dir) => ({ source: path.join(await hostFilesystem(cleanup, dir, type), "disk.img"), args: ["--size", "32M"] }),
});

/** What the host sees: blocks that are written, given back and taken, swap, and a dead mount. */
const least = (): Readonly<Record<string, number>> => ({ write: 1, "clone = done": 1, punch: 1, unlink: 1, "swapped on": 1, "pages went out": 1 });

for (const source of [onRoot, onHost("xfs"), onHost("btrfs")]) historiesOn(source, { least, more: 20 });
