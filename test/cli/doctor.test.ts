// doctor: facts from a tree of files, and what they mean.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

import { swapfs } from "../support/mounted-run";
import { findings, type Finding } from "#src/cli/status/findings";
import { parseFilesystems, readMachine, writeMountedAllowed, type Machine } from "#src/cli/status/machine";

const good: Machine = {
  kernel: { release: "6.18.0", major: 6, minor: 18 }, pageBytes: 4096, requestTimeouts: { usual: 0, most: 0 }, uid: 0,
  capabilities: new Set(["CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_IPC_LOCK"]),
  filesystems: ["ext4", "fuseblk", "fuse"], devFuse: true, loadable: new Set(), loopControl: true, zramControl: true, procSwaps: true, swappiness: 60,
  cgroup: { memory: "v2", swapAccounting: true }, writeMounted: true, nbds: [], lostAreas: [], unmountedViews: [], unknownViews: [],
  tools: new Set(["mkswap", "swapon", "swapoff", "fallocate", "blkid", "umount", "fio", "ntfs-3g"]),
  native: new Set(["swapfs-keeper", "swapfs-dataplane", "swapfs-autoswap", "swapfs-pressure", "swapfs.node"]),
};

function named(machine: Machine, name: string): Finding | undefined {
  return findings(machine).find((finding) => finding.name === name);
}

describe("findings", () => {
  test("a machine that has everything is all ok", () => {
    expect(findings(good).filter((finding) => finding.state !== "ok")).toEqual([]);
  });

  test.each<[string, Partial<Machine>, string, Finding["state"], RegExp]>([
    ["no /dev/fuse", { devFuse: false }, "fuse", "fail", /modprobe fuse/],
    ["no fuseblk", { filesystems: ["fuse"] }, "fuseblk", "fail", /modprobe|kernel/],
    ["not root", { uid: 1000 }, "root", "fail", /sudo/],
    ["root of a container", { capabilities: new Set() }, "root", "fail", /CAP_SYS_ADMIN/],
    ["no CAP_SYS_RESOURCE", { capabilities: new Set(["CAP_SYS_ADMIN"]) }, "io_flusher", "warn", /CAP_SYS_RESOURCE/],
    ["no CAP_IPC_LOCK", { capabilities: new Set(["CAP_SYS_ADMIN"]) }, "memory lock", "warn", /ulimit -l/],
    ["an older kernel", { kernel: { release: "6.1.0", major: 6, minor: 1 } }, "kernel", "warn", /6\.9/],
    ["a very old kernel", { kernel: { release: "4.4.0", major: 4, minor: 4 } }, "kernel", "fail", /6\.9/],
    ["pages of 16 KiB", { pageBytes: 16384 }, "page size", "fail", /pages of 4 KiB/],
    ["a default timeout of requests", { requestTimeouts: { usual: 60, most: 0 } }, "request timeout", "warn", /^sysctl fs\.fuse\.default_request_timeout=0, then/],
    ["both timeouts of requests", { requestTimeouts: { usual: 60, most: 90 } }, "request timeout", "warn", /default_request_timeout=0 fs\.fuse\.max_request_timeout=0/],
    ["swap on a volume that umount -f took away", { lostAreas: ["/a"] }, "lost swap", "warn", /until a reboot/],
    ["a block view of a volume that is not mounted", { unmountedViews: ["/dev/loop7"] }, "block views", "warn", /swapoff --all-views/],
    ["a loop device that does not say what it is", { unknownViews: [{ found: "cannot tell", remedy: "losetup -d /dev/loop7" }] }, "loop devices", "warn", /losetup -d/],
    ["an nbd without patience", { nbds: [{ found: "/dev/nbd0 is connected by ioctl", remedy: "connect it with docs/nbd-keep.py" }] }, "nbd", "warn", /nbd-keep/],
    ["no swap", { procSwaps: false }, "swap", "fail", /CONFIG_SWAP/],
    ["swappiness 0", { swappiness: 0 }, "swappiness", "warn", /sysctl/],
    ["no memory cgroup", { cgroup: { memory: "none", swapAccounting: false } }, "memory cgroup", "warn", /cgroup2/],
    ["no swap accounting", { cgroup: { memory: "v1", swapAccounting: false } }, "swap accounting", "warn", /swapaccount/],
    ["no loop", { loopControl: false }, "loop", "warn", /modprobe loop/],
    ["no zram", { zramControl: false }, "zram", "warn", /modprobe zram/],
    ["writers of mounted devices refused", { writeMounted: false }, "mounted devices", "fail", /bdev_allow_write_mounted/],
    ["not known whether they are", { writeMounted: undefined }, "mounted devices", "warn", /EBUSY/],
    ["no mkswap", { tools: new Set(["swapon", "swapoff", "fallocate", "blkid", "umount"]) }, "mkswap", "fail", /apt-get/],
    ["nothing built", { native: new Set() }, "native build", "fail", /mount\.sh --setup/],
  ])("%s", (_, change, name, state, remedy) => {
    const found = named({ ...good, ...change }, name);
    expect(found).toMatchObject({ state });
    expect(found?.remedy).toMatch(remedy);
  });

  test("modules that mount loads are nothing to repair", () => {
    const bare: Machine = { ...good, devFuse: false, filesystems: ["ext4"], loopControl: false, loadable: new Set(["fuse", "loop"]) };
    expect(findings(bare).filter((finding) => finding.state !== "ok")).toEqual([]);
  });

  test("whatever is not ok has a remedy", () => {
    const nothing: Machine = {
      ...good, uid: 1, devFuse: false, filesystems: [], capabilities: new Set(), procSwaps: false, swappiness: 0, loopControl: false,
      zramControl: false, cgroup: { memory: "none", swapAccounting: false }, writeMounted: undefined, tools: new Set(), native: new Set(),
    };
    expect(findings(nothing).filter((finding) => finding.state !== "ok" && !finding.remedy)).toEqual([]);
  });
});

describe("readMachine", () => {
  let root: string;
  beforeEach(() => (root = fs.mkdtempSync(path.join(os.tmpdir(), "swapfs-machine-"))));
  afterEach(() => fs.rmSync(root, { recursive: true }));

  function put(name: string, text: string): void {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    fs.writeFileSync(path.join(root, name), text);
  }

  test("reads a tree with cgroup v2", () => {
    put("proc/sys/kernel/osrelease", "6.9.3-custom\n");
    put("proc/filesystems", "nodev\tsysfs\n\text4\n\tfuseblk\n");
    put("proc/self/status", "Name:\tnode\nCapEff:\t0000000000200000\n");
    put("proc/self/mountinfo", "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    put("sys/fs/cgroup/user.slice/memory.swap.max", "max\n");
    put("proc/sys/vm/swappiness", "0\n");
    put("proc/sys/fs/fuse/max_request_timeout", "90\n");
    fs.writeFileSync(path.join(root, "proc/self/auxv"), new Uint8Array(BigUint64Array.of(33n, 6n, 6n, 16384n, 0n, 0n).buffer));
    put("boot/config-6.9.3-custom", "# CONFIG_BLK_DEV_WRITE_MOUNTED is not set\n");
    put("dev/fuse", "");
    put("proc/swaps", "");
    put("lib/modules/6.9.3-custom/modules.dep", "kernel/fs/fuse/fuse.ko.xz:\nkernel/fs/fuse/virtiofs.ko.xz: kernel/fs/fuse/fuse.ko.xz\n");
    expect(readMachine(root, root)).toMatchObject({
      kernel: { major: 6, minor: 9 }, pageBytes: 16384, requestTimeouts: { usual: 0, most: 90 }, filesystems: ["sysfs", "ext4", "fuseblk"], swappiness: 0, devFuse: true, procSwaps: true,
      loopControl: false, zramControl: false, cgroup: { memory: "v2", swapAccounting: true }, writeMounted: false,
    });
    expect([...readMachine(root, root).loadable]).toEqual(["fuse"]);
    expect([...readMachine(root, root).capabilities]).toEqual(["CAP_SYS_ADMIN"]);
  });

  test("cgroup v1 without swap accounting", () => {
    put("proc/self/mountinfo", "30 1 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    expect(readMachine(root, root).cgroup).toEqual({ memory: "v1", swapAccounting: false });
  });

  test.each(["usr/lib/modules/6.9.3/config", "lib/modules/6.9.3/config", "lib/modules/6.9.3/build/.config", "usr/lib/kernel/config-6.9.3"])(
    "the kernel's configuration in %s", (place) => {
      put("proc/sys/kernel/osrelease", "6.9.3\n");
      put(place, "# CONFIG_BLK_DEV_WRITE_MOUNTED is not set\n");
      expect(readMachine(root, root).writeMounted).toBe(false);
    });

  test("without a configuration a mounted device is asked, never one of btrfs or none", () => {
    put("proc/sys/kernel/osrelease", "6.9.3\n");
    const mounts = ["1 0 0:26 / /tmp rw - tmpfs tmpfs rw", "2 0 8:2 / /b rw - btrfs /dev/sda2 rw"];
    put("proc/self/mountinfo", `${mounts.join("\n")}\n`);
    put("dev/block/8:1", "");
    put("dev/block/8:2", "");
    expect(readMachine(root, root).writeMounted).toBeUndefined();
    put("proc/self/mountinfo", `${mounts.join("\n")}\n3 0 8:1 / / rw - ext4 /dev/sda1 rw\n`);
    expect(readMachine(root, root).writeMounted).toBe(true);
  });

  test("an empty tree is a machine that has nothing, not an error", () => {
    expect(readMachine(root, root)).toMatchObject({ devFuse: false, cgroup: { memory: "none" }, writeMounted: undefined, swappiness: undefined });
  });
});

test("parseFilesystems", () => {
  expect(parseFilesystems("nodev\tproc\n\text4\n")).toEqual(["proc", "ext4"]);
});

const kernels = { old: { release: "6.7.1", major: 6, minor: 7 }, since: { release: "6.8.0", major: 6, minor: 8 } };

test.each<[string, string, boolean | undefined, (keyof typeof kernels)?]>([
  ["", "", true, "old"],
  ["quiet", "CONFIG_BLK_DEV_WRITE_MOUNTED=y", true],
  ["quiet", "# CONFIG_BLK_DEV_WRITE_MOUNTED is not set", false],
  ["quiet bdev_allow_write_mounted=0", "CONFIG_BLK_DEV_WRITE_MOUNTED=y", false],
  ["bdev_allow_write_mounted=1", "# CONFIG_BLK_DEV_WRITE_MOUNTED is not set", true],
  ["", "", undefined],
])("writeMountedAllowed(%j, %j) is %j", (cmdline, config, allowed, kernel = "since") => expect(writeMountedAllowed(kernels[kernel], cmdline, config)).toBe(allowed));

test("swapfs doctor --json says what it says without", async () => {
  const [text, json] = await Promise.all([swapfs(["doctor"]), swapfs(["doctor", "--json"])]);
  const { works, findings: found } = JSON.parse(json.stdout) as { works: boolean; findings: Finding[] };
  expect(text.status).toBe(works ? 0 : 12);
  for (const { name } of found) expect(text.stdout).toMatch(new RegExp(`^(ok|warn|fail) +${name} `, "m"));
  expect(found.every(({ found: state }) => text.stdout.includes(state))).toBe(true);
});
