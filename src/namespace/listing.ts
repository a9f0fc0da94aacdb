// The order in which a directory is read. A cookie is a hash of the name, and entries are listed by ascending cookie: a
// cookie means the same place after any number of creations, removals and restarts, so that an entry that is there all
// the time is listed exactly once. ext4 does the same (fs/ext4/hash.c).
//
// Two names with one hash: a reader that stops between them would skip the second. Readers therefore keep such a group in
// one reply (src/ops/directories.ts); 52 bits make it a rare case.

import { firstIndex } from "../base/search";
import type { Directory } from "./attributes";

/** Cookies 1 and 2 come after "." and "..". */
export const cookieOfDot = 1;
export const cookieOfDotDot = 2;

export interface Listed {
  readonly name: string;
  readonly cookie: number;
}

/** 3 to 2^52 + 2. FNV-1a and a multiplicative hash side by side, each finished by the murmur3 finalizer. */
export function cookieOf(name: string): number {
  let a = 0x811c9dc5;
  let b = name.length;
  for (let i = 0; i < name.length; i += 1) {
    const byte = name.charCodeAt(i);
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul(b, 0x85ebca77) + byte + (b >>> 15) | 0;
  }
  return 3 + finish(a) + (finish(b ^ 0x9e3779b9) & 0xfffff) * 0x100000000;
}

function finish(hash: number): number {
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

interface Index {
  sorted: Listed[];
  /** created since; merged in at the next reading */
  added: string[];
}

const directoriesKept = 64;

/** Sorted names of the directories that were read last. Removed names stay in an index and are skipped. */
export class Listings {
  readonly #indexes = new Map<number, Index>();

  /** Names of `directory` with a cookie above `after`, in the order of their cookies. */
  *after(directory: Directory, after: number): IterableIterator<Listed> {
    const { sorted } = this.#indexOf(directory);
    for (let at = firstIndex(sorted.length, (index) => sorted[index]!.cookie > after); at < sorted.length; at += 1) {
      const listed = sorted[at]!;
      if (directory.entries.has(listed.name)) yield listed;
    }
  }

  added(directory: number, name: string): void {
    this.#indexes.get(directory)?.added.push(name);
  }

  forget(directory: number): void {
    this.#indexes.delete(directory);
  }

  #indexOf(directory: Directory): Index {
    const known = this.#indexes.get(directory.ino);
    const index = known === undefined || known.sorted.length + known.added.length > 2 * directory.entries.size + 64
      ? { sorted: sortedNames(directory.entries.keys()), added: [] }
      : known;
    if (index.added.length > 0) {
      index.sorted = merged(index.sorted, sortedNames(index.added));
      index.added = [];
    }
    this.#indexes.delete(directory.ino); // again at the end: the one that was not read for longest goes first
    this.#indexes.set(directory.ino, index);
    if (this.#indexes.size > directoriesKept) this.#indexes.delete(this.#indexes.keys().next().value!);
    return index;
  }
}

function sortedNames(names: Iterable<string>): Listed[] {
  return Array.from(names, (name) => ({ name, cookie: cookieOf(name) })).sort(compare);
}

function compare(a: Listed, b: Listed): number {
  return a.cookie - b.cookie || (a.name < b.name ? -1 : Number(a.name > b.name));
}

/** A name that was removed and made again is in both: once is enough. */
function merged(a: readonly Listed[], b: readonly Listed[]): Listed[] {
  const all: Listed[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const fromA = j >= b.length || (i < a.length && compare(a[i]!, b[j]!) <= 0);
    const next = fromA ? a[i++]! : b[j++]!;
    if (all.at(-1)?.name !== next.name) all.push(next);
  }
  return all;
}
