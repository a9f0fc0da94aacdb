// A device as annotated hex: fields of the structures by name, the rest in lines of 16 bytes, zeros left out.

import type { Struct } from "#src/base/struct";
import { checkpoint_disk, entry_disk, extent_disk, extents_disk, inode_disk, itemKind, item_disk, record_disk, request_disk, superblock_disk, xattr_disk } from "#src/volume/format";
import type { MemoryBlockDevice } from "../support/memory-device";
import type { AreaSizes } from "#src/volume/superblock";

const page = 4096;
const bodies: Readonly<Record<number, Struct<never>>> = {
  [itemKind["put-inode"]]: inode_disk, [itemKind["put-entry"]]: entry_disk, [itemKind["drop-entry"]]: entry_disk,
  [itemKind["set-extents"]]: extents_disk, [itemKind["put-xattr"]]: xattr_disk, [itemKind["drop-xattr"]]: xattr_disk, [itemKind.request]: request_disk,
} as never;

export function describeBytes(device: MemoryBlockDevice, areas: AreaSizes): string {
  const lines = [`# ${device.byteLength} bytes; what is not listed is zero`];
  const hex = (at: number, length: number): string => device.read(at, length).toString("hex").replace(/(.{8})(?=.)/g, "$1 ");
  const line = (at: number, length: number, note: string): void =>
    void lines.push(`${at.toString(16).padStart(8, "0")}: ${hex(at, length).padEnd(35)}  ${note}`);
  const fields = (struct: Struct<never>, at: number): number => {
    const offsets = Object.entries(struct.offsets as Record<string, number>);
    for (const [index, [name, offset]] of offsets.entries()) {
      const end = offsets[index + 1]?.[1] ?? struct.size;
      line(at + offset, end - offset, `${struct.name}.${name}`);
    }
    return at + struct.size;
  };
  const rest = (at: number, end: number, note: string): void => {
    for (; at < end; at += 16) line(at, Math.min(16, end - at), note);
  };
  const items = (at: number, end: number): void => {
    while (at < end) {
      const { kind, bytes } = item_disk.decode(device.read(at, item_disk.size));
      let inner = fields(item_disk as never, at);
      if (bodies[kind] !== undefined) inner = fields(bodies[kind], inner);
      while (kind === itemKind["set-extents"] && inner < at + bytes) inner = fields(extent_disk as never, inner);
      rest(inner, at + bytes, "text");
      at += bytes;
    }
  };
  for (const copy of [0, 1]) {
    lines.push("", `# superblock ${copy}`);
    fields(superblock_disk as never, copy * page);
  }
  for (const side of [0, 1]) {
    const start = (2 + side * areas.checkpointBlocks) * page;
    lines.push("", `# checkpoint ${"AB"[side]}`);
    fields(checkpoint_disk as never, start);
    items(start + page, start + page + checkpoint_disk.decode(device.read(start, page)).payloadBytes);
  }
  for (const half of [0, 1]) {
    const start = (2 + 2 * areas.checkpointBlocks + half * areas.journalBlocks) * page;
    for (let at = start; at < start + areas.journalBlocks * page; at += 512) {
      const head = device.read(at, record_disk.size);
      if (head.readUInt32LE(0) === 0) continue;
      lines.push("", `# journal ${"AB"[half]}, sector ${(at - start) / 512}`);
      items(fields(record_disk as never, at), at + record_disk.decode(head).bytes);
    }
  }
  return `${lines.join("\n")}\n`;
}
