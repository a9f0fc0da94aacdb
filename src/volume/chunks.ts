// A sorted list in chunks of a few hundred items: lookups are two binary searches, and a change moves one chunk, not
// the whole list. Extent maps and free runs of 100,000 items stay fast, and lists of one item stay small.

import { assert } from "../base/assert";

const chunkMax = 512;
const chunkFill = 256;

interface Chunk<T> {
  items: T[];
  /** The largest weight in it, -1 when not known. */
  weight: number;
}

export class SortedChunks<T> {
  readonly #key: (item: T) => number;
  readonly #weigh: (item: T) => number;
  #chunks: Chunk<T>[] = [];
  #size = 0;

  /** Keys are distinct. `weigh` is what `findHeavy` searches for. */
  constructor(key: (item: T) => number, weigh: (item: T) => number = weightless) {
    this.#key = key;
    this.#weigh = weigh;
  }

  get size(): number {
    return this.#size;
  }

  get last(): T | undefined {
    return this.#chunks.at(-1)?.items.at(-1);
  }

  /** The last item whose key is at most `key`. */
  floor(key: number): T | undefined {
    const chunk = this.#chunks[this.#chunkFor(key)];
    if (chunk === undefined) return undefined;
    const index = this.#indexIn(chunk, key);
    const item = chunk.items[index];
    return item !== undefined && this.#key(item) === key ? item : chunk.items[index - 1];
  }

  /** Items with keys >= `key`, ascending. Changing the list ends the meaning of the iteration. */
  *from(key: number): IterableIterator<T> {
    for (let c = this.#chunkFor(key); c < this.#chunks.length; c += 1) {
      const chunk = this.#chunks[c]!;
      for (let n = this.#indexIn(chunk, key); n < chunk.items.length; n += 1) yield chunk.items[n]!;
    }
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (const chunk of this.#chunks) yield* chunk.items;
  }

  /** Removes the items with keys in [from, to) and puts `items`, sorted and in the same range, in their place. */
  replace(from: number, to: number, items: readonly T[]): void {
    assert(items.length === 0 || (this.#key(items[0]!) >= from && this.#key(items.at(-1)!) < to), "items lie in the range");
    const a = this.#chunkFor(from);
    const first = this.#chunks[a];
    if (first === undefined) return this.#rebuild(0, -1, items);
    const b = this.#chunkFor(to);
    const last = this.#chunks[b]!;
    const i = this.#indexIn(first, from);
    const j = this.#indexIn(last, to);
    if (a === b && first.items.length + items.length <= chunkMax) {
      this.#size += items.length - (j - i);
      first.items.splice(i, j - i, ...items);
      first.weight = -1;
      if (first.items.length === 0) this.#chunks.splice(a, 1);
      return;
    }
    this.#rebuild(a, b, first.items.slice(0, i).concat(items, last.items.slice(j)));
  }

  /** The first item at or after `key` whose weight is at least `weight`. */
  findHeavy(weight: number, key = 0): T | undefined {
    for (let c = this.#chunkFor(key); c < this.#chunks.length; c += 1) {
      const chunk = this.#chunks[c]!;
      if (this.#weightOf(chunk) < weight) continue;
      for (let n = this.#indexIn(chunk, key); n < chunk.items.length; n += 1) {
        if (this.#weigh(chunk.items[n]!) >= weight) return chunk.items[n];
      }
    }
    return undefined;
  }

  /** The largest weight of all, 0 when empty. */
  heaviest(): number {
    let most = 0;
    for (const chunk of this.#chunks) most = Math.max(most, this.#weightOf(chunk));
    return most;
  }

  /** The chunk that holds the last item with a key <= `key`; the first chunk when there is none. */
  #chunkFor(key: number): number {
    let low = 0;
    let high = this.#chunks.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#key(this.#chunks[middle]!.items[0]!) <= key) low = middle;
      else high = middle;
    }
    return low;
  }

  /** The first index in `chunk` whose key is >= `key`. */
  #indexIn(chunk: Chunk<T>, key: number): number {
    let low = 0;
    let high = chunk.items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#key(chunk.items[middle]!) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #weightOf(chunk: Chunk<T>): number {
    if (chunk.weight < 0) {
      let most = 0;
      for (const item of chunk.items) most = Math.max(most, this.#weigh(item));
      chunk.weight = most;
    }
    return chunk.weight;
  }

  #rebuild(a: number, b: number, items: readonly T[]): void {
    for (let c = a; c <= b; c += 1) this.#size -= this.#chunks[c]!.items.length;
    this.#size += items.length;
    this.#chunks = this.#chunks.slice(0, a).concat(inChunks(items), this.#chunks.slice(b + 1));
  }
}

const weightless = (): number => 0;

function inChunks<T>(items: readonly T[]): Chunk<T>[] {
  if (items.length <= chunkFill) return items.length === 0 ? [] : [{ items: [...items], weight: -1 }];
  const made: Chunk<T>[] = [];
  for (let at = 0; at < items.length; at += chunkFill) made.push({ items: items.slice(at, at + chunkFill), weight: -1 });
  return made;
}
