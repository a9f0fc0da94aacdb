// A mount whose device does what a test says.

import { constants, promises as fs } from "node:fs";
import path from "node:path";

import { DeviceFaults } from "../support/faults";
import type { Cleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";
import { FakeMount } from "./fake";

export interface Faulty {
  readonly mount: FakeMount;
  readonly faults: DeviceFaults;
}

export async function faultyMount(cleanup: Cleanup, keeperArgs: readonly string[] = []): Promise<Faulty> {
  const faults = await DeviceFaults.make(path.join(await scratchDir(cleanup), "faults"));
  return { mount: await FakeMount.mounted(cleanup, { keeperArgs, env: { SWAPFS_TEST_FAULTS: faults.file } }), faults };
}

/** File 0, past the page cache. */
export async function opened<T>(mount: FakeMount, work: (handle: fs.FileHandle) => Promise<T>): Promise<T> {
  const handle = await fs.open(mount.at(0), constants.O_RDWR | constants.O_DIRECT);
  try {
    return await work(handle);
  } finally {
    await handle.close();
  }
}
