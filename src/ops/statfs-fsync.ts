// What concerns the whole filesystem: FUSE_STATFS, _FSYNC, _FSYNCDIR, _SYNCFS, _DESTROY.

import { logLine } from "../base/log";
import { messageOf } from "../base/errors";
import { pageSize, wholePages } from "../base/units";
import { nameBytesMax } from "../volume/changes";
import type { opcodes } from "../wire/opcodes";
import { emptyReply, errorReply, structReply } from "../wire/reply";
import { fuse_statfs_out } from "../wire/structs";
import type { FileSystem } from "../blocks/filesystem";
import type { RequestOf } from "./handler";

/** An image promises no more than its host has left: f_bavail says what a program may really get. */
export function handleStatfs(fs: FileSystem, request: RequestOf<typeof opcodes.statfs>): Buffer | Promise<Buffer> {
  const host = fs.volume.device.hostFreeBytes?.();
  if (host === undefined) return statfsReply(fs, request, Infinity);
  return host.then((bytes) => statfsReply(fs, request, wholePages(bytes)), () => statfsReply(fs, request, Infinity));
}

function statfsReply(fs: FileSystem, { header }: RequestOf<typeof opcodes.statfs>, hostPages: number): Buffer {
  const { pages, freePages, inodes, freeInodes } = fs.volume.statfs();
  const free = freePages + fs.grants.aheadPages;
  return structReply(header, fuse_statfs_out, {
    st: {
      blocks: BigInt(pages), bfree: BigInt(free), bavail: BigInt(Math.min(free, hostPages)),
      files: BigInt(inodes + freeInodes), ffree: BigInt(freeInodes), bsize: pageSize, namelen: nameBytesMax, frsize: pageSize,
      padding: 0, spare: Buffer.alloc(24),
    },
  });
}

/** The journal and the data lie on one device, so its flush makes both durable; fdatasync saves nothing here. */
export async function handleFsync(
  fs: FileSystem, { header, body }: RequestOf<typeof opcodes.fsync | typeof opcodes.fsyncdir>,
): Promise<Buffer> {
  fs.applyTouched();
  await fs.volume.flush();
  fs.lostWrites.checkFile(header.nodeid, body.fh);
  return emptyReply(header);
}

export async function handleSyncfs(fs: FileSystem, { header }: RequestOf<typeof opcodes.syncfs>): Promise<Buffer> {
  fs.applyTouched();
  await fs.volume.flush();
  fs.lostWrites.checkAll();
  return emptyReply(header);
}

/** umount(8) waits for the reply: then the volume is clean, closed, and free for the next mount. */
export function handleDestroy(fs: FileSystem, { header }: RequestOf<typeof opcodes.destroy>): Buffer {
  try {
    fs.destroy();
  } catch (error) {
    logLine(`cannot close the volume in order: ${messageOf(error)}; the next mount replays its journal`);
    return errorReply(header, "EIO");
  }
  return emptyReply(header);
}
