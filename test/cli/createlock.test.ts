// What a create that was killed has left is removed under its lock: without it, another create that has just made it would lose it.

import fs from "node:fs";

import { lockNow } from "#src/cli/common/flock";
import { createSwapfile } from "#src/cli/swap/create";
import { withCleanup } from "../support/mounted-cleanup";
import { scratchDir } from "../support/mounted-devices";

test("create: an unfinished file is removed while its lock is held", () =>
  withCleanup(async (cleanup) => {
    const file = `${await scratchDir(cleanup)}/a`;
    const unfinished = file.replace(/a$/, ".a.unfinished");
    fs.writeFileSync(unfinished, "");
    const { rmSync } = fs;
    const locked: boolean[] = [];
    const spy = jest.spyOn(fs, "rmSync").mockImplementation((name, options) => {
      const other = fs.openSync(name, "r");
      locked.push(!lockNow(other));
      fs.closeSync(other);
      rmSync(name, options);
    });
    await createSwapfile(file, 65536).finally(() => spy.mockRestore());
    expect(locked).toEqual([true, true]);
    expect(fs.statSync(file)).toMatchObject({ size: 65536, nlink: 1 });
  }));
