// The mount table, /proc/self/mountinfo (Documentation/filesystems/proc.rst, 3.5). Reading it touches no mount, so it
// works while the filesystem behind a mount does not answer.

import { readFileSync } from "node:fs";
import * as path from "node:path";
import { unescapeOctal } from "./kernelfiles";

export type MountEntry = Readonly<ReturnType<typeof parseMountInfo>[number]>;

/** All mounts of this mount namespace, in the order of mounting. */
export function readMounts(file = "/proc/self/mountinfo"): MountEntry[] {
  return parseMountInfo(readFileSync(file, "utf8"));
}

/** Each line: id parent major:minor root mountpoint options [tag...] - type source superoptions */
export function parseMountInfo(text: string) {
  return text.split("\n").flatMap((line) => {
    const [front = "", back] = line.split(" - "); // spaces in names are octal digits
    const [id, , deviceNumber, root, mountpoint, options] = front.split(" ");
    const [type, source, superOptions] = back?.split(" ") ?? [];
    if (options === undefined || deviceNumber === undefined || root === undefined || mountpoint === undefined) return [];
    if (type === undefined) return [];
    return [{
      id: Number(id),
      deviceNumber, // "7:3": st_dev of its files
      /** What of the filesystem is shown here: "/", or a folder for a bind mount. */
      root: unescapeOctal(root),
      mountpoint: unescapeOctal(mountpoint),
      options: options.split(","),
      type, // "ext4", "fuseblk", "fuse.sshfs"
      /** "/dev/loop3", or whatever mount(2) was given. */
      source: unescapeOctal(source ?? ""),
      superOptions: superOptions?.split(",") ?? [],
    }];
  });
}

/** The mount that an absolute path lies on, by its name alone: symbolic links in it are the caller's to resolve. */
export function mountHolding(mounts: readonly MountEntry[], absolutePath: string): MountEntry | undefined {
  const wanted = path.resolve(absolutePath);
  let best: MountEntry | undefined;
  for (const mount of mounts) {
    // A later mount of the same mountpoint covers the earlier one.
    if (isAtOrBelow(wanted, mount.mountpoint) && mount.mountpoint.length >= (best?.mountpoint.length ?? 0)) best = mount;
  }
  return best;
}

/** Filesystems that ask a process or another machine about their files, which may not answer: whoever asks then waits. */
const asking = /^(fuse|nfs|cifs|smb|ceph|9p$|virtiofs$|afs$|autofs$|lustre$|ocfs2$|gfs2$|orangefs$)/;

/** The type of such a filesystem when the file lies on one, by its name alone; not of the root, nor of one that holds one of the files `near`. */
export function asksOthers(mounts: readonly MountEntry[], file: string, near: readonly string[] = []): string | undefined {
  const mount = mountHolding(mounts, file);
  if (mount === undefined || mount.mountpoint === "/" || !asking.test(mount.type)) return undefined;
  return near.some((one) => mountHolding(mounts, one)?.deviceNumber === mount.deviceNumber) ? undefined : mount.type;
}

/** True for "/mnt/swap" and "/mnt/swap/a" below "/mnt/swap", not for "/mnt/swap2". */
export function isAtOrBelow(absolutePath: string, folder: string): boolean {
  return folder === "/" || absolutePath === folder || absolutePath.startsWith(`${folder}/`);
}
