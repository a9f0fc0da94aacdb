// Loop devices over a volume's source itself, at the place of a file's blocks: block views. They outlive whoever attached them, so
// they are looked for at each question, by what the kernel says they are attached to.

import { readFileSync, readdirSync, type Stats } from "node:fs";
import { addon, type LoopStatus } from "./addon";
import type { SourcePart } from "./loop";
import { withOpen } from "./kernelfiles";

export interface LoopView extends Pick<LoopStatus, "offset" | "sizeLimit"> {
  /** /dev/loop3 */
  readonly device: string;
  /** of the file, in a view that we attached */
  readonly ino: number | undefined;
}

/** What LOOP_GET_STATUS64 shows as the file name of a view. */
export function viewName(uuid: Buffer, ino: number): string {
  return `swapfs-${uuid.toString("hex", 0, 4)}-${ino}`;
}

/** Over any of these files or block devices; without them, all that we attached. Throws what stands in the way of an answer. */
export function loopViews(sources?: readonly Stats[]): LoopView[] {
  return attached().flatMap(({ device }) => {
    const status = statusOf(device);
    if (status === undefined) return [];
    const ino = /^swapfs-[0-9a-f]{8}-(\d+)$/.exec(status.name)?.[1];
    if (sources === undefined ? ino === undefined : !sources.some((source) => isOver(status, source))) return [];
    return [{ device, offset: status.offset, sizeLimit: status.sizeLimit, ino: ino === undefined ? undefined : Number(ino) }];
  });
}

/**
 * The device over each of these parts of the source, undefined where there is none. It is there unless the kernel says that it is not. No
 * device of another place is opened: one over a file of our own mount may end with our descriptor, and would ask us.
 */
export function viewsOfParts(source: Stats, parts: readonly SourcePart[]): (string | undefined)[] {
  const devices = parts.length === 0 ? [] : attached();
  return parts.map(({ offset, length }) => devices.find(({ device, name }) => {
    if (attribute(name, "offset") !== String(offset) || attribute(name, "sizelimit") !== String(length)) return false;
    try {
      return isOver(withOpen(device, "r", (fd) => addon().loopStatus(fd)), source);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code !== "ENXIO";
    }
  })?.device);
}

function attached(): { name: string; device: string }[] {
  return readdirSync("/sys/block").filter((name) => /^loop\d+$/.test(name) && attribute(name, "backing_file") !== undefined)
    .map((name) => ({ name, device: `/dev/${name}` }));
}

/** undefined: nothing is attached, or no more. */
function attribute(name: string, what: string): string | undefined {
  try {
    return readFileSync(`/sys/block/${name}/loop/${what}`, "utf8").trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENODEV") return undefined;
    throw error;
  }
}

/** undefined: it has just been detached, or cannot be looked at, as those of the host in a container. */
function statusOf(device: string): LoopStatus | undefined {
  try {
    return withOpen(device, "r", (fd) => addon().loopStatus(fd));
  } catch {
    return undefined;
  }
}

function isOver(status: LoopStatus, source: Stats): boolean {
  return source.isBlockDevice() ? status.rdev === source.rdev : status.dev === source.dev && status.ino === source.ino;
}
