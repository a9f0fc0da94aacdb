// A PC's partition table.

export interface Partition {
  readonly sector: number;
  readonly sectors: number;
}

const linux = 0x83;

/** The first sector of a disk. PARTUUIDs are made of the disk's number: "1234abcd-01". */
export function partitionTable(partitions: readonly Partition[], disk = 0): Buffer {
  const table = Buffer.alloc(512);
  table.writeUInt32LE(disk, 440);
  partitions.forEach(({ sector, sectors }, index) => {
    const entry = 446 + 16 * index;
    table[entry + 4] = linux;
    table.writeUInt32LE(sector, entry + 8);
    table.writeUInt32LE(sectors, entry + 12);
  });
  table.writeUInt16LE(0xaa55, 510);
  return table;
}
