// New inodes: files, directories, symbolic links, nodes.

import { FsError } from "../base/errors";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, targetBytesMax } from "../volume/changes";
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFSOCK, S_ISGID, direntType, permissionBits } from "./modes";
import type { Directory } from "./attributes";
import { checkName, isDot, livingDirectoryOf, type Caller, type Space } from "./space";
import { Transaction } from "./transaction";

const nodeTypes: readonly number[] = [S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK];

/** mknod(2) and the making half of open(2): `mode` with its type, 0 meaning a file. The kernel has applied the umask. */
export function makeNode(space: Space, caller: Caller, parent: number, name: string, mode: number, rdev = 0): number {
  const type = (mode & S_IFMT) === 0 ? S_IFREG : mode & S_IFMT;
  if (!nodeTypes.includes(type)) throw new FsError("EINVAL");
  const isDevice = type === S_IFCHR || type === S_IFBLK;
  return make(space, caller, parent, name, type | (mode & permissionBits), { rdev: isDevice ? rdev : 0, size: 0 });
}

export function makeDirectory(space: Space, caller: Caller, parent: number, name: string, mode: number): number {
  return make(space, caller, parent, name, S_IFDIR | (mode & permissionBits), { rdev: 0, size: 0 });
}

export function makeSymlink(space: Space, caller: Caller, parent: number, name: string, target: string): number {
  if (target === "") throw new FsError("ENOENT");
  if (target.length > targetBytesMax) throw new FsError("ENAMETOOLONG");
  return make(space, caller, parent, name, S_IFLNK | 0o777, { rdev: 0, size: target.length, target });
}

interface Kind {
  readonly rdev: number;
  readonly size: number;
  readonly target?: string;
}

function make(space: Space, caller: Caller, parent: number, name: string, mode: number, kind: Kind): number {
  checkName(name);
  const directory = livingDirectoryOf(space, parent);
  if (isDot(name) || directory.entries.has(name)) throw new FsError("EEXIST");
  const isNewDirectory = (mode & S_IFMT) === S_IFDIR;
  const transaction = new Transaction(space);
  const owner = ownerIn(directory, caller, mode);
  const ino = transaction.make(
    { ...owner, nlink: isNewDirectory ? 2 : 1, size: kind.size, rdev: kind.rdev },
    { ...(kind.target !== undefined && { target: kind.target }), ...(isNewDirectory && { parent }) },
  );
  transaction.touch(parent, isNewDirectory ? 1 : 0);
  transaction.enter(parent, name, ino, direntType(mode));
  transaction.commit(caller, ino);
  return ino;
}

/** inode_init_owner (fs/inode.c): a setgid directory gives its group, and to directories the bit as well. */
function ownerIn(directory: Directory, caller: Caller, mode: number): { mode: number; uid: number; gid: number } {
  if ((directory.mode & S_ISGID) === 0) return { mode, uid: caller.uid, gid: caller.gid };
  const inherits = (mode & S_IFMT) === S_IFDIR ? S_ISGID : 0;
  return { mode: mode | inherits, uid: caller.uid, gid: directory.gid };
}
