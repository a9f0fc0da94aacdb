// Random histories of real system calls, real swap and real deaths, on images.

import path from "node:path";

import { hostFilesystem, type HostType } from "../support/hosts";
import { historiesOn, type Source } from "./history/suite";

const onRoot: Source = {
  name: "an image",
  histories: 40,
  make: async (_cleanup, dir) => ({ source: path.join(dir, "disk.img"), args: ["--size", "24M"] }),
};

const onHost = (type: HostType): Source => ({
  name: `an image on ${type}`,
  histories: 30,
  make: async (cleanup, dir) => ({ source: path.join(await hostFilesystem(cleanup, dir, type), "disk.img"), args: ["--size", "32M"] }),
});

historiesOn([onRoot, onHost("xfs"), onHost("btrfs")]);
