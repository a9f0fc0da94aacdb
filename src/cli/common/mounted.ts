// Which volumes are mounted, from /proc/self/mountinfo and the run directories; no mount is touched to find out.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { StateFile } from "../../engine/native/statefile";
import { isSameFile } from "../../sys/imagebelow";
import { listFolder, readText } from "../../sys/kernelfiles";
import { backingFile } from "../../sys/loop";
import { mountHolding, readMounts, type MountEntry } from "../../sys/mounttable";
import { failed } from "./outcome";
import { resolveFolder } from "./paths";

export const runRoot = "/run/swapfs";

export interface MountedVolume {
  readonly mountpoint: string;
  /** the mounted block device, as mountinfo names it: /dev/loop3 */
  readonly device: string;
  /** "7:3" */
  readonly deviceNumber: string;
  readonly runDir: string;
  readonly engine: "native" | "fuse-native";
  /** the image below a loop device */
  readonly image: string | undefined;
  /** the loop device goes when its last user does, as ours do; one that was set up by hand stays */
  readonly autoclear: boolean;
}

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
    return [describe({ deviceNumber, mountpoint, source: device, type: "fuseblk" })];
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

/** The names of the loop devices that are attached to this file. */
export function loopsOn(image: string): string[] {
  return listFolder("/sys/block").filter((name) => {
    const file = name.startsWith("loop") ? backingFile(`/dev/${name}`) : undefined;
    return file !== undefined && isSameFile(file, image);
  });
}

function isVolume(mount: MountEntry): boolean {
  const ours = mount.type === "fuseblk" || mount.type === "fuse" || mount.type.startsWith("fuse.");
  return ours && existsSync(join(runRoot, mount.deviceNumber));
}

function describe(mount: Pick<MountEntry, "deviceNumber" | "mountpoint" | "source" | "type">): MountedVolume {
  return {
    mountpoint: mount.mountpoint,
    device: mount.source,
    deviceNumber: mount.deviceNumber,
    runDir: join(runRoot, mount.deviceNumber),
    engine: mount.type === "fuseblk" ? "native" : "fuse-native",
    image: backingFile(mount.deviceNumber),
    autoclear: readText(`/sys/dev/block/${mount.deviceNumber}/loop/autoclear`) === "1",
  };
}
