import { parseMountInfo } from "#src/sys/mounttable";
import { areaOnDevice, parseSwaps, readSwaps, swapsOn } from "#src/sys/procswaps";

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

test("areaOnDevice: by the name of the node, through whichever /dev; never a file of that name", () => {
  const areas = parseSwaps(`${text}/srv/root/dev/loop3 partition 40 0 10\n/loop4 partition 40 0 11\n/mnt/loop5 file 40 0 12\n`);
  expect(["zram0", "loop3", "loop4", "loop5", "loop"].map((name) => areaOnDevice(`/dev/${name}`, areas)?.priority)).toEqual([100, 10, 11, undefined, undefined]);
});

describe("swapsOn", () => {
  const mount = (number: string, root: string, at: string): string => `1 1 ${number} ${root} ${at} rw - fuseblk /dev/x rw\n`;
  const root = mount("8:1", "/", "/");
  const on = (number: string, mounts: string): string[] => swapsOn(number, parseSwaps(text), parseMountInfo(mounts)).map(({ path }) => path);

  test("names the swapfiles of one mount only", () => {
    expect(on("7:3", root + mount("7:3", "/", "/mnt/swap"))).toEqual(["/mnt/swap/a", "/mnt/swap/b"]);
    expect(on("8:1", root + mount("7:3", "/", "/mnt/swap"))).toEqual(["/mnt/with space/a\\b", "/mnt/swap2/c"]);
  });

  test("through a bind mount of a folder, and not what another mount covers", () => {
    expect(on("7:3", root + mount("7:3", "/", "/mnt/moved") + mount("7:3", "/folder", "/mnt/swap2"))).toEqual(["/mnt/swap2/c"]);
    expect(on("7:3", root + mount("7:3", "/", "/mnt") + mount("7:4", "/", "/mnt/swap"))).toEqual(["/mnt/with space/a\\b", "/mnt/swap2/c"]);
  });
});

test("readSwaps reads this machine's table", () => {
  expect(Array.isArray(readSwaps())).toBe(true);
});
