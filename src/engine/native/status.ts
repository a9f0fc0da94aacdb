// What `swapfs status` shows of the control plane's knowledge; counters and processes it reads from the session itself.

import { walkExtents } from "../../activation/extentwalk";
import { ablationWarning } from "../../dataplane/ablation";
import type { SharedHandleTable } from "../../dataplane/handletable";
import type { BlockViews } from "./blockviews";
import type { FileSystem } from "../../blocks/filesystem";
import { isFile } from "../../namespace/modes";
import type { Inode } from "../../volume/inode";
import type { Volume } from "../../volume/volume";

/** Files listed at most: those that are open, pinned or refused come first. */
const filesMax = 1000;

export interface StatusParts {
  readonly fs: FileSystem;
  readonly handles: SharedHandleTable;
  /** what a person should know of the image below (imagewatch.ts) */
  readonly lookAtImage: () => string[];
  readonly pendingRequests: () => number;
  readonly views: Pick<BlockViews, "shown" | "look" | "make">;
}

export function controlStatus({ fs, handles, lookAtImage, pendingRequests, views }: StatusParts) {
  fs.applyTouched();
  const paths = pathsOf(fs.volume);
  const noted = new Set([...handles.openInodes(), ...handles.pinned(), ...fs.refusals.last().map(({ ino }) => ino)]);
  const files = [...fs.volume.inodes()].filter(isFile)
    .sort((a, b) => Number(noted.has(b.ino)) - Number(noted.has(a.ino)) || a.ino - b.ino);
  return {
    volume: { ...fs.volume.statfs(), ...fs.volume.stats() },
    files: files.slice(0, filesMax).map((inode) => fileFacts(inode, paths.get(inode.ino), handles)),
    fileCount: files.length,
    refusals: fs.refusals.last().map(({ ino, time, pid, text }) => withPath({ ino, time, pid, text }, paths.get(ino))),
    orphans: fs.volume.orphans().length,
    openHandles: handles.size,
    pinned: handles.pinned(),
    views: views.shown().map((view) => withPath(view, paths.get(view.ino))),
    pendingRequests: pendingRequests(),
    ablated: [...fs.ablated],
    warnings: [...ablationWarning(fs.ablated), ...fs.volume.warnings, ...lookAtImage()],
  };
}

function fileFacts(inode: Inode, path: string | undefined, handles: SharedHandleTable) {
  const { ino, size, pages } = inode;
  return withPath({ ino, size, pages, extents: walkExtents(inode.extents, Infinity).extents, open: handles.openCount(ino), pinned: handles.isPinned(ino), mode: handles.pinMode(ino) ?? null }, path);
}

export function withPath<T extends object>(facts: T, path: string | undefined): T & { path?: string } {
  return path === undefined ? facts : { ...facts, path };
}

/** A path below the mountpoint for each inode that has a name (one of them, for hard links). */
export function pathsOf(volume: Volume): Map<number, string> {
  const paths = new Map<number, string>([[volume.rootIno, ""]]);
  const folders = [volume.rootIno];
  for (const folder of folders) {
    for (const [name, { ino }] of volume.inode(folder)?.entries ?? []) {
      if (paths.has(ino)) continue;
      paths.set(ino, `${paths.get(folder)!}/${Buffer.from(name, "latin1").toString()}`);
      if (volume.inode(ino)?.entries) folders.push(ino);
    }
  }
  return paths;
}
