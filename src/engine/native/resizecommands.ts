// grow and shrink, as the control socket offers them. Shrinking may take long: it says how far it is, and the asker ends it.

import { UserError, exitCode, messageOf } from "../../base/errors";
import { logLine } from "../../base/log";
import { formatByteLength } from "../../base/units";
import type { FileSystem } from "../../blocks/filesystem";
import { grow, shrink, type Resized } from "../../volume/resizing";
import type { TailProgress } from "../../volume/tail";
import type { Asker, Commands } from "../control-socket";
import { pathsOf } from "./status";

const tellMs = 100;

/** {bytes}. Both answer with Resized; events of a shrink are TailProgress. */
export function resizeCommands(fs: FileSystem, mountpoint: string): Commands {
  let shrinking = false;
  return {
    grow: ({ bytes }) => resized("grew", async () => grow(fs.volume, typeof bytes === "number" ? bytes : undefined)),
    shrink: ({ bytes }, asker) => resized("shrank", async () => {
      if (typeof bytes !== "number") throw new UserError(exitCode.usage, "cannot shrink the volume: no size given");
      if (shrinking) throw new UserError(exitCode.mountFailed, "cannot shrink the volume: it is being shrunk already, wait for the end of that");
      shrinking = true;
      return shrinkTo(fs, mountpoint, bytes, asker).finally(() => (shrinking = false));
    }),
  };
}

/** Every failure is told in its own words, which begin with "cannot". */
async function resized(verb: string, work: () => Promise<Resized>): Promise<Resized> {
  try {
    const done = await work();
    if (done.before !== done.bytes) logLine(`the volume ${verb} from ${formatByteLength(done.before)} to ${formatByteLength(done.bytes)}`);
    return done;
  } catch (error) {
    logLine(messageOf(error));
    throw error instanceof UserError ? error : new UserError(exitCode.mountFailed, messageOf(error));
  }
}

async function shrinkTo(fs: FileSystem, mountpoint: string, byteLength: number, { signal, tell }: Asker): Promise<Resized> {
  const { volume } = fs;
  const parts = {
    volume,
    commit: fs.commit.bind(fs),
    exclusive: fs.exclusive.bind(fs),
    free: fs.deferredFree.free.bind(fs.deferredFree),
    settle: () => fs.grants.endAll(),
    isPinned: (ino: number) => !fs.leases.mayMove(ino),
    nameOf: (ino: number) => {
      const path = pathsOf(volume).get(ino);
      return path === undefined ? `inode ${ino}` : `${mountpoint}${path}`;
    },
  };
  const progress: TailProgress = { moved: 0, total: 0 };
  const timer = setInterval(() => tell(progress), tellMs);
  try {
    return await shrink(parts, byteLength, progress, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new UserError(exitCode.mountFailed, "cannot finish shrinking: it was called off; what was moved stays where it is, the size is as before");
  } finally {
    clearInterval(timer);
  }
}
