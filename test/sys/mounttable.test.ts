import { isAtOrBelow, mountHolding, parseMountInfo, readMounts } from "#src/sys/mounttable";

const table = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro
30 22 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
41 22 7:3 / /mnt/swap rw,nosuid,nodev,relatime shared:20 master:3 - fuseblk /dev/loop3 rw,user_id=0,group_id=0,default_permissions,allow_other,blksize=4096
42 22 7:4 /folder /mnt/with\\040space\\134and\\011tab rw,relatime - fuseblk /dev/loop4 rw
43 41 8:1 / /mnt/swap/inner rw - xfs /dev/sda1 rw
44 22 0:50 / /mnt/caf\\303\\251 rw - tmpfs tmpfs rw
`;

describe("parseMountInfo", () => {
  const mounts = parseMountInfo(table);

  test("reads each line, whatever number of tags it has", () => {
    expect(mounts).toHaveLength(6);
    expect(mounts[2]).toEqual({
      id: 41, deviceNumber: "7:3", root: "/", mountpoint: "/mnt/swap",
      options: ["rw", "nosuid", "nodev", "relatime"], type: "fuseblk", source: "/dev/loop3",
      superOptions: ["rw", "user_id=0", "group_id=0", "default_permissions", "allow_other", "blksize=4096"],
    });
  });

  test("decodes octal escapes, many-byte characters included", () => {
    expect(mounts[3]?.mountpoint).toBe("/mnt/with space\\and\ttab");
    expect(mounts[3]?.root).toBe("/folder");
    expect(mounts[5]?.mountpoint).toBe("/mnt/café");
  });

  test("skips lines that are cut short", () => {
    expect(parseMountInfo("22 1 254:0 /\n\n22 1 254:0 / / rw shared:1\n")).toEqual([]);
  });
});

describe("mountHolding", () => {
  const mounts = parseMountInfo(table);
  const holding = (path: string): string | undefined => mountHolding(mounts, path)?.mountpoint;

  test("finds the deepest mount above a path", () => {
    expect(holding("/mnt/swap/a")).toBe("/mnt/swap");
    expect(holding("/mnt/swap")).toBe("/mnt/swap");
    expect(holding("/mnt/swap/inner/a")).toBe("/mnt/swap/inner");
    expect(holding("/mnt/swap/../x")).toBe("/");
  });

  test("does not take a name for a folder", () => {
    expect(holding("/mnt/swap2/a")).toBe("/");
    expect(isAtOrBelow("/mnt/swap2", "/mnt/swap")).toBe(false);
  });

  test("takes the later of two mounts on one place", () => {
    const over = parseMountInfo(`${table}50 41 7:9 / /mnt/swap rw - ext4 /dev/loop9 rw\n`);
    expect(mountHolding(over, "/mnt/swap/a")?.deviceNumber).toBe("7:9");
  });
});

test("readMounts finds this machine's /proc", () => {
  expect(mountHolding(readMounts(), "/proc/self")).toMatchObject({ mountpoint: "/proc", type: "proc" });
});
