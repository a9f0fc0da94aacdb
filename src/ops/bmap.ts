// FUSE_BMAP, as it reaches the control plane: that of block 0, with which swapon begins, sets off the activation; of a file
// whose blocks stay, the others are answered in the data plane from the pinned map.

import { narrow, pageSize } from "../base/units";
import type { FileSystem } from "../blocks/filesystem";
import type { Inode } from "../volume/inode";
import type { opcodes } from "../wire/opcodes";
import { structReply } from "../wire/reply";
import { fuse_bmap_out } from "../wire/structs";
import type { RequestOf } from "./handler";

const O_ACCMODE = 3;
const judgedMax = 1024;

/** A refusal is block 0, a hole. Never ENOSYS: fuse_bmap (fs/fuse/file.c) latches no_bmap on the first one. */
export async function handleBmap(fs: FileSystem, { header, body }: RequestOf<typeof opcodes.bmap>): Promise<Buffer> {
  const ino = header.nodeid;
  const block = narrow(body.block, "fuse_bmap_in.block");
  const accepted = blocksStay(fs, ino, header.pid) || await isAccepted(fs, ino, header.pid, block);
  const inode = fs.volume.inode(ino);
  const answer = accepted && inode !== undefined ? blockOf(inode, block, body.blocksize) : 0;
  return structReply(header, fuse_bmap_out, { block: BigInt(answer) });
}

/**
 * A leased file is where it is for anybody who looks (filefrag, FIBMAP for a resume_offset), and not judged anew. Whoever
 * has opened it for writing may be in swapon(2), whose handle must pin the file for itself.
 */
function blocksStay(fs: FileSystem, ino: number, pid: number): boolean {
  if (fs.leases.mayMove(ino)) return false;
  return !fs.handles.of(ino).some((handle) => handle.pid === pid && handle.swapon !== true && (handle.flags & O_ACCMODE) !== 0);
}

/** swapon(2) and FIBMAP ask page by page: a file is judged once for a caller, when it begins with block 0. */
async function isAccepted(fs: FileSystem, ino: number, pid: number, block: number): Promise<boolean> {
  const known = fs.judged.get(ino);
  if (block !== 0 && known?.pid === pid) return known.accepted;
  const accepted = (await fs.activate(ino, pid))?.accepted === true;
  fs.judged.delete(ino);
  fs.judged.set(ino, { pid, accepted });
  if (fs.judged.size > judgedMax) fs.judged.delete(fs.judged.keys().next().value!);
  return accepted;
}

/** In units of the request's own block size: that of the superblock, of the device's sectors, or 512 for FIBMAP. */
export function blockOf(inode: Inode, block: number, blockBytes: number): number {
  if (blockBytes < 512 || blockBytes > pageSize || pageSize % blockBytes !== 0) return 0;
  const inPage = pageSize / blockBytes;
  const filePage = Math.floor(block / inPage);
  const extent = inode.extents.find(filePage);
  return extent === undefined ? 0 : (extent.devicePage + filePage - extent.filePage) * inPage + (block % inPage);
}
