// The records of a READDIRPLUS body, as the kernel reads them.

import { decodeDirents, type WireDirent } from "#src/wire/dirent";
import { fuse_dirent, fuse_entry_out } from "#src/wire/structs";

/** `nodeid` 0 means that no attributes came with it. */
export function decodeDirentsPlus(body: Buffer): { nodeid: number; dirent: WireDirent }[] {
  const found = [];
  for (let at = 0; at < body.length; ) {
    const direntAt = at + fuse_entry_out.size;
    const end = (direntAt + fuse_dirent.size + fuse_dirent.decode(body, direntAt).namelen + 7) & ~7;
    const [dirent] = decodeDirents(body.subarray(direntAt, end));
    found.push({ nodeid: Number(body.readBigUInt64LE(at)), dirent: dirent! });
    at = end;
  }
  return found;
}
