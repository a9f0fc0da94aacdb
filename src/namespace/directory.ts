// An inode that is known to be a directory (directoryOf in space.ts finds out).

import type { Inode } from "../volume/inode";

export type Directory = Inode & { readonly entries: NonNullable<Inode["entries"]> };
