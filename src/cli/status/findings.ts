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

export function findings(machine: Machine): Finding[] {
  return [
    kernel(machine), pages(machine), fuse(machine), fuseblk(machine), writeMounted(machine), requestTimeouts(machine), root(machine),
    ...privileges(machine), swap(machine), swappiness(machine), cgroup(machine), swapAccounting(machine),
    loop(machine), zram(machine), imageWarning(), loopSwapWarning(machine), ...machine.nbds.map((nbd): Finding => ({ name: "nbd", state: "warn", ...nbd })), ...tools(machine), native(machine),
  ];
}

function kernel({ kernel: version }: Machine): Finding {
  const name = "kernel";
  const found = `Linux ${version.release}`;
  if (canResend(version)) return { name, state: "ok", found: `${found}: requests in flight survive a death of the daemon (FUSE_NOTIFY_RESEND)` };
  if (atLeast(version, 5, 4)) {
    return { name, state: "warn", found: `${found} has no FUSE_NOTIFY_RESEND: a request in flight when a process of swapfs dies may hang`, remedy: "use Linux 6.9 or later" };
  }
  return { name, state: "fail", found: `${found} is older than anything swapfs was tried on`, remedy: "use Linux 6.9 or later" };
}

function pages({ pageBytes }: Machine): Finding {
  const name = "page size";
  if (pageBytes === pageSize) return { name, state: "ok", found: "pages of 4 KiB, as the blocks of a volume" };
  return {
    name, state: "fail", found: `this kernel has pages of ${formatByteLength(pageBytes)}, and a volume's blocks are ${formatByteLength(pageSize)}: a page of swap must be one block`,
    remedy: "boot a kernel with pages of 4 KiB (arm64: CONFIG_ARM64_4K_PAGES, which most distributions have as their usual kernel)",
  };
}

function fuse({ devFuse, loadable }: Machine): Finding {
  if (devFuse) return { name: "fuse", state: "ok", found: "/dev/fuse is there" };
  if (loadable.has("fuse")) return { name: "fuse", state: "ok", found: "no /dev/fuse yet: mount loads the module fuse" };
  return { name: "fuse", state: "fail", found: "there is no /dev/fuse", remedy: "modprobe fuse (in a container: give it the device /dev/fuse)" };
}

function fuseblk({ filesystems, loadable }: Machine): Finding {
  if (filesystems.includes("fuseblk")) return { name: "fuseblk", state: "ok", found: "the kernel mounts fuseblk: swapon works on files" };
  if (loadable.has("fuse")) return { name: "fuseblk", state: "ok", found: "fuseblk comes with the module fuse, which mount loads" };
  return { name: "fuseblk", state: "fail", found: "/proc/filesystems has no fuseblk, so swapon cannot learn where a file lies", remedy: "modprobe fuse, or a kernel with CONFIG_FUSE_FS and CONFIG_BLOCK" };
}

function writeMounted({ writeMounted: allowed }: Machine): Finding {
  const name = "mounted devices";
  if (allowed === true) return { name, state: "ok", found: "the kernel lets the daemon write to the device that it mounts" };
  if (allowed === undefined) {
    return { name, state: "warn", found: "cannot tell whether the kernel lets anybody write to a mounted device", remedy: "if mounting fails with EBUSY, boot with bdev_allow_write_mounted=1" };
  }
  return { name, state: "fail", found: "CONFIG_BLK_DEV_WRITE_MOUNTED is off: the daemon's own descriptor conflicts with the mount", remedy: "boot with bdev_allow_write_mounted=1" };
}

/** The kernel takes both at FUSE_INIT, for the life of a mount (init_server_timeout, fs/fuse/inode.c). */
function requestTimeouts({ requestTimeouts: { usual, most } }: Machine): Finding {
  const name = "request timeout";
  const set = Object.entries({ default_request_timeout: usual, max_request_timeout: most }).filter(([, seconds]) => seconds > 0);
  if (set.length === 0) return { name, state: "ok", found: "the kernel waits for an answer as long as it takes" };
  const words = set.map(([knob, seconds]) => `fs.fuse.${knob} is ${seconds}`).join(", ");
  return {
    name, state: "warn", atMount: true,
    found: `${words}: when one request takes longer (a slow or stuck device, a suspended machine) the kernel ends the mount for good, with swap on it, and swapoff then needs a reboot`,
    remedy: `sysctl ${set.map(([knob]) => `fs.fuse.${knob}=0`).join(" ")}, then umount and mount again; what is set later does not touch a mount that is there`,
  };
}

function root({ uid, capabilities }: Machine): Finding {
  if (uid === 0 && capabilities.has("CAP_SYS_ADMIN")) return { name: "root", state: "ok", found: "root with CAP_SYS_ADMIN" };
  if (uid === 0) return { name: "root", state: "fail", found: "root without CAP_SYS_ADMIN: mount and swapon are not permitted", remedy: "run it outside the container, or give it CAP_SYS_ADMIN" };
  return { name: "root", state: "fail", found: `user id ${uid}: mount and swapon need root`, remedy: "run it with sudo" };
}

function privileges({ capabilities }: Machine): Finding[] {
  return [
    capabilities.has("CAP_SYS_RESOURCE")
      ? { name: "io_flusher", state: "ok", found: "CAP_SYS_RESOURCE: the data plane can be an IO_FLUSHER" }
      : { name: "io_flusher", state: "warn", found: "no CAP_SYS_RESOURCE: PR_SET_IO_FLUSHER and oom_score_adj are refused", remedy: "files with swapon are not affected; for swap served by the daemon run it where CAP_SYS_RESOURCE is kept" },
    capabilities.has("CAP_IPC_LOCK")
      ? { name: "memory lock", state: "ok", found: "CAP_IPC_LOCK: keeper and data plane lock their memory" }
      : { name: "memory lock", state: "warn", found: "no CAP_IPC_LOCK: memory is locked only up to RLIMIT_MEMLOCK", remedy: "ulimit -l unlimited, or give it CAP_IPC_LOCK" },
  ];
}

function swap({ procSwaps }: Machine): Finding {
  if (procSwaps) return { name: "swap", state: "ok", found: "the kernel has swap" };
  return { name: "swap", state: "fail", found: "there is no /proc/swaps: the kernel has no CONFIG_SWAP", remedy: "use a kernel with CONFIG_SWAP" };
}

function swappiness({ swappiness: value }: Machine): Finding {
  if (value === undefined || value > 0) return { name: "swappiness", state: "ok", found: `vm.swappiness is ${value ?? "not shown"}` };
  return { name: "swappiness", state: "warn", found: "vm.swappiness is 0: the kernel swaps only when nothing else is left", remedy: "sysctl vm.swappiness=60" };
}

function cgroup({ cgroup: { memory } }: Machine): Finding {
  if (memory !== "none") return { name: "memory cgroup", state: "ok", found: `memory controller (cgroup ${memory}): demo and bench limit memory with it` };
  return { name: "memory cgroup", state: "warn", found: "no memory cgroup: demo and bench page out with MADV_PAGEOUT instead", remedy: "mount cgroup2 with the memory controller for figures under a real limit" };
}

function swapAccounting({ cgroup: { memory, swapAccounting: on } }: Machine): Finding {
  const name = "swap accounting";
  if (on) return { name, state: "ok", found: "a cgroup's swap is counted and can be limited" };
  return { name, state: memory === "none" ? "ok" : "warn", found: "a cgroup's swap is not counted", remedy: "nothing is needed for swapfs; to limit swap for each group boot with swapaccount=1" };
}

function loop({ loopControl, loadable }: Machine): Finding {
  if (loopControl) return { name: "loop", state: "ok", found: "/dev/loop-control is there: directories and image files can be mounted" };
  if (loadable.has("loop")) return { name: "loop", state: "ok", found: "no /dev/loop-control yet: mount loads the module loop for a directory or image file" };
  return { name: "loop", state: "warn", found: "there is no /dev/loop-control: only block devices can be mounted", remedy: "modprobe loop" };
}

function zram({ zramControl }: Machine): Finding {
  if (zramControl) return { name: "zram", state: "ok", found: "zram can be added: bench measures on it" };
  return { name: "zram", state: "warn", found: "no /sys/class/zram-control: bench needs --device", remedy: "modprobe zram" };
}

/** True of every machine, and the one thing that a person must know before real use. */
function imageWarning(): Finding {
  return {
    name: "source", state: "ok",
    found: "use a block device for real swap: an image in a filesystem can hang a machine that runs out of memory, as every loop device over a file can",
  };
}

/** swapon --loop: what we can do is done, and the rest is the kernel's. */
function loopSwapWarning({ capabilities }: Machine): Finding {
  const flusher = capabilities.has("CAP_SYS_RESOURCE") ? "" : " (here the data plane is no IO_FLUSHER, which makes it likelier)";
  return {
    name: "swap --loop", state: "ok",
    found: "swapfs swapon --loop is for trials: when a whole machine runs out of memory, the kernel's own allocations for FUSE and loop"
      + ` can hang it, as they can for every loop device over a filesystem${flusher}`,
  };
}

const needed: readonly (readonly [tool: string, use: string])[] = [
  ["mkswap", "writes the swap header"], ["swapon", "swaps on"], ["swapoff", "swaps off"], ["fallocate", "allocates swapfiles by hand"],
  ["blkid", "recognises other filesystems before a format"], ["umount", "unmounts"],
];

function tools({ tools: present }: Machine): Finding[] {
  const missing = needed.filter(([tool]) => !present.has(tool));
  const found: Finding[] = missing.map(([tool, use]) => ({
    name: tool, state: "fail", found: `${tool} is not installed; it ${use}`, remedy: "apt-get install util-linux mount",
  }));
  if (missing.length === 0) found.push({ name: "util-linux", state: "ok", found: `${needed.map(([tool]) => tool).join(", ")} are there` });
  found.push(
    present.has("fio") ? { name: "fio", state: "ok", found: "fio is there (tests)" } : { name: "fio", state: "warn", found: "fio is not installed; only tests use it", remedy: "apt-get install fio" },
    present.has("ntfs-3g") ? { name: "ntfs-3g", state: "ok", found: "ntfs-3g is there (the peer in bench)" } : { name: "ntfs-3g", state: "warn", found: "ntfs-3g is not installed; only bench uses it, as the peer", remedy: "apt-get install ntfs-3g (bench does it)" },
  );
  return found;
}

function native({ native: present }: Machine): Finding {
  const missing = nativeNames.filter((name) => !present.has(name));
  if (missing.length === 0) return { name: "native build", state: "ok", found: "keeper, data plane and addon are built" };
  return { name: "native build", state: "fail", found: `not built: ${missing.join(", ")}`, remedy: "./mount.sh --setup" };
}
