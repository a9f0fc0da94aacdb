// Random histories of real system calls, real swap and real deaths, on a block device.

import { zramDevice } from "../support/mounted-devices";
import { historiesOn } from "./history/suite";

historiesOn({
  name: "a block device",
  histories: 10,
  make: async (cleanup) => ({ source: await zramDevice(cleanup, 24 << 20), args: ["--format"] }),
}, { more: 80 });
