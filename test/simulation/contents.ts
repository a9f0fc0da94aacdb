// What each cell of each file may hold while operations overlap: the value of a write that no later one has replaced. A
// later one is one that began after the other had ended; of two that overlapped either may have been the last.

/** The unit in which the simulation reads and writes: half a page, so that writes also end inside pages. */
export const cellBytes = 2048;
export const cellsOfFile = 24;

export interface Write {
  readonly value: number;
  readonly start: number;
  /** undefined: it goes on, or nobody knows what became of it: it may be there, and replaces nothing */
  end: number | undefined;
}

export class FileContents {
  readonly #cells: Write[][] = Array.from({ length: cellsOfFile }, () => [{ value: 0, start: -1, end: -1 }]);

  begin(cell: number, write: Write): void {
    this.#cells[cell]?.push(write);
  }

  /** It did nothing. */
  forget(write: Write): void {
    for (const cell of this.#cells) if (cell.includes(write)) cell.splice(cell.indexOf(write), 1);
  }

  /** What a read that began at `since` may find. */
  allowed(cell: number, since: number): number[] {
    const writes = this.#cells[cell]!;
    const replaced = (write: Write): boolean => writes.some((later) =>
      write.end !== undefined && later.start > write.end && later.end !== undefined && later.end < since);
    return writes.filter((write) => !replaced(write)).map(({ value }) => value);
  }
}

/** The contents of all files, by inode, and a clock that counts what begins and ends. */
export class Contents {
  readonly files = new Map<number, FileContents>();
  now = 0;
  #value = 0;

  file(ino: number): FileContents {
    let file = this.files.get(ino);
    if (file === undefined) this.files.set(ino, (file = new FileContents()));
    return file;
  }

  tick(): number {
    return (this.now += 1);
  }

  newValue(): number {
    return (this.#value += 1);
  }
}

/** `value` all over a cell. */
export function cellOf(value: number): Buffer {
  const cell = Buffer.alloc(cellBytes);
  if (value === 0) return cell;
  const word = Buffer.alloc(4);
  word.writeUInt32LE(value);
  return cell.fill(word);
}

/** The value that is all over the cell; NaN: more than one. */
export function valueOf(bytes: Buffer): number {
  return bytes.subarray(4).equals(bytes.subarray(0, -4)) ? bytes.readUInt32LE(0) : NaN;
}
