import { parseSwaps, readSwaps, swapsBelow } from "#src/sys/procswaps";

const text = `Filename				Type		Size		Used		Priority
/dev/zram0                              partition	1048572		512		100
/mnt/swap/a                             file		8388604		0		10
/mnt/swap/b\\040(deleted)                file		4096		4		-2
/mnt/with\\040space/a\\134b               file		40		0		-3
/mnt/swap2/c                            file		40		0		-4
`;

describe("parseSwaps", () => {
  test("reads files and partitions in bytes", () => {
    expect(parseSwaps(text)[0]).toEqual({
      path: "/dev/zram0", deleted: false, type: "partition", byteLength: 1048572 * 1024, usedBytes: 524288, priority: 100,
    });
    expect(parseSwaps(text)).toHaveLength(5);
  });

  test("takes (deleted) and escapes off the name", () => {
    const [, , unlinked, escaped] = parseSwaps(text);
    expect(unlinked).toMatchObject({ path: "/mnt/swap/b", deleted: true, priority: -2 });
    expect(escaped).toMatchObject({ path: "/mnt/with space/a\\b", deleted: false });
  });

  test("finds nothing in a table without areas", () => {
    expect(parseSwaps("Filename\tType\tSize\tUsed\tPriority\n")).toEqual([]);
    expect(parseSwaps("")).toEqual([]);
  });
});

test("swapsBelow names the swapfiles of one mount only", () => {
  expect(swapsBelow("/mnt/swap", parseSwaps(text)).map((area) => area.path)).toEqual(["/mnt/swap/a", "/mnt/swap/b"]);
});

test("readSwaps reads this machine's table", () => {
  expect(Array.isArray(readSwaps())).toBe(true);
});
