// Loop devices over a part of a file or block device: block views, and what lies below those by device mapper. They outlive whoever attached them, so they are looked for at each
// question, by what the kernel says they are attached to. For that the kernel asks the file below, which may be anybody's, and on a
// filesystem that does not answer: so /sys alone tells which of them are worth the question.

import { readFileSync, statSync, type Stats } from "node:fs";
import { messageOf } from "../base/errors";
import { pageSize } from "../base/units";
import { addon, type LoopStatus } from "./addon";
import { belowLoopStatus, bytesBelow, bytesOf, overlap, stackOf, type Bytes } from "./bytesbelow";
import type { SourcePart } from "./loop";
import { listFolder, readText, statIfAny, withOpen } from "./kernelfiles";
import { mapperIdOf, topOf } from "./mapper";
import { asksOthers, mountHolding, readMounts } from "./mounttable";
import { withoutDeleted } from "./procswaps";

export interface LoopView extends LoopStatus {
  /** /dev/loop3 */
  readonly loop: string;
  /** what swap lies on: the same, or our device of device mapper over it */
  readonly device: string;
  /** the volume's, in hexadecimal digits, and the file's in it: of a view that we attached */
  readonly of: { readonly uuid: string; readonly ino: number } | undefined;
  /** where its bytes lie */
  readonly bytes: readonly Bytes[];
}

/** May be a view, but was not asked, or did not say. */
export interface UnknownLoop {
  readonly device: string;
  readonly offset: number;
  readonly sizeLimit: number;
  /** false: its file is on a filesystem that may not answer, and not the source's */
  readonly asked: boolean;
  readonly why: string;
}

/** A lease, whose view may be there. */
export interface LeasedPart extends SourcePart {
  readonly ino: number;
  /** Its runs of blocks have others between them: the view is a device of ours over the loop device, which alone is none. */
  readonly span: boolean;
}

/** What LOOP_GET_STATUS64 shows as the file name of a view. */
export function viewName(uuid: Buffer, ino: number): string {
  return `swapfs-${uuid.toString("hex")}-${ino}`;
}

/**
 * Those that we attached, and others that look like it. `source`: what may lie over that file or block device matters. Files on other
 * filesystems that may not answer are not asked.
 */
export function loopViews(source?: string): { views: LoopView[]; unknown: UnknownLoop[] } {
  const [views, unknown]: [LoopView[], UnknownLoop[]] = [[], []];
  const near = source === undefined ? [] : stackOf(source);
  for (const { device, offset, sizeLimit } of partial() ?? []) {
    const file = fileBelow(device);
    const type = file === undefined ? undefined : asksOthers(readMounts(), file, near);
    if (!looksOurs(device, offset, sizeLimit) && (source === undefined || type !== undefined || (file !== undefined && statIfAny(file) !== undefined))) continue;
    if (type !== undefined) unknown.push({ device, offset, sizeLimit, asked: false, why: `its file ${file} is on ${type}, which may not answer` });
    else try {
      const view = viewOf(device);
      if (view !== undefined) views.push(view);
    } catch (error) {
      unknown.push({ device, offset, sizeLimit, asked: true, why: messageOf(error) });
    }
  }
  return { views, unknown };
}

function viewOf(device: string): LoopView | undefined {
  const status = statusOf(device);
  if (status === undefined) return undefined;
  const [, uuid, ino] = /^swapfs-([0-9a-f]{32})-(\d+)$/.exec(status.name) ?? [];
  return { ...status, loop: device, device: topOf(device), of: uuid === undefined ? undefined : { uuid, ino: Number(ino) }, bytes: belowLoopStatus(status) };
}

/** By what /sys says. */
export function mayLieOver({ device, asked }: Pick<UnknownLoop, "device" | "asked">, source: readonly Bytes[]): boolean {
  return asked && overlap(bytesBelow(readText(`${folderOf(device)}/dev`) ?? ""), source);
}

/** For a person. */
export function cannotTell({ device, why }: UnknownLoop): { found: string; remedy: string } {
  return {
    found: `cannot tell what ${device} is attached to, it may be a block view (${why})`,
    remedy: `swapoff ${device} and detach it (losetup -d ${device}), or run it where ${device} can be opened`,
  };
}

/** The loop devices that have bytes of a file or block device, by what /sys says; not those that it lies on itself. */
export function loopsSharing(source: string): string[] {
  const [bytes, below, mounts] = [bytesOf(statSync(source)), stackOf(source), readMounts()];
  return loopNames().filter((name) => !below.includes(name)).map((name) => `/dev/${name}`).filter((device) => {
    const file = fileBelow(device);
    return file !== undefined && asksOthers(mounts, file, below) === undefined && mayLieOver({ device, asked: true }, bytes);
  });
}

/** What is attached to a loop device, or a device of ours over one, as /sys shows it: the same text as long as it is that; undefined: nothing. */
export function attachedTo(device: string): string | undefined {
  const id = mapperIdOf(device);
  if (id !== undefined) return `${id} ${readText(`${folderOf(device)}/diskseq`) ?? ""}`;
  const [offset, sizeLimit, times = ""] = ["loop/offset", "loop/sizelimit", "diskseq"].map((what) => readText(`${folderOf(device)}/${what}`));
  return offset === undefined ? undefined : `${offset} ${sizeLimit} ${times}`;
}

/** Attached to this file or block device itself. */
export function isOver(status: Pick<LoopStatus, "dev" | "ino" | "rdev">, source: Stats): boolean {
  return source.isBlockDevice() ? status.rdev === source.rdev : status.dev === source.dev && status.ino === source.ino;
}

export interface PartView {
  /** of one that lies over the source itself: what swap lies on */
  readonly device: string | undefined;
  /** it is there: also under another number of the source, which may have been attached anew, by its name; and when the kernel does not say */
  readonly lives: boolean;
}

/**
 * The views of these leases. No device of another place is opened. Nor is one over a file of our own mount, `mounted` by its device number,
 * which would ask us. What is not known may be there.
 */
export function viewsOfParts(source: Stats, uuid: Buffer, parts: readonly LeasedPart[], mounted: string): PartView[] {
  const devices = parts.length === 0 ? [] : partial();
  if (devices === undefined) return parts.map(() => ({ device: undefined, lives: true }));
  return parts.map(({ ino, offset, length, span }) => {
    const found = devices.filter((loop) => loop.offset === offset && loop.sizeLimit === length).flatMap(({ device }): PartView[] => {
      if (mountHolding(readMounts(), fileBelow(device) ?? "/")?.deviceNumber === mounted) return [{ device: undefined, lives: true }];
      const status = statusOf<"unknown">(device, () => "unknown");
      if (status === undefined) return [];
      if (status === "unknown" || isOver(status, source)) {
        const top = topOf(device);
        return [{ device: span && top === device ? undefined : top, lives: true }];
      }
      return status.name === viewName(uuid, ino) ? [{ device: undefined, lives: true }] : [];
    });
    return found.find(({ device }) => device !== undefined) ?? found[0] ?? { device: undefined, lives: false };
  });
}

/** /sys shows no loop device though the kernel has the driver: it is masked, and which there are is not known. */
export function loopsHidden(): boolean {
  return loopNames().length === 0 && /^ *\d+ loop$/m.test(readText("/proc/devices") ?? " 7 loop");
}

/** undefined: they are hidden. */
function partial(): { device: string; offset: number; sizeLimit: number }[] | undefined {
  if (loopsHidden()) return undefined;
  return loopNames().map((name) => `/dev/${name}`).flatMap((device) => {
    const [offset, sizeLimit] = [attribute(device, "offset"), attribute(device, "sizelimit")];
    return offset > 0 && sizeLimit > 0 ? [{ device, offset, sizeLimit }] : [];
  });
}

function loopNames(): string[] {
  return listFolder("/sys/block").filter((name) => /^loop\d+$/.test(name));
}

/** Ours go with their last user, and lie on whole pages. */
function looksOurs(device: string, offset: number, sizeLimit: number): boolean {
  return offset % pageSize === 0 && sizeLimit % pageSize === 0 && readText(`${folderOf(device)}/loop/autoclear`) === "1";
}

function fileBelow(device: string): string | undefined {
  const shown = readText(`${folderOf(device)}/loop/backing_file`);
  return shown === undefined ? undefined : withoutDeleted(shown).path;
}

function folderOf(device: string): string {
  return `/sys/block/${device.slice("/dev/".length)}`;
}

/** 0: nothing is attached, or no more. */
function attribute(device: string, what: string): number {
  try {
    return Number(readFileSync(`${folderOf(device)}/loop/${what}`, "utf8"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENODEV") return 0;
    throw error;
  }
}

/** undefined: nothing is attached to it any more, which ENXIO alone says (loop_get_status, drivers/block/loop.c). */
function statusOf<T = never>(device: string, unknown?: (error: unknown) => T): LoopStatus | T | undefined {
  try {
    return withOpen(device, "r", (fd) => addon().loopStatus(fd));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENXIO") return undefined;
    if (unknown === undefined) throw error;
    return unknown(error);
  }
}
