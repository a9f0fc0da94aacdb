// Run directories are named by the number of a device, which another mount on the machine has as soon as it is free. So tests
// remember the directory itself, by a descriptor: while that is open, no other has its inode number.

import { closeSync, fstatSync, statSync } from "node:fs";

import { openRunDir, removeRunDir } from "#src/cli/mount/rundir";
import type { Cleanup } from "./mounted-cleanup";

export interface RememberedRunDir {
  /** Under its name. */
  isThere(): boolean;
  /** For one whose keeper was killed: nobody else removes it before the next mount gets the number. */
  remove(): Promise<void>;
}

export function rememberRunDir(cleanup: Pick<Cleanup, "add">, runDir: string): RememberedRunDir {
  const fd = openRunDir(runDir)!;
  cleanup.add(`a descriptor of ${runDir}`, () => closeSync(fd));
  return {
    isThere: () => statSync(runDir, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino,
    remove: async () => void (await removeRunDir(runDir, 0, fd)),
  };
}
