// What `swapfs mount --engine fuse-native` hands over in the environment.

import { assert } from "../../base/assert";

export interface Settings {
  /** image file or block device that holds the volume */
  readonly device: string;
  readonly mountpoint: string;
  readonly runDir: string | undefined;
  /** where `{"ready":true}` or `{"error":"…"}` is written, once */
  readonly readyFd: number | undefined;
}

export function readSettings(environment: NodeJS.ProcessEnv): Settings {
  const device = environment["SWAPFS_DEVICE"];
  const mountpoint = environment["SWAPFS_MOUNTPOINT"];
  assert(device !== undefined && mountpoint !== undefined, "swapfs mount sets SWAPFS_DEVICE and SWAPFS_MOUNTPOINT");
  const readyFd = environment["SWAPFS_READY_FD"];
  return {
    device, mountpoint, runDir: environment["SWAPFS_RUN_DIR"], readyFd: readyFd === undefined ? undefined : Number(readyFd),
  };
}
