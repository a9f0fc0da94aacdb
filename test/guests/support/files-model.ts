// What files must hold after a power cut: of each page the contents of the last write that was durable, or those of the
// operation that was under way.

import assert from "node:assert/strict";

export type Operation =
  | { readonly kind: "create"; readonly name: string; readonly pages: number; readonly id: number }
  | { readonly kind: "write"; readonly name: string; readonly from: number; readonly pages: number; readonly id: number }
  | { readonly kind: "clone"; readonly name: string; readonly to: string }
  | { readonly kind: "remove"; readonly name: string }
  | { readonly kind: "swapfile" | "swapoff" | "grow" };

const pageBytes = 4096;
/** What a disk writes whole: of an operation that was under way a page may be new in some sectors. */
const sectorBytes = 512;

/** A page says whose it is and where it belongs. */
export function pageOf(id: number, page: number): Buffer {
  return Buffer.concat(Array.from({ length: pageBytes / sectorBytes }, () => sectorOf(id, page)));
}

function sectorOf(id: number, page: number): Buffer {
  const buffer = Buffer.alloc(sectorBytes);
  if (id !== 0) for (let at = 0; at < sectorBytes; at += 4) buffer.writeUInt32LE(id * 4096 + page, at);
  return buffer;
}

interface File {
  /** of each page, the ids that it may show; 0 is a page of zeros */
  readonly pages: readonly (readonly number[])[];
  /** it may be missing, or shorter */
  readonly unsure: boolean;
}

export class FilesModel {
  readonly #files = new Map<string, File>();

  done(operation: Operation): void {
    this.#take(operation, (_before, after) => [after], false);
  }

  /** It may have come to any point. */
  underWay(operation: Operation): void {
    this.#take(operation, (before, after) => [...before, after], true);
  }

  /** Throws where a name, a length or a page is none of those that may be. */
  compare(names: readonly string[], read: (name: string) => Buffer): void {
    for (const name of names) assert(this.#files.has(name), `${name} is there`);
    for (const [name, { pages, unsure }] of this.#files) {
      if (!names.includes(name)) {
        assert(unsure, `${name} is missing`);
        continue;
      }
      const contents = read(name);
      if (unsure) assert(contents.length <= pages.length * pageBytes, `${name} has ${contents.length} bytes`);
      else assert.equal(contents.length, pages.length * pageBytes, `${name}: length`);
      for (let at = 0; at < contents.length; at += sectorBytes) {
        const page = Math.floor(at / pageBytes);
        const found = contents.subarray(at, at + sectorBytes);
        const right = pages[page]!.some((id) => found.equals(sectorOf(id, page).subarray(0, found.length)));
        assert(right, `${name}, page ${page}: not of ${pages[page]!.join(" or ")}, but begins with ${found.subarray(0, 4).toString("hex")}`);
      }
    }
  }

  #take(operation: Operation, change: (before: readonly number[], after: number) => number[], unsure: boolean): void {
    switch (operation.kind) {
      case "create":
        this.#files.set(operation.name, { pages: Array.from({ length: operation.pages }, () => change([0], operation.id)), unsure });
        return;
      case "write": {
        const { name, from, pages, id } = operation;
        const file = this.#files.get(name)!;
        const changed = file.pages.map((before, page) => (page >= from && page < from + pages ? change(before, id) : before));
        this.#files.set(name, { ...file, pages: changed });
        return;
      }
      case "clone": {
        const source = this.#files.get(operation.name)!;
        this.#files.set(operation.to, { pages: unsure ? source.pages.map((ids) => [0, ...ids]) : source.pages, unsure });
        return;
      }
      case "remove":
        if (unsure) this.#files.set(operation.name, { ...this.#files.get(operation.name)!, unsure });
        else this.#files.delete(operation.name);
        return;
      default: // of these the swapfile and fsck tell
    }
  }
}
