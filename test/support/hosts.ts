// Host filesystems for images, made for the test: ext4, xfs and btrfs on a loop device over a sparse file, for real.

import { promises as fs } from "node:fs";
import path from "node:path";

import type { Cleanup } from "./mounted-cleanup";
import { attachLoop, imageFile } from "./mounted-devices";
import { must, run, sleep, until } from "./mounted-run";

/** ext3 and ntfs-3g have no fallocate, ntfs-3g no FIEMAP either: as NFS before version 4.2. */
export type HostType = "ext4" | "xfs" | "btrfs" | "ext3" | "ntfs-3g";

export const hostTypes = ["ext4", "xfs", "btrfs"] as const satisfies readonly HostType[];
/** Those where `cp --reflink` clones. */
export const reflinkHosts: readonly HostType[] = ["xfs", "btrfs"];

export interface HostOptions {
  /** xfs wants 300 MiB, btrfs 110. */
  readonly bytes?: number;
  readonly mkfs?: readonly string[];
  /** mount -o */
  readonly mountOptions?: string;
}

const mkfsArguments: Readonly<Record<HostType, readonly string[]>> = {
  ext4: ["-q", "-F", "-E", "lazy_itable_init=0,nodiscard"], xfs: ["-q", "-f", "-K"], btrfs: ["-q", "-f", "--nodiscard"],
  ext3: ["-q", "-F", "-E", "nodiscard"], "ntfs-3g": ["-q", "-F", "-f"],
};

/** An empty filesystem of the type, mounted below `dir`; returns its mountpoint. Sparse: costs what is written. */
export async function hostFilesystem(cleanup: Cleanup, dir: string, type: HostType, options: HostOptions = {}): Promise<string> {
  const name = `host-${type}-${(await fs.readdir(dir)).length}`;
  const file = await imageFile(dir, `${name}.img`, options.bytes ?? 512 << 20);
  await makeFilesystem(type, [...(options.mkfs ?? []), file]);
  return mountHost(cleanup, dir, name, await attachLoop(cleanup, file), type, options.mountOptions);
}

/** mkfs looks at the file below every loop device, also at those of another test whose host is shut down just now. */
async function makeFilesystem(type: HostType, args: readonly string[]): Promise<void> {
  await until(`mkfs.${type} meets no failing disk`, async () => {
    const done = await run(type === "ntfs-3g" ? "mkntfs" : `mkfs.${type}`, [...mkfsArguments[type], ...args]);
    const said = `${done.stdout}${done.stderr}`;
    if (done.status !== 0 && !/Input\/output error/.test(said)) throw new Error(`mkfs.${type} ${args.join(" ")}: status ${done.status}\n${said}`);
    return done.status === 0;
  }, 60_000);
}

async function mountHost(
  cleanup: Cleanup, dir: string, name: string, device: string, type: string, options: string | undefined,
): Promise<string> {
  const mountpoint = path.join(dir, name);
  await fs.mkdir(mountpoint);
  cleanup.add(mountpoint, () => unmountHost(mountpoint));
  await must("mount", ["-t", type, ...(options === undefined ? [] : ["-o", options]), device, mountpoint]);
  return mountpoint;
}

/** A tmpfs below `dir`: a host that has neither FIEMAP nor blocks of its own. */
export function tmpfsHost(cleanup: Cleanup, dir: string, bytes = 64 << 20): Promise<string> {
  return mountHost(cleanup, dir, "host-tmpfs", "none", "tmpfs", `size=${bytes}`);
}

/** An overlay over `below` (which must not be an overlay itself), writable. */
export async function overlayHost(cleanup: Cleanup, dir: string, below: string): Promise<string> {
  for (const name of ["lower", "upper", "work"]) await fs.mkdir(path.join(below, name), { recursive: true });
  const layers = `lowerdir=${below}/lower,upperdir=${below}/upper,workdir=${below}/work`;
  return mountHost(cleanup, dir, "host-overlay", "none", "overlay", layers);
}

/** A daemon's loop device lets its image go a moment after the daemon's end, and only then the host is idle. */
async function unmountHost(mountpoint: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if (!(await fs.readFile("/proc/self/mountinfo", "utf8")).includes(` ${mountpoint} `)) return;
    if ((await run("umount", [mountpoint])).status !== 0) await sleep(100);
  }
  await must("umount", [mountpoint]);
}

/** Bytes that the file takes on its host, as du counts them. */
export async function bytesOnHost(file: string): Promise<number> {
  return (await fs.stat(file)).blocks * 512;
}
