// The activation gate of the naive model: what stands in the way of a file, and what swapon, pin and activate make of it.

import { atLeast, kernelVersion } from "#src/sys/kernel";
import type { PageRange, Reason } from "#src/activation/verdict";
import { page, type Mode, type ModelFile, type ModelVolume, type Result } from "./model";

export interface Pinned {
  /** EBUSY: in use in another way */
  readonly error?: "EBUSY";
  readonly mode: Mode | undefined;
  /** undefined: the gate was not asked */
  readonly reasons: readonly Reason[] | undefined;
}

const swaponDrains = atLeast(kernelVersion(), 6, 16);

/** The process of the system calls is the only writer. */
export class ModelGate {
  readonly #writer: number;

  constructor(writer: number) {
    this.#writer = writer;
  }

  swapon(file: ModelFile): Result {
    if (file.area !== undefined) return "EBUSY";
    if (file.names.length === 0) return "ENOENT"; // d_unlinked, mm/swapfile.c
    if (this.#refusedByKernel(file) || this.swaponReasons(file).length > 0) return "EINVAL";
    file.area = headerOf(file)!.pages;
    return 0;
  }

  /** Whether swapon(2) comes as far as to ask the gate. */
  isAsked(file: ModelFile): boolean {
    return file.names.length > 0 && !this.#refusedByKernel(file);
  }

  /** What `swapfs check` must say, in its order. */
  verdict(file: ModelFile): Reason[] {
    const header = headerOf(file);
    const found = this.reasons(file, header === undefined ? 10 : 2); // what mkswap(8) takes, and what swapon(2) does
    if (file.data.length < page) return found;
    const filePages = Math.floor(file.data.length / page);
    if (header === undefined) found.push({ kind: "no-header" });
    else if (header.pages > filePages) found.push({ kind: "header-larger-than-file", headerPages: header.pages, filePages });
    return found;
  }

  /** What stands in the way of the file's pages: all that the gate says when swapon(2) asks, which has read the header before. */
  reasons(file: ModelFile, pagesMin = 2): Reason[] {
    const pages = Math.floor(file.data.length / page);
    const holes = runsOf(pages, (at) => !file.blocks.has(at));
    const shared = runsOf(pages, (at) => (file.blocks.get(at)?.users ?? 0) > 1);
    return [
      ...(holes.length > 0 ? [{ kind: "hole", layer: "file", ranges: holes } as const] : []),
      ...(shared.length > 0 ? [{ kind: "shared", layer: "file", ranges: shared } as const] : []),
      ...(isWritten(file) ? [{ kind: "open-for-writing", pids: [this.#writer] } as const] : []),
      ...(pages < pagesMin ? [{ kind: "too-small", pages } as const] : []),
    ];
  }

  /** The writer is the one who swaps on: its own writes are written back before the area is on, where the kernel waits for them. */
  swaponReasons(file: ModelFile): Reason[] {
    const own = file.mode === undefined && swaponDrains;
    return this.reasons(file).filter(({ kind }) => !own || kind !== "open-for-writing");
  }

  pin(file: ModelFile): Pinned {
    if (file.mode === "pinned") return { mode: file.mode, reasons: undefined };
    if (file.mode === "swap_rw" && hasWriters(file)) return { error: "EBUSY", mode: file.mode, reasons: undefined };
    return this.#pinAs(file, "pinned");
  }

  /** With the zeros that it writes. */
  activate(file: ModelFile): Pinned {
    if (file.mode !== "swap_rw" && file.area !== undefined) return { error: "EBUSY", mode: file.mode, reasons: undefined };
    const done: Pinned = file.mode === "swap_rw" ? { mode: file.mode, reasons: undefined } : this.#pinAs(file, "swap_rw");
    if (done.mode !== "swap_rw") return done;
    for (const block of file.blocks.values()) block.written = true;
    file.marked = true;
    return done;
  }

  /** The mode that it had. */
  unpin(model: ModelVolume, file: ModelFile): Mode | "EBUSY" | undefined {
    const had = file.mode;
    if (had === "swap_rw" && hasWriters(file)) return "EBUSY";
    file.mode = undefined;
    file.pinnedToo = false;
    model.settle(file);
    return had;
  }

  deactivate(model: ModelVolume, file: ModelFile): Mode | "EBUSY" | undefined {
    const isPinned = file.pinnedToo && !hasWriters(file);
    const had = isPinned ? file.mode : file.mode === "swap_rw" ? this.unpin(model, file) : undefined;
    if (had === "EBUSY") return had;
    file.marked = false;
    if (isPinned) [file.mode, file.pinnedToo] = ["pinned", false];
    return had;
  }

  #pinAs(file: ModelFile, mode: Mode): Pinned {
    const reasons = this.reasons(file);
    if (reasons.length === 0) {
      file.pinnedToo = mode === "swap_rw" && file.mode === "pinned";
      file.mode = mode;
    }
    return { mode: file.mode, reasons };
  }

  // read_swap_header, mm/swapfile.c
  #refusedByKernel(file: ModelFile): boolean {
    const header = headerOf(file);
    return header === undefined || header.pages > Math.floor(file.data.length / page);
  }
}

/** An area is held open for writing by the kernel. */
function hasWriters({ area, held }: ModelFile): boolean {
  return area !== undefined || held.some(({ writes }) => writes);
}

// The handle through which the kernel swaps, or is about to, writes nothing; any other may, also of the same process.
function isWritten({ held }: ModelFile): boolean {
  return held.some(({ writes }) => writes);
}

function runsOf(pages: number, holds: (at: number) => boolean): PageRange[] {
  const runs: { page: number; count: number }[] = [];
  for (let at = 0; at < pages; at += 1) {
    if (!holds(at)) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.page + last.count === at) last.count += 1;
    else runs.push({ page: at, count: 1 });
  }
  return runs;
}

/** Ends the first page of an area (mkswap(8)). */
export const magic = "SWAPSPACE2";
/** Bytes. Where machines with pages of other sizes have it, libblkid looks as well. */
const otherPages = [8192, 16384, 32768, 65536];

/**
 * Where a swap signature was that mkswap(8) took for an area of another page size, and wiped: a clone of the file's first page
 * to page 1, 3, 7 or 15 brings one there.
 */
export function wipedSignatures(before: Buffer, after: Buffer): number[] {
  const zeros = "\0".repeat(magic.length);
  const has = (data: Buffer, at: number, text: string): boolean => data.toString("latin1", at, at + text.length) === text;
  return otherPages.map((size) => size - magic.length).filter((at) => has(before, at, magic) && has(after, at, zeros));
}

/** union swap_header, include/linux/swap.h: what mkswap wrote there. */
export function headerOf(file: ModelFile): { readonly pages: number } | undefined {
  const { data } = file;
  if (data.length < page || data.toString("latin1", page - magic.length, page) !== magic) return undefined;
  return { pages: data.readUInt32LE(1028) + 1 };
}
