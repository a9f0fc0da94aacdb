// What the facts about a machine mean for swapfs: pure, each finding with its remedy.

import { formatByteLength, pageSize } from "../../base/units";
import { atLeast, canResend } from "../../sys/kernel";
import { nativeNames, type Machine } from "./machine";

export interface Finding {
  readonly name: string;
  /** fail: mounting or swapping cannot work. warn: something is slower, less safe or not available. */
  readonly state: "ok" | "warn" | "fail";
  readonly found: string;
  readonly remedy?: string;
  /** a warning that mount gives as well */
  readonly atMount?: true;
}

const ok = (name: string, found: string): Finding => ({ name, state: "ok", found });
const warn = (name: string, found: string, remedy: string): Finding => ({ name, state: "warn", found, remedy });
const fail = (name: string, found: string, remedy: string): Finding => ({ name, state: "fail", found, remedy });

export function findings(machine: Machine): Finding[] {
  return [
    kernel(machine), pages(machine), fuse(machine), fuseblk(machine), writeMounted(machine), requestTimeouts(machine), root(machine),
    ...privileges(machine), ...swap(machine), loop(machine),
    machine.zramControl ? ok("zram", "zram can be added: bench measures on it")
      : warn("zram", "no /sys/class/zram-control: bench needs --device", "modprobe zram"),
    // True of every machine, and the one thing that a person must know before real use.
    ok("source", "use a block device for real swap: an image in a filesystem can hang a machine that runs out of memory, as every loop device over a file can"),
    loopSwap(machine), ...lostAreas(machine), blockViews(machine), ...machine.unknownViews.map(({ found, remedy }) => warn("loop devices", found, remedy)),
    ...machine.nbds.map(({ found, remedy }) => warn("nbd", found, remedy)), ...tools(machine), native(machine),
  ];
}

function kernel({ kernel: version }: Machine): Finding {
  const found = `Linux ${version.release}`;
  if (canResend(version)) return ok("kernel", `${found}: requests in flight survive a death of the daemon (FUSE_NOTIFY_RESEND)`);
  if (!atLeast(version, 5, 4)) return fail("kernel", `${found} is older than anything swapfs was tried on`, "use Linux 6.9 or later");
  return warn("kernel", `${found} has no FUSE_NOTIFY_RESEND: a request in flight when a process of swapfs dies may hang`, "use Linux 6.9 or later");
}

function pages({ pageBytes }: Machine): Finding {
  if (pageBytes === pageSize) return ok("page size", "pages of 4 KiB, as the blocks of a volume");
  return fail("page size",
    `this kernel has pages of ${formatByteLength(pageBytes)}, and a volume's blocks are ${formatByteLength(pageSize)}: a page of swap must be one block`,
    "boot a kernel with pages of 4 KiB (arm64: CONFIG_ARM64_4K_PAGES, which most distributions have as their usual kernel)");
}

function fuse({ devFuse, loadable }: Machine): Finding {
  if (devFuse) return ok("fuse", "/dev/fuse is there");
  if (loadable.has("fuse")) return ok("fuse", "no /dev/fuse yet: mount loads the module fuse");
  return fail("fuse", "there is no /dev/fuse", "modprobe fuse (in a container: give it the device /dev/fuse)");
}

function fuseblk({ filesystems, loadable }: Machine): Finding {
  if (filesystems.includes("fuseblk")) return ok("fuseblk", "the kernel mounts fuseblk: swapon works on files");
  if (loadable.has("fuse")) return ok("fuseblk", "fuseblk comes with the module fuse, which mount loads");
  return fail("fuseblk", "/proc/filesystems has no fuseblk, so swapon cannot learn where a file lies", "modprobe fuse, or a kernel with CONFIG_FUSE_FS and CONFIG_BLOCK");
}

function writeMounted({ writeMounted: allowed }: Machine): Finding {
  const name = "mounted devices";
  if (allowed === true) return ok(name, "the kernel lets the daemon write to the device that it mounts");
  if (allowed === false) {
    return fail(name, "CONFIG_BLK_DEV_WRITE_MOUNTED is off: the daemon's own descriptor conflicts with the mount", "boot with bdev_allow_write_mounted=1");
  }
  return warn(name, "cannot tell whether the kernel lets anybody write to a mounted device", "if mounting fails with EBUSY, boot with bdev_allow_write_mounted=1");
}

/** The kernel takes both at FUSE_INIT, for the life of a mount (init_server_timeout, fs/fuse/inode.c). */
function requestTimeouts({ requestTimeouts: { usual, most } }: Machine): Finding {
  const set = Object.entries({ default_request_timeout: usual, max_request_timeout: most }).filter(([, seconds]) => seconds > 0);
  if (set.length === 0) return ok("request timeout", "the kernel waits for an answer as long as it takes");
  const words = set.map(([knob, seconds]) => `fs.fuse.${knob} is ${seconds}`).join(", ");
  return {
    ...warn("request timeout",
      `${words}: when one request takes longer (a slow or stuck device, a suspended machine) the kernel ends the mount for good, with swap on it, and swapoff then needs a reboot`,
      `sysctl ${set.map(([knob]) => `fs.fuse.${knob}=0`).join(" ")}, then umount and mount again; what is set later does not touch a mount that is there`),
    atMount: true,
  };
}

function root({ uid, capabilities }: Machine): Finding {
  if (uid !== 0) return fail("root", `user id ${uid}: mount and swapon need root`, "run it with sudo");
  if (capabilities.has("CAP_SYS_ADMIN")) return ok("root", "root with CAP_SYS_ADMIN");
  return fail("root", "root without CAP_SYS_ADMIN: mount and swapon are not permitted", "run it outside the container, or give it CAP_SYS_ADMIN");
}

function privileges({ capabilities }: Machine): Finding[] {
  return [
    capabilities.has("CAP_SYS_RESOURCE") ? ok("io_flusher", "CAP_SYS_RESOURCE: the data plane can be an IO_FLUSHER")
      : warn("io_flusher", "no CAP_SYS_RESOURCE: PR_SET_IO_FLUSHER and oom_score_adj are refused",
        "files with swapon are not affected; for swap served by the daemon run it where CAP_SYS_RESOURCE is kept"),
    capabilities.has("CAP_IPC_LOCK") ? ok("memory lock", "CAP_IPC_LOCK: keeper and data plane lock their memory")
      : warn("memory lock", "no CAP_IPC_LOCK: memory is locked only up to RLIMIT_MEMLOCK", "ulimit -l unlimited, or give it CAP_IPC_LOCK"),
  ];
}

function swap({ procSwaps, swappiness, cgroup: { memory, swapAccounting } }: Machine): Finding[] {
  const uncounted = "a cgroup's swap is not counted";
  const accounting = memory === "none" ? ok("swap accounting", uncounted)
    : warn("swap accounting", uncounted, "nothing is needed for swapfs; to limit swap for each group boot with swapaccount=1");
  return [
    procSwaps ? ok("swap", "the kernel has swap")
      : fail("swap", "there is no /proc/swaps: the kernel has no CONFIG_SWAP", "use a kernel with CONFIG_SWAP"),
    swappiness !== 0 ? ok("swappiness", `vm.swappiness is ${swappiness ?? "not shown"}`)
      : warn("swappiness", "vm.swappiness is 0: the kernel swaps only when nothing else is left", "sysctl vm.swappiness=60"),
    memory !== "none" ? ok("memory cgroup", `memory controller (cgroup ${memory}): demo and bench limit memory with it`)
      : warn("memory cgroup", "no memory cgroup: demo and bench page out with MADV_PAGEOUT instead", "mount cgroup2 with the memory controller for figures under a real limit"),
    swapAccounting ? ok("swap accounting", "a cgroup's swap is counted and can be limited") : accounting,
  ];
}

function loop({ loopControl, loadable }: Machine): Finding {
  if (loopControl) return ok("loop", "/dev/loop-control is there: directories and image files can be mounted");
  if (loadable.has("loop")) return ok("loop", "no /dev/loop-control yet: mount loads the module loop for a directory or image file");
  return warn("loop", "there is no /dev/loop-control: only block devices can be mounted", "modprobe loop");
}

/** swapon --loop: what we can do is done, and the rest is the kernel's. */
function loopSwap({ capabilities }: Machine): Finding {
  const flusher = capabilities.has("CAP_SYS_RESOURCE") ? "" : " (here the data plane is no IO_FLUSHER, which makes it likelier)";
  return ok("swap --loop", "swapfs swapon --loop is for trials: when a whole machine runs out of memory, the kernel's own allocations for FUSE and loop"
    + ` can hang it, as they can for every loop device over a filesystem${flusher}`);
}

function lostAreas({ lostAreas: paths }: Machine): Finding[] {
  return paths.length === 0 ? [] : [warn("lost swap", `${paths.join(", ")}: swapped on, and no path leads there, as after umount -f of a volume: swap goes on, swapoff cannot`,
    "leave the device below as it is until a reboot")];
}

/** swapon --block. A view claims nothing: while its volume is mounted, that claims the device. */
function blockViews({ unmountedViews: views, loopControl, loadable }: Machine): Finding {
  const name = "block views";
  if (views.length > 0) {
    return warn(name, `swap lies on ${views.join(", ")} over volumes that are not mounted: nothing keeps mkfs and other programs from their devices`,
      "mount them, or swapfs swapoff --all-views");
  }
  return loopControl || loadable.has("loop") ? ok(name, "swapfs swapon --block works by loop devices, for files in one extent")
    : warn(name, "no /dev/loop-control: swapon --block has nothing to make a block device with", "modprobe loop");
}

const needed: readonly (readonly [tool: string, use: string])[] = [
  ["mkswap", "writes the swap header"], ["swapon", "swaps on"], ["swapoff", "swaps off"], ["fallocate", "allocates swapfiles by hand"],
  ["blkid", "recognises other filesystems before a format"], ["umount", "unmounts"],
];

function tools({ tools: present }: Machine): Finding[] {
  const missing = needed.filter(([tool]) => !present.has(tool));
  return [
    ...missing.map(([tool, use]) => fail(tool, `${tool} is not installed; it ${use}`, "apt-get install util-linux mount")),
    ...(missing.length === 0 ? [ok("util-linux", `${needed.map(([tool]) => tool).join(", ")} are there`)] : []),
    present.has("fio") ? ok("fio", "fio is there (tests)") : warn("fio", "fio is not installed; only tests use it", "apt-get install fio"),
    present.has("ntfs-3g") ? ok("ntfs-3g", "ntfs-3g is there (the peer in bench)")
      : warn("ntfs-3g", "ntfs-3g is not installed; only bench uses it, as the peer", "apt-get install ntfs-3g (bench does it)"),
  ];
}

function native({ native: present }: Machine): Finding {
  const missing = nativeNames.filter((name) => !present.has(name));
  if (missing.length === 0) return ok("native build", "keeper, data plane and addon are built");
  return fail("native build", `not built: ${missing.join(", ")}`, "./mount.sh --setup");
}
