// The swap header of page 0, as mm/swapfile.c reads it (read_swap_header; union swap_header in include/linux/swap.h).

import { pageSize } from "../base/units";

export interface SwapHeader {
  readonly version: number;
  /** pages of the swap area, page 0 included */
  readonly pages: number;
  readonly badPages: number;
}

const magic = "SWAPSPACE2";
const infoOffset = 1024;

/** undefined when page 0 carries no swap-space signature. */
export function readSwapHeader(page: Buffer): SwapHeader | undefined {
  if (page.length < pageSize || page.toString("latin1", pageSize - magic.length, pageSize) !== magic) return undefined;
  return {
    version: page.readUInt32LE(infoOffset),
    pages: page.readUInt32LE(infoOffset + 4) + 1, // last_page
    badPages: page.readUInt32LE(infoOffset + 8),
  };
}
