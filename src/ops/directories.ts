// FUSE_READDIR and FUSE_READDIRPLUS.

import { cookieOfDot, cookieOfDotDot } from "../namespace/listing";
import { direntType } from "../namespace/modes";
import type { Directory } from "../namespace/attributes";
import { directoryOf } from "../namespace/space";
import { S_IFDIR } from "../volume/changes";
import { DirentWriter, type WireDirent } from "../wire/dirent";
import type { opcodes } from "../wire/opcodes";
import type { FileSystem } from "../blocks/filesystem";
import type { RequestOf } from "./handler";

/** A reply is one message of the control socket (kMessageBytesMax in native/abi/messages.h). */
export const replyBytesMax = 64 * 1024;

type ReadRequest = RequestOf<typeof opcodes.readdir>;

export function handleReaddir(fs: FileSystem, request: ReadRequest): Buffer {
  return list(fs, request, (writer, entry) => writer.add(entry));
}

/** Entries with their attributes: what `ls -l` would otherwise ask for one by one. */
export function handleReaddirplus(fs: FileSystem, request: ReadRequest): Buffer {
  fs.applyTouched();
  return list(fs, request, (writer, entry) => {
    const inode = entry.cookie <= cookieOfDotDot ? undefined : fs.volume.inode(entry.ino);
    return writer.addPlus(entry, inode);
  });
}

type Add = (writer: DirentWriter, entry: WireDirent) => boolean;

function list(fs: FileSystem, { header, body }: ReadRequest, add: Add): Buffer {
  const directory = directoryOf(fs, header.nodeid);
  const writer = new DirentWriter(Math.min(body.size, replyBytesMax));
  fill(fs, directory, Number(body.offset), writer, add); // a program may seek anywhere: nothing lies behind the last cookie
  return writer.reply(header);
}

// Names with one cookie go into one reply, all or none, since the next one goes on behind their cookie; unless they
// begin it, when there is no more room to be had.
function fill(fs: FileSystem, directory: Directory, offset: number, writer: DirentWriter, add: Add): void {
  for (const dot of dots(directory, offset)) if (!add(writer, dot)) return;
  const empty = writer.length;
  let group = { cookie: 0, start: empty };
  for (const { name, cookie } of fs.listings.after(directory, Math.max(offset, cookieOfDotDot))) {
    if (cookie !== group.cookie) group = { cookie, start: writer.length };
    const { ino, type } = directory.entries.get(name)!;
    if (add(writer, { ino, cookie, name, type })) continue;
    if (group.start > empty) writer.rewind(group.start);
    return;
  }
}

function dots(directory: Directory, offset: number): WireDirent[] {
  const type = direntType(S_IFDIR);
  return [
    { ino: directory.ino, cookie: cookieOfDot, name: ".", type },
    { ino: directory.parent ?? directory.ino, cookie: cookieOfDotDot, name: "..", type },
  ].filter((dot) => dot.cookie > offset);
}
