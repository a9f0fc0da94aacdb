// What the files of this folder use of a FileSystem, which is made of them.

import type { DataPort } from "../dataplane/port";
import type { DeviceRun } from "../volume/blockdevice";
import type { Change } from "../volume/changes";
import type { Volume } from "../volume/volume";
import type { DeferredFree } from "./deferred-free";
import type { Grants } from "./grants";

export interface BlockParts {
  readonly volume: Volume;
  readonly data: DataPort;
  readonly deferredFree: DeferredFree;
  readonly grants: Grants;
  commit(changes: readonly Change[]): readonly DeviceRun[];
}
