// The swap header of page 0, as mm/swapfile.c reads it (read_swap_header; union swap_header in include/linux/swap.h).

import { pageSize } from "../base/units";

export type SwapHeader = Readonly<NonNullable<ReturnType<typeof readSwapHeader>>>;

const magic = "SWAPSPACE2";
const infoOffset = 1024;
/** Of the machines that mkswap(8) may have run on; it knows no others (swap_detect_signature, sys-utils/swapon.c). */
const otherPageSizes = [8192, 16384, 65536] as const;
/** The first bytes of a file that can hold a signature. */
export const headerBytesMax = 65536;

/** undefined when page 0 carries no swap-space signature. */
export function readSwapHeader(page: Buffer) {
  if (!hasMagic(page, pageSize)) return undefined;
  return {
    version: page.readUInt32LE(infoOffset),
    pages: page.readUInt32LE(infoOffset + 4) + 1, // last_page: of the area, page 0 included
    badPages: page.readUInt32LE(infoOffset + 8),
  };
}

/** The page size of the machine that the header was made for, when that is another one: the signature ends its page. */
export function otherPageSize(head: Buffer): number | undefined {
  return otherPageSizes.find((size) => hasMagic(head, size));
}

function hasMagic(head: Buffer, size: number): boolean {
  return head.length >= size && head.toString("latin1", size - magic.length, size) === magic;
}
