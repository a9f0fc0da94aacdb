// The commands of the control socket.

import { setTimeout as sleep } from "node:timers/promises";
import { nobody } from "../../activation/activate";
import { assess } from "../../activation/assess";
import type { Verdict } from "../../activation/verdict";
import { FsError, messageOf } from "../../base/errors";
import { bytesOfPages, pageSize } from "../../base/units";
import type { FileSystem } from "../../blocks/filesystem";
import type { PrepareImage } from "../../blocks/prepare/image";
import type { FsckReport } from "../../volume/fsck";
import type { Inode } from "../../volume/inode";
import type { Commands, Question } from "../control-socket";
import { mapFile } from "./mapcommand";
import { prepareCommand } from "./preparecommand";
import { pinCommands } from "./pincommands";
import { resizeCommands } from "./resizecommands";
import { controlStatus, pathsOf, withPath, type StatusParts } from "./status";

export interface CommandParts extends StatusParts {
  readonly mountpoint: string;
  /** where the volume lies in one */
  readonly image?: PrepareImage | undefined;
}

/** No command touches the own mountpoint: a serving process that waits for its own answer never gets it. */
export function makeCommands(parts: CommandParts): Commands {
  return lookingFirst(parts, {
    status: () => controlStatus(parts),
    fsck: () => fsck(parts),
    check: (question) => check(parts, question),
    map: (question) => mapFile(parts.fs, named(parts.fs, question)),
    swaps: () => swappedOn(parts),
    view: (question, asker) => parts.views.make(named(parts.fs, question).ino, question["encrypted"] === true, asker),
    views: () => parts.views.shown().map((view) => withPath(view, pathsOf(parts.fs.volume).get(view.ino))),
    ...resizeCommands(parts.fs, parts.mountpoint),
    prepare: (question, asker) => prepareCommand(parts.fs, named(parts.fs, question).ino, parts.image, question, asker),
    ...pinCommands(parts.fs, (question) => named(parts.fs, question).ino),
  });
}

/** Longer waits only who is behind a request that does not end, or a device that does not answer; and `status` is to tell of these. */
const lookMsMax = 1000;

/** No command finds a file in use by a block view that has gone. */
function lookingFirst(parts: CommandParts, commands: Commands): Commands {
  return Object.fromEntries(Object.entries(commands).map(([name, command]) => [name, async (question, asker) => {
    await Promise.race([parts.views.look(), sleep(lookMsMax, undefined, { ref: false })]);
    try {
      return await command(question, asker);
    } catch (error) {
      throw error instanceof FsError ? withName(parts, question, error) : error;
    }
  }]));
}

/** What a log says of an inode by its number, with the path for who asked about the file. */
function withName({ fs, mountpoint }: CommandParts, { ino }: Question, { code, message }: FsError): FsError {
  const path = typeof ino === "number" ? pathsOf(fs.volume).get(ino) : undefined;
  return new FsError(code, path === undefined ? message : message.replace(new RegExp(`\\bino ${ino}\\b`), () => `${mountpoint}${path}`));
}

/** By inode: what the kernel calls them depends on the mount through which they were swapped on. */
function swappedOn({ fs, handles }: CommandParts): { ino: number; path?: string | undefined }[] {
  const paths = pathsOf(fs.volume);
  return [...handles.openInodes()].filter((ino) => handles.isSwapon(ino)).map((ino) => ({ ino, path: paths.get(ino) }));
}

/** Reads nothing but memory: what is on the device may be older until the next flush. */
function fsck({ fs }: CommandParts): FsckReport {
  fs.grants.drain();
  return fs.volume.check();
}

/** {ino}, and {header: the first bytes in base64} from a reader of the file itself. */
async function check({ fs, handles }: CommandParts, question: Question): Promise<Verdict> {
  const inode = named(fs, question);
  const parts = { volume: fs.volume, handles, surroundings: fs.surroundings };
  await fs.settleSharingAlone(inode.ino);
  const verdict = await assess(parts, inode.ino, { requester: nobody, ...headerOf(fs, inode, question["header"]) });
  if (verdict === undefined) throw new FsError("ENOENT", `inode ${inode.ino} has just been removed`);
  return verdict;
}

function headerOf(fs: FileSystem, inode: Inode, given: unknown): { header?: Buffer; headerError?: string } {
  if (typeof given === "string") return { header: Buffer.from(given, "base64") };
  try {
    const header = page0(fs, inode);
    return header === undefined ? {} : { header };
  } catch (error) {
    return { headerError: messageOf(error) };
  }
}

function named({ volume, grants }: FileSystem, { ino }: Question): Inode {
  grants.drain(); // a file is judged with all that has been written to it
  const found = typeof ino === "number" ? volume.inode(ino) : undefined;
  if (!found) throw new FsError("ENOENT", `no such file: inode ${String(ino)}`);
  return found;
}

/** Page 0 as the file shows it; undefined for what has none. */
function page0({ volume }: FileSystem, inode: Inode): Buffer | undefined {
  if (inode.entries || inode.size < pageSize) return undefined;
  const extent = inode.extents.find(0);
  if (extent === undefined || extent.state === "unwritten") return Buffer.alloc(pageSize);
  return volume.device.read(bytesOfPages(extent.devicePage), pageSize);
}
