// FUSE_INIT: what we and the kernel agree on (process_init_reply, fs/fuse/inode.c).

import { logLine } from "../base/log";
import { pageSize } from "../base/units";
import { FUSE_INIT_FLAGS, FUSE_KERNEL_MINOR_VERSION, FUSE_KERNEL_VERSION, oldestMinor } from "../wire/abi";
import type { opcodes } from "../wire/opcodes";
import { errorReply, structReply } from "../wire/reply";
import { fuse_init_out } from "../wire/structs";
import type { FileSystem } from "../blocks/filesystem";
import type { RequestOf } from "./handler";

/** The buffers of the data plane hold this much. */
export const writeBytesMax = 2 ** 20;
const backgroundMax = 64;
const congestionThreshold = 48;

const f = FUSE_INIT_FLAGS;
// Never WRITEBACK_CACHE: swapon on the BMAP path flushes no dirty pages, so they would be written over swap later.
// Not DIRECT_IO_ALLOW_MMAP: an activated or pinned file must not get dirty pages of a shared mapping (ENODEV instead).
// Not ATOMIC_O_TRUNC: an O_TRUNC comes as a SETATTR, which is where truncation lives. Not POSIX_ACL.
// EXPORT_SUPPORT: numbers of inodes are never reused, so a file handle (open_by_handle_at, NFS) stays good over a remount.
const wanted = f.ASYNC_READ | f.EXPORT_SUPPORT | f.BIG_WRITES | f.DO_READDIRPLUS | f.READDIRPLUS_AUTO | f.ASYNC_DIO | f.PARALLEL_DIROPS
  | f.HANDLE_KILLPRIV_V2 | f.MAX_PAGES | f.CACHE_SYMLINKS | f.INIT_EXT | f.HAS_RESEND;

export function handleInit(fs: FileSystem, { header, body }: RequestOf<typeof opcodes.init>): Buffer {
  if (body.major < FUSE_KERNEL_VERSION || (body.major === FUSE_KERNEL_VERSION && body.minor < oldestMinor)) {
    const needed = `${FUSE_KERNEL_VERSION}.${oldestMinor} (Linux 5.4)`;
    logLine(`cannot serve the mount: the kernel speaks FUSE ${body.major}.${body.minor}, needed is ${needed}`);
    return errorReply(header, "EPROTO");
  }
  const offered = BigInt(body.flags) | (body.flags & Number(f.INIT_EXT) ? BigInt(body.flags2) << 32n : 0n);
  const flags = offered & (fs.ablated.has("killpriv") ? wanted & ~f.HANDLE_KILLPRIV_V2 : wanted);
  // A kernel of a later major version sends another FUSE_INIT with ours (process_init_reply).
  return structReply(header, fuse_init_out, {
    major: FUSE_KERNEL_VERSION, minor: FUSE_KERNEL_MINOR_VERSION, max_readahead: writeBytesMax,
    flags: Number(flags & 0xffffffffn), max_background: backgroundMax, congestion_threshold: congestionThreshold,
    max_write: writeBytesMax, time_gran: 1, max_pages: writeBytesMax / pageSize, map_alignment: 0,
    flags2: Number(flags >> 32n), max_stack_depth: 0, request_timeout: 0, unused: Buffer.alloc(22),
  });
}
