// Random histories of real system calls, real swap and real deaths, on images.

import path from "node:path";

import { hostFilesystem } from "../support/hosts";
import { historiesOn } from "./history/suite";

historiesOn("an image", async (_cleanup, dir) => ({ source: path.join(dir, "disk.img"), args: ["--size", "24M"] }), 40);

for (const type of ["xfs", "btrfs"] as const) {
  historiesOn(`an image on ${type}`, async (cleanup, dir) => {
    const host = await hostFilesystem(cleanup, dir, type);
    return { source: path.join(host, "disk.img"), args: ["--size", "32M"] };
  }, 30);
}
