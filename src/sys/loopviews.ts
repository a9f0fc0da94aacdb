// Loop devices over a part of a file or block device: block views. They outlive whoever attached them, so they are looked for at each
// question, by what the kernel says they are attached to. The kernel asks the file below for that: so only those are asked that
// have an offset and a limit, as every view has. Others may lie over what does not answer.

import { readFileSync, readdirSync, type Stats } from "node:fs";
import { UserError, exitCode, messageOf } from "../base/errors";
import { addon, type LoopStatus } from "./addon";
import { belowLoopStatus, type Bytes } from "./bytesbelow";
import type { SourcePart } from "./loop";
import { withOpen } from "./kernelfiles";

export interface LoopView extends LoopStatus {
  /** /dev/loop3 */
  readonly device: string;
  /** the volume's, in hexadecimal digits, and the file's in it: of a view that we attached */
  readonly of: { readonly uuid: string; readonly ino: number } | undefined;
  /** where its bytes lie */
  readonly bytes: readonly Bytes[];
}

/** A lease, whose view may be there. */
export interface LeasedPart extends SourcePart {
  readonly ino: number;
}

/** What LOOP_GET_STATUS64 shows as the file name of a view. */
export function viewName(uuid: Buffer, ino: number): string {
  return `swapfs-${uuid.toString("hex")}-${ino}`;
}

/** Those that we attached, and others over a part of something. Throws a UserError where the kernel does not say what one is attached to. */
export function loopViews(): LoopView[] {
  return partial().flatMap(({ device }) => {
    const status = statusOf(device);
    if (status === undefined) return [];
    const [, uuid, ino] = /^swapfs-([0-9a-f]{32})-(\d+)$/.exec(status.name) ?? [];
    return [{ ...status, device, of: uuid === undefined ? undefined : { uuid, ino: Number(ino) }, bytes: belowLoopStatus(status) }];
  });
}

/** Attached to this file or block device itself. */
export function isOver(status: Pick<LoopStatus, "dev" | "ino" | "rdev">, source: Stats): boolean {
  return source.isBlockDevice() ? status.rdev === source.rdev : status.dev === source.dev && status.ino === source.ino;
}

export interface PartView {
  /** it lies over the source itself */
  readonly device: string | undefined;
  /** it is there: also under another number of the source, which may have been attached anew, by its name; and when the kernel does not say */
  readonly lives: boolean;
}

/** The views of these leases. No device of another place is opened: one over a file of our own mount would ask us. */
export function viewsOfParts(source: Stats, uuid: Buffer, parts: readonly LeasedPart[]): PartView[] {
  const devices = parts.length === 0 ? [] : partial();
  return parts.map(({ ino, offset, length }) => {
    const found = devices.filter((loop) => loop.offset === offset && loop.sizeLimit === length).flatMap(({ device }): PartView[] => {
      const status = statusOf<"unknown">(device, () => "unknown");
      if (status === undefined) return [];
      if (status === "unknown" || isOver(status, source)) return [{ device, lives: true }];
      return status.name === viewName(uuid, ino) ? [{ device: undefined, lives: true }] : [];
    });
    return found.find(({ device }) => device !== undefined) ?? found[0] ?? { device: undefined, lives: false };
  });
}

function partial(): { device: string; offset: number; sizeLimit: number }[] {
  return readdirSync("/sys/block").filter((name) => /^loop\d+$/.test(name)).flatMap((name) => {
    const [offset, sizeLimit] = [attribute(name, "offset"), attribute(name, "sizelimit")];
    return offset > 0 && sizeLimit > 0 ? [{ device: `/dev/${name}`, offset, sizeLimit }] : [];
  });
}

/** 0: nothing is attached, or no more. */
function attribute(name: string, what: string): number {
  try {
    return Number(readFileSync(`/sys/block/${name}/loop/${what}`, "utf8"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENODEV") return 0;
    throw error;
  }
}

/** undefined: nothing is attached to it any more, which ENXIO alone says (loop_get_status, drivers/block/loop.c). */
function statusOf<T = never>(device: string, unknown: (error: unknown) => T = cannotTell(device)): LoopStatus | T | undefined {
  try {
    return withOpen(device, "r", (fd) => addon().loopStatus(fd));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENXIO" ? undefined : unknown(error);
  }
}

function cannotTell(device: string): (error: unknown) => never {
  return (error) => {
    throw new UserError(exitCode.mountFailed, `cannot tell what ${device} is attached to, it may be a block view: ${messageOf(error)}, detach it (losetup -d ${device}), or run it where ${device} can be opened`);
  };
}
