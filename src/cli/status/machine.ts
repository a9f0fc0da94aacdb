// Facts about this machine, read from /proc and /sys below `root` ("/", or a fixture tree in tests).

import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { ifAny, listFolder, readText } from "../../sys/kernelfiles";
import { bytesBelow, overlap } from "../../sys/bytesbelow";
import { cannotTell, loopViews } from "../../sys/loopviews";
import { atLeast, parseRelease, type KernelVersion } from "../../sys/kernel";
import { memoryHierarchy } from "../../sys/memorycgroup";
import { connectedNbds, nbdWarning } from "../../sys/nbd";
import { mountHolding, parseMountInfo, type MountEntry } from "../../sys/mounttable";
import { parseCapabilities } from "../../sys/procstatus";
import { readSwaps } from "../../sys/procswaps";
import { searchPath } from "../../sys/tools";
import { pageSize } from "../../base/units";
import { detachedVolumes, mountedVolumes } from "../common/mounted";
import { processesOf } from "../common/processes";

export type Machine = Readonly<ReturnType<typeof readMachine>>;

export const toolNames = ["mkswap", "swapon", "swapoff", "fallocate", "blkid", "umount", "fio", "ntfs-3g"] as const;
export const nativeNames = ["swapfs-keeper", "swapfs-dataplane", "swapfs-autoswap", "swapfs-pressure", "swapfs.node"] as const;

export function readMachine(projectRoot: string, root = "/") {
  const read = (path: string): string => readText(join(root, path)) ?? "";
  const kernel = parseRelease(read("proc/sys/kernel/osrelease"));
  const mounts = parseMountInfo(read("proc/self/mountinfo"));
  return {
    kernel,
    pageBytes: auxiliaryPageSize(join(root, "proc/self/auxv")) ?? pageSize,
    uid: process.geteuid?.() ?? -1,
    capabilities: parseCapabilities(read("proc/self/status")),
    filesystems: parseFilesystems(read("proc/filesystems")),
    devFuse: existsSync(join(root, "dev/fuse")),
    /** of fuse and loop, those that the running kernel's folder of modules has */
    loadable: loadableModules(read(join("lib/modules", read("proc/sys/kernel/osrelease").trim(), "modules.dep"))),
    loopControl: existsSync(join(root, "dev/loop-control")),
    zramControl: existsSync(join(root, "sys/class/zram-control")),
    procSwaps: existsSync(join(root, "proc/swaps")),
    swappiness: parseNumber(read("proc/sys/vm/swappiness")),
    cgroup: readCgroup(mounts, root),
    /** fs.fuse.default_request_timeout and max_request_timeout (Linux 6.15): in seconds, 0 for none */
    requestTimeouts: { usual: Number(read("proc/sys/fs/fuse/default_request_timeout")), most: Number(read("proc/sys/fs/fuse/max_request_timeout")) },
    /** what a mounted device lets others do; undefined: not known */
    writeMounted: writeMountedAllowed(kernel, read("proc/cmdline"), kernelConfig(root, kernel.release)) ?? writersOfMounted(mounts, root),
    /** block views of volumes that are not mounted here, and what is to be said of devices that may be some */
    ...(ifAny(() => viewsOf(root)) ?? { unmountedViews: [], unknownViews: [] }),
    /** swapfiles that no path leads to any more */
    lostAreas: root === "/" ? lostAreas(mounts) : [],
    /** what is to be said of network block devices that are connected */
    nbds: connectedNbds(root).flatMap((name) => nbdWarning(name, root) ?? []),
    tools: new Set<string>(toolNames.filter((name) => onPath(name))),
    native: new Set<string>(nativeNames.filter((name) => existsSync(join(projectRoot, "native", "build", name)))),
  };
}

function viewsOf(root: string): { unmountedViews: string[]; unknownViews: ReturnType<typeof cannotTell>[] } {
  const { views: found, unknown } = root === "/" ? loopViews() : { views: [], unknown: [] };
  const views = found.filter(({ of }) => of !== undefined);
  const volumes = views.length === 0 ? [] : mountedVolumes().flatMap(({ deviceNumber }) => bytesBelow(deviceNumber));
  return { unmountedViews: views.filter(({ bytes }) => !overlap(bytes, volumes)).map(({ device }) => device), unknownViews: unknown.map(cannotTell) };
}

/** Of a volume that umount -f, or the death of all its processes, has taken away. What a network or FUSE mount may hold is not looked at. */
function lostAreas(mounts: readonly MountEntry[]): string[] {
  if (detachedVolumes().some((volume) => processesOf(volume).length > 0)) return []; // they may be its
  const local = (path: string): boolean => !/^(fuse|nfs|cifs|9p)/.test(mountHolding(mounts, path)?.type ?? "");
  return readSwaps().filter(({ type, deleted, path }) => type === "file" && !deleted && local(path) && !existsSync(path)).map(({ path }) => path);
}

function loadableModules(dependencies: string): ReadonlySet<string> {
  return new Set(["fuse", "loop"].filter((name) => new RegExp(`/${name}\\.ko[.a-z]*:`).test(dependencies)));
}

export function parseFilesystems(text: string): string[] {
  return text.split("\n").map((line) => line.split("\t").pop() ?? "").filter((name) => name !== "");
}

/** AT_PAGESZ of the auxiliary vector (getauxval(3)): pairs of 64-bit words in the machine's own order of bytes. */
function auxiliaryPageSize(path: string): number | undefined {
  const atPagesz = 6n;
  const bytes = ifAny(() => readFileSync(path)) ?? Buffer.alloc(0);
  const words = new BigUint64Array(new Uint8Array(bytes).buffer, 0, bytes.length >> 3);
  const at = words.findIndex((word, index) => index % 2 === 0 && word === atPagesz);
  return at < 0 ? undefined : Number(words[at + 1]);
}

/** Linux 6.8 began to refuse them; bdev_allow_write_mounted= (block/bdev.c) overrides the configured default. */
export function writeMountedAllowed(kernel: KernelVersion, cmdline: string, config: string): boolean | undefined {
  if (kernel.major > 0 && !atLeast(kernel, 6, 8)) return true;
  const given = /(?:^|\s)bdev_allow_write_mounted(?:=(\S+))?/.exec(cmdline);
  if (given) return !/^(0|n|N|off)/.test(given[1] ?? "1");
  if (/^CONFIG_BLK_DEV_WRITE_MOUNTED=y/m.test(config)) return true;
  if (/^# CONFIG_BLK_DEV_WRITE_MOUNTED is not set/m.test(config)) return false;
  return undefined;
}

/** `memory`: where the memory controller is. */
function readCgroup(mounts: readonly MountEntry[], root: string): { memory: "v1" | "v2" | "none"; swapAccounting: boolean } {
  const found = memoryHierarchy(mounts.map((mount) => ({ ...mount, mountpoint: join(root, mount.mountpoint) })));
  if (found === undefined) return { memory: "none", swapAccounting: false };
  const { version, folder } = found;
  const counted = version === 1 ? "memory.memsw.usage_in_bytes" : "memory.swap.max";
  // The root cgroup has no limit files: its children have.
  return { memory: `v${version}`, swapAccounting: [".", ...listFolder(folder)].some((child) => existsSync(join(folder, child, counted))) };
}

function kernelConfig(root: string, release: string): string {
  const places = [`boot/config-${release}`, `usr/lib/modules/${release}/config`, `lib/modules/${release}/config`,
    `usr/lib/kernel/config-${release}`, `lib/modules/${release}/build/.config`];
  return ifAny(() => gunzipSync(readFileSync(join(root, "proc/config.gz"))).toString("utf8"))
    ?? places.map((place) => readText(join(root, place))).find((text) => text !== undefined) ?? "";
}

/**
 * Where no configuration tells: opens a device that is mounted, and closes it again. Its mount has it with
 * BLK_OPEN_RESTRICT_WRITES (sb_open_mode, include/linux/fs.h), which btrfs alone does not ask for.
 */
function writersOfMounted(mounts: readonly MountEntry[], root: string): boolean | undefined {
  for (const { type, deviceNumber } of mounts) {
    if (type === "btrfs" || deviceNumber.startsWith("0:")) continue;
    try {
      closeSync(openSync(join(root, "dev/block", deviceNumber), "r+"));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EBUSY") return false;
    }
  }
  return undefined;
}

function onPath(name: string): boolean {
  const folders = searchPath().split(delimiter);
  return folders.some((folder) => folder !== "" && existsSync(join(folder, name)));
}

function parseNumber(text: string): number | undefined {
  return /^\d+/.test(text) ? Number.parseInt(text, 10) : undefined;
}
