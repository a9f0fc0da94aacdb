// Which volumes are mounted, from /proc/self/mountinfo and the run directories; no mount is touched to find out.

import { statSync } from "node:fs";
import { join } from "node:path";
import type { StateFile } from "../../engine/native/statefile";
import { isSameFile } from "../../sys/imagebelow";
import { listFolder, readText, realPath } from "../../sys/kernelfiles";
import { backingFile } from "../../sys/loop";
import { asksOthers, mountHolding, readMounts, type MountEntry } from "../../sys/mounttable";
import { failed } from "./outcome";
import { resolveFolder, shellWord } from "./paths";

export const runRoot = "/run/swapfs";

/**
 * The link in a run directory to the code that serves the mount. What the keeper starts again after a death is found through it: when a package
 * is upgraded, its files go, and the link is set to a copy of them first (src/install/package.ts).
 */
export const codeLink = "code";

export type MountedVolume = Readonly<ReturnType<typeof describe>>;

/** Every mounted volume, in the order of mounting. */
export function mountedVolumes(): MountedVolume[] {
  return readMounts().filter(isVolume).map(describe);
}

/** Volumes that were mounted and have no mount in this namespace; their processes may live. `mountpoint`: where that was. */
export function detachedVolumes(): MountedVolume[] {
  const shown = new Set(readMounts().map(({ deviceNumber }) => deviceNumber));
  return listFolder(runRoot).filter((name) => !shown.has(name)).flatMap((deviceNumber) => {
    const state = readText(join(runRoot, deviceNumber, "state.json"));
    if (state === undefined) return [];
    const { device, mountpoint } = JSON.parse(state) as StateFile;
    return [describe({ deviceNumber, mountpoint, source: device, type: "fuseblk", options: [] })];
  });
}

/** The volume mounted exactly at `path`. */
export function volumeAt(path: string): MountedVolume | undefined {
  const resolved = resolveFolder(path);
  return mountedVolumes().reverse().find((volume) => volume.mountpoint === resolved);
}

/** The volume that holds the file `path`, which need not be reachable. */
export function volumeHolding(path: string): MountedVolume | undefined {
  const resolved = resolveFolder(path);
  const mount = resolved === undefined ? undefined : mountHolding(readMounts(), resolved);
  return mount && isVolume(mount) ? describe(mount) : undefined;
}

/** swapon(2) opens the file for writing. */
export function requireWritable({ readOnly, mountpoint, image, device }: MountedVolume, file: string, verb: string): void {
  if (readOnly) throw failed(`cannot ${verb} ${file}: ${mountpoint} is mounted read-only, run swapfs mount ${shellWord(image ?? device)} ${shellWord(mountpoint)} -o remount,rw first`);
}

/** As `volumeAt`, with the words for a person when there is none. */
export function requireVolumeAt(path: string, verb: string): MountedVolume {
  const found = volumeAt(path);
  if (found) return found;
  const all = mountedVolumes();
  const resolved = resolveFolder(path);
  const detached = detachedVolumes().find(({ mountpoint }) => mountpoint === resolved);
  const next = detached ? `${detached.image ?? detached.device} was, mount it there again`
    : all.length === 0 ? "no volume is mounted, mount one with `swapfs SOURCE MOUNTPOINT`"
    : `mounted volumes: ${all.map((volume) => volume.mountpoint).join(", ")}`;
  throw failed(`cannot ${verb} ${path}: no swapfs volume is mounted there, ${next}`);
}

/** The names of the loop devices that are attached to this file. None of another filesystem is looked at that may not answer. */
export function loopsOn(image: string): string[] {
  const mounts = readMounts();
  return listFolder("/sys/block").filter((name) => {
    const file = name.startsWith("loop") ? backingFile(`/dev/${name}`) : undefined;
    return file !== undefined && asksOthers(mounts, file, [realPath(image) ?? image]) === undefined && isSameFile(file, image);
  });
}

function isVolume(mount: MountEntry): boolean {
  const ours = mount.type === "fuseblk" || mount.type === "fuse" || mount.type.startsWith("fuse.");
  return ours && isThere(join(runRoot, mount.deviceNumber));
}

/** Without root nothing of /run/swapfs (mode 0700) can be seen: that is not an answer. */
function isThere(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES") throw failed(`cannot tell which volumes are mounted: ${runRoot} needs root, run it as root`);
    return false;
  }
}

function describe({ mountpoint, deviceNumber, source, type, options }: Pick<MountEntry, "deviceNumber" | "mountpoint" | "source" | "type" | "options">) {
  return {
    mountpoint,
    deviceNumber,
    /** the mounted block device, as mountinfo names it: /dev/loop3 */
    device: source,
    runDir: join(runRoot, deviceNumber),
    engine: type === "fuseblk" ? "native" as const : "fuse-native" as const,
    /** -o ro: nothing on it can be swapped on */
    readOnly: options.includes("ro"),
    /** the image below a loop device */
    image: backingFile(deviceNumber),
    /** the loop device goes when its last user does, as ours do; one that was set up by hand stays */
    autoclear: readText(`/sys/dev/block/${deviceNumber}/loop/autoclear`) === "1",
  };
}
