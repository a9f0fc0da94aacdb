// The volume of a whole test file: an image in a folder of its own, mounted before its tests, gone after them.

import path from "node:path";

import { mountSwapfs } from "./mounted";
import { Cleanup } from "./mounted-cleanup";
import { scratchDir } from "./mounted-devices";

export interface ImageUnderTest {
  readonly cleanup: Cleanup;
  readonly dir: string;
  readonly image: string;
  readonly mountpoint: string;
  /** Path of a file on the mount. */
  at(name: string): string;
}

/** To be called once, outside of tests; `size` as `--size` takes it, without it nothing is mounted. Paths are known in tests. */
export function imageUnderTest(size?: string): ImageUnderTest {
  const cleanup = new Cleanup();
  const paths = { dir: "", image: "", mountpoint: "" };
  beforeAll(async () => {
    paths.dir = await scratchDir(cleanup);
    paths.image = path.join(paths.dir, "disk.img");
    paths.mountpoint = path.join(paths.dir, "mnt");
    if (size !== undefined) await mountSwapfs(cleanup, paths.image, paths.mountpoint, { args: ["--size", size] });
  });
  afterAll(() => cleanup.run());
  return {
    cleanup,
    get dir() { return paths.dir; },
    get image() { return paths.image; },
    get mountpoint() { return paths.mountpoint; },
    at: (name) => path.join(paths.mountpoint, name),
  };
}
