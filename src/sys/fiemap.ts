// The flags of a FIEMAP extent by name (Documentation/filesystems/fiemap.rst).

import { fiemapFlags, type FiemapFlag } from "../base/fiemap";

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
