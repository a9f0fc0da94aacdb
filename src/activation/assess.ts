// Everything that the gate looks at, gathered for the judge.

import { messageOf } from "../base/errors";
import { wholePages } from "../base/units";
import { pins, type HandleTable } from "./handles";
import { judge, type Judged, type JudgeOptions } from "./judge";
import { noSurroundings, type Surroundings } from "./surroundings";
import type { PageRange, Verdict } from "./verdict";

export interface AssessParts {
  readonly volume: {
    inode(ino: number): Judged | undefined;
    flush(): Promise<void>;
    /** Pages of a file with these extents that are not its own alone, and do not say so. */
    notOwn(extents: Judged["extents"]): readonly PageRange[];
  };
  readonly handles: HandleTable;
  readonly surroundings?: Surroundings | undefined;
}

/** What other processes do with the file; asked for only when one of them may write to it. */
export type Onlookers = Pick<JudgeOptions, "inSwapon" | "mappedBy">;

/** As things are now: whoever pins what is accepted does so before anything is awaited. undefined: no such inode. */
export function judgeNow(parts: AssessParts, ino: number, options: Omit<JudgeOptions, "image">): Verdict | undefined {
  const file = parts.volume.inode(ino);
  if (file === undefined) return undefined;
  const image = (parts.surroundings ?? noSurroundings).image(file.extents, wholePages(file.size));
  const pinned = parts.handles.pins(ino);
  const ownWrites = pinned === 0 && parts.surroundings?.swaponDrains === true;
  const viewed = (pinned & pins.viewed) !== 0;
  return judge(file, parts.handles.of(ino), { ...options, image, ownWrites, viewed, notOwn: parts.volume.notOwn(file.extents) });
}

/**
 * "Not committed" is cured here: swap goes to blocks that a crash must not give to another file. Where that cannot be done
 * it is a reason like others.
 */
export async function commitNow({ volume }: Pick<AssessParts, "volume">): Promise<Pick<JudgeOptions, "uncommitted">> {
  return volume.flush().then(() => ({}), (error: unknown) => ({ uncommitted: messageOf(error) }));
}

/** `thorough`: also who has it mapped, for which every process is looked at. */
export async function onlookersOf({ handles, surroundings = noSurroundings }: AssessParts, ino: number, thorough: boolean): Promise<Onlookers> {
  const pids = [...new Set(handles.of(ino).map(({ pid }) => pid))].filter((pid) => pid > 0);
  const mapped = thorough ? surroundings.mappedBy(ino) : undefined;
  const inSwapon = await surroundings.inSwapon(pids);
  return mapped === undefined ? { inSwapon } : { inSwapon, mappedBy: await mapped };
}

/** The verdict for somebody who asks, and pins nothing. */
export async function assess(parts: AssessParts, ino: number, options: Omit<JudgeOptions, "image">): Promise<Verdict | undefined> {
  const asked = { ...options, ...(await commitNow(parts)) };
  const first = judgeNow(parts, ino, asked);
  if (first === undefined || !isWritten(first)) return first;
  return judgeNow(parts, ino, { ...asked, ...(await onlookersOf(parts, ino, true)) });
}

const writing: readonly string[] = ["open-for-writing", "mapped-shared"];

/** Somebody may write to the file. */
export function isWritten({ reasons }: Verdict): boolean {
  return reasons.some(({ kind }) => writing.includes(kind));
}

/** Nothing else is in the way. */
export function isOnlyWritten({ reasons }: Verdict): boolean {
  return reasons.length > 0 && reasons.every(({ kind }) => writing.includes(kind));
}
