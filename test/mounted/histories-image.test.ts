// Random histories of real system calls, real swap and real deaths, on images.

import path from "node:path";

import { hostFilesystem } from "../support/hosts";
import { historiesOn } from "./history/suite";

historiesOn("an image", async (_cleanup, dir) => ({ source: path.join(dir, "disk.img"), args: ["--size", "24M"] }), 50);

historiesOn("an image on btrfs", async (cleanup, dir) => {
  const host = await hostFilesystem(cleanup, dir, "btrfs");
  return { source: path.join(host, "disk.img"), args: ["--size", "32M"] };
}, 50);
