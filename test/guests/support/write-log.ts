// What qemu's driver blklogwrites has kept of a disk: each write, flush and discard in its order, in the format of dm-log-writes
// (drivers/md/dm-log-writes.c, block/blklogwrites.c of qemu). From it, what a power cut at any moment may have left.

import { closeSync, copyFileSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";

const sectorBytes = 512;
const magic = 0x6a736677736872n;
const flags = { flush: 1, fua: 2, discard: 4 };

export interface Entry {
  readonly sector: number;
  readonly sectors: number;
  readonly kind: "write" | "flush" | "discard";
  /** The write was durable when it was answered. */
  readonly fua: boolean;
  /** Where its data begins in the log. */
  readonly at: number;
}

export class WriteLog {
  readonly entries: readonly Entry[];
  readonly #fd: number;

  constructor(file: string) {
    this.#fd = openSync(file, "r");
    const superblock = this.#read(0, sectorBytes);
    if (superblock.readBigUInt64LE(0) !== magic) throw new Error(`${file} is no log of writes`);
    const count = Number(superblock.readBigUInt64LE(16));
    const entries: Entry[] = [];
    for (let at = sectorBytes; entries.length < count;) {
      const head = this.#read(at, 32);
      const [sector, sectors, bits] = [0, 8, 16].map((offset) => Number(head.readBigUInt64LE(offset))) as [number, number, number];
      const kind = bits & flags.discard ? "discard" : sectors > 0 ? "write" : "flush";
      entries.push({ sector, sectors, kind, fua: (bits & flags.fua) !== 0, at: at + sectorBytes });
      at += sectorBytes * (1 + (kind === "write" ? sectors : 0));
    }
    this.entries = entries;
  }

  data(entry: Entry): Buffer {
    return this.#read(entry.at, entry.sectors * sectorBytes);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #read(at: number, bytes: number): Buffer {
    const buffer = Buffer.alloc(bytes);
    readSync(this.#fd, buffer, 0, bytes, at);
    return buffer;
  }
}

/** A part of the disk, as files. */
export class AfterCut {
  readonly #log: WriteLog;
  readonly #part: { readonly sector: number; readonly sectors: number };
  readonly #durable: string;
  #durableEntries = 0;

  /** Sectors of the disk; `durable` is a file to keep what is durable in, from cut to cut. */
  constructor(log: WriteLog, part: { sector: number; sectors: number }, durable: string) {
    this.#log = log;
    this.#part = part;
    this.#durable = durable;
    const fd = openSync(durable, "w");
    ftruncateSync(fd, part.sectors * sectorBytes);
    closeSync(fd);
  }

  /**
   * Writes to `file` what may be there after a cut behind entry `cut`: all up to the last flush, and of what came after it some,
   * whole or cut off at a sector. Cuts must come in their order. `random` is in [0, 1).
   */
  make(cut: number, file: string, random: () => number): void {
    const { entries } = this.#log;
    let durable = cut + 1;
    while (durable > this.#durableEntries && entries[durable - 1]!.kind !== "flush") durable -= 1;
    this.#apply(this.#durable, entries.slice(this.#durableEntries, durable), (entry) => entry.sectors);
    this.#durableEntries = durable;
    copyFileSync(this.#durable, file);
    this.#apply(file, entries.slice(durable, cut + 1), (entry) => {
      if (entry.fua || random() < 0.4) return entry.sectors;
      return random() < 0.8 ? 0 : Math.floor(random() * entry.sectors);
    });
  }

  /** Of each entry the first sectors, as many as `kept` says. */
  #apply(file: string, entries: readonly Entry[], kept: (entry: Entry) => number): void {
    const fd = openSync(file, "r+");
    for (const entry of entries) if (entry.kind !== "flush") this.#write(fd, entry, kept(entry));
    closeSync(fd);
  }

  /** What is discarded reads as zeros from then on. */
  #write(fd: number, entry: Entry, sectors: number): void {
    const begin = Math.max(entry.sector, this.#part.sector);
    const end = Math.min(entry.sector + sectors, this.#part.sector + this.#part.sectors);
    if (end <= begin) return;
    const bytes = (end - begin) * sectorBytes;
    const data = entry.kind === "discard" ? Buffer.alloc(bytes) : this.#log.data(entry).subarray((begin - entry.sector) * sectorBytes, (end - entry.sector) * sectorBytes);
    writeSync(fd, data, 0, bytes, (begin - this.#part.sector) * sectorBytes);
  }
}
