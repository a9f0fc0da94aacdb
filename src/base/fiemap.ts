// What FIEMAP says of an extent: include/uapi/linux/fiemap.h, FIEMAP_EXTENT_*.

export const fiemapFlags = {
  last: 0x1, unknown: 0x2, delalloc: 0x4, encoded: 0x8, encrypted: 0x80, unaligned: 0x100, inline: 0x200, tail: 0x400,
  unwritten: 0x800, merged: 0x1000, shared: 0x2000,
} as const;

export type FiemapFlag = keyof typeof fiemapFlags;

const decoded = new Map<number, readonly FiemapFlag[]>();

/** 0x2001 to ["last", "shared"]. */
export function decodeFlags(bits: number): readonly FiemapFlag[] {
  let flags = decoded.get(bits);
  if (flags === undefined) {
    flags = (Object.keys(fiemapFlags) as FiemapFlag[]).filter((name) => bits & fiemapFlags[name]);
    decoded.set(bits, flags);
  }
  return flags;
}
