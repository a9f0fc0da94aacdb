// FUSE_BMAP, as it reaches the control plane: that of block 0, with which swapon begins, sets off the activation; the
// others are answered in the data plane from the pinned map.

import { narrow, pageSize } from "../base/units";
import type { Inode } from "../volume/inode";
import type { opcodes } from "../wire/opcodes";
import { structReply } from "../wire/reply";
import { fuse_bmap_out } from "../wire/structs";
import type { FileSystem } from "../blocks/filesystem";
import type { RequestOf } from "./handler";

/** A refusal is block 0, a hole. Never ENOSYS: fuse_bmap (fs/fuse/file.c) latches no_bmap on the first one. */
export async function handleBmap(fs: FileSystem, { header, body }: RequestOf<typeof opcodes.bmap>): Promise<Buffer> {
  const ino = header.nodeid;
  // Judged each time: a file may still be pinned by an open handle while somebody else opens it for writing.
  const judged = body.block === 0n || !fs.isPinned(ino);
  const accepted = !judged || (await fs.activate(ino, header.pid))?.accepted === true;
  const inode = fs.volume.inode(ino);
  const block = accepted && inode !== undefined ? blockOf(inode, narrow(body.block, "fuse_bmap_in.block"), body.blocksize) : 0;
  return structReply(header, fuse_bmap_out, { block: BigInt(block) });
}

/** In units of the request's own block size: that of the superblock, of the device's sectors, or 512 for FIBMAP. */
export function blockOf(inode: Inode, block: number, blockBytes: number): number {
  if (blockBytes < 512 || blockBytes > pageSize || pageSize % blockBytes !== 0) return 0;
  const inPage = pageSize / blockBytes;
  const filePage = Math.floor(block / inPage);
  const extent = inode.extents.find(filePage);
  return extent === undefined ? 0 : (extent.devicePage + filePage - extent.filePage) * inPage + (block % inPage);
}
