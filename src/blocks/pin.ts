// `swapfs pin`, `swapfs activate`, their undoing, and the xattr that does the same: pins without swapon.

import { assert } from "../base/assert";
import { FsError, ViewedError } from "../base/errors";
import { logLine } from "../base/log";
import { stepsOf, zeroStep } from "../base/steps";
import { wholePages } from "../base/units";
import { judgeAndPin, nobody, whileWritten } from "../activation/activate";
import { anyPin, pinModeOf, pins, type PinMode } from "../activation/handles";
import type { Verdict } from "../activation/verdict";
import { attributesOf } from "../namespace/attributes";
import { withoutSetId } from "../namespace/modes";
import { inodeOf, type Caller } from "../namespace/space";
import { setXattr, withoutCapability } from "../namespace/xattrs";
import type { Change, Extent } from "../volume/changes";
import type { Inode } from "../volume/inode";
import type { Volume } from "../volume/volume";
import type { FileSystem } from "./filesystem";

export interface PinOutcome {
  readonly verdict: Verdict;
  /** the mode that the file has now; undefined: refused, and nobody else holds it */
  readonly mode: PinMode | undefined;
  /** it had that mode before */
  readonly already: boolean;
  /** pages that were never written and must be before it can be activated: call again */
  readonly pagesLeft: number;
}

/** The mark of a file that `mount --activate` activates; setting it activates, removing it deactivates. */
export const activateXattr = "user.swapfs.activate";
/** Its value, which a copy may have as well: set to this it only marks. */
export const activateMark = "marked";

/** Of one journal record. */
const recordPages = 16384;
const recordExtents = 1024;

export interface PinOptions {
  /** of zeros that are written in this call */
  readonly pagesMax?: number;
  /** Runs alone on the file, with the mode: what is said of the mode (its mark) is true when others are let in. */
  readonly whenReached?: () => void;
}

/**
 * Through the gate, and pinned until `unpin` or the end of the mount. To be activated a file needs every page written, so
 * zeros go where nothing was: at most `pagesMax` of them in one call. Each step is alone on the file and looks anew at what
 * it finds; between two of them, and until the next call, others are let in, and the activation under way holds the file. When it
 * comes to nothing that ends, and nothing that somebody else holds: another activation under way takes hold of it again.
 */
export async function pin(fs: FileSystem, ino: number, mode: PinMode, options: PinOptions = {}): Promise<PinOutcome> {
  let outcome: PinOutcome | undefined;
  try {
    let { pagesMax: left = Infinity } = options;
    do {
      outcome = undefined;
      outcome = await pinStep(fs, ino, mode, { ...options, pagesMax: Math.min(left, recordPages) });
      left -= recordPages;
    } while (outcome.pagesLeft > 0 && left > 0);
    return outcome;
  } finally {
    if (mode === "swap_rw" && (outcome?.pagesLeft ?? 0) === 0) await unpin(fs, ino, pins.activating);
    await endUnreachable(fs, ino); // it may have lost its name meanwhile
  }
}

async function pinStep(fs: FileSystem, ino: number, mode: PinMode, options: PinOptions): Promise<PinOutcome> {
  fs.mustHaveGate();
  inodeOf(fs, ino);
  let outcome: PinOutcome | undefined;
  const wanted = { ino, pid: nobody, pin: mode === "pinned" ? pins.pinned : pins.activating };
  const verdict = await whileWritten(fs, wanted, async (onlookers) => {
    const held = fs.handles.pins(ino);
    if (pinModeOf(held & anyPin & ~pins.activating) === mode) {
      outcome = { verdict: accepted(inodeOf(fs, ino)), mode, already: true, pagesLeft: 0 };
      options.whenReached?.();
      return outcome.verdict;
    }
    if ((held & pins.activated) !== 0) checkNobodyWrites(fs, ino);
    if (mode === "swap_rw" && fs.handles.isSwapon(ino)) throw new FsError("EBUSY", `ino ${ino} is swapped on, run swapoff first`);
    if (mode === "swap_rw" && fs.leases.isViewed(ino)) throw new ViewedError("EBUSY", `ino ${ino} is swapped on, run swapfs swapoff first`);
    const judged = await judgeAndPin(fs, wanted, onlookers);
    if (judged?.accepted === true) outcome = await reach(fs, ino, judged, mode, options);
    return judged;
  });
  if (verdict === undefined) throw new FsError("ESTALE", `cannot pin ino ${ino}: it was freed`);
  return outcome ?? { verdict, mode: pinModeOf(fs.handles.pins(ino) & anyPin & ~pins.activating), already: false, pagesLeft: 0 };
}

/** What the gate has accepted and pinned gets `mode`, when no page is left to be written. */
async function reach(
  fs: FileSystem, ino: number, verdict: Verdict, mode: PinMode, { pagesMax = Infinity, whenReached }: PinOptions,
): Promise<PinOutcome> {
  if (mode === "pinned") endPins(fs, ino, pins.activated);
  else {
    const pagesLeft = await writeZeros(fs, ino, pagesMax);
    if (pagesLeft > 0) return { verdict, mode: "pinned", already: false, pagesLeft };
    dropPrivileges(fs, ino);
    await fs.volume.flush(); // an O_DSYNC write makes its own pages durable, not the records that say where they lie
    await setActivated(fs, ino);
  }
  whenReached?.();
  return { verdict, mode, already: false, pagesLeft: 0 };
}

/**
 * Ends `which` of `pins`; returns the mode that the file had, undefined when it had none of these, at once when nobody is at work on
 * it. Throws FsError EBUSY while it is written to as an activated file. `whenEnded` runs alone on the file as well.
 */
export function unpin(
  fs: FileSystem, ino: number, which = anyPin, whenEnded?: () => void,
): PinMode | undefined | Promise<PinMode | undefined> {
  return fs.exclusive(ino, () => {
    const mode = fs.handles.pinMode(ino);
    const ended = fs.handles.pins(ino) & which;
    if ((ended & pins.activated) !== 0) checkNobodyWrites(fs, ino);
    endPins(fs, ino, ended);
    whenEnded?.();
    return ended === 0 ? undefined : mode;
  });
}

export function isMarked(fs: FileSystem, ino: number): boolean {
  return fs.volume.inode(ino)?.xattrs.has(activateXattr) === true;
}

export function setMark(fs: FileSystem, caller: Caller, ino: number, flags = 0): void {
  setXattr(fs, caller, ino, activateXattr, Buffer.from(activateMark), flags);
}

/** An activated file that has neither a name nor a handle can be reached by nobody: its lease ends, and the inode with it. */
export async function endUnreachable(fs: FileSystem, ino: number): Promise<void> {
  const unreachable = (): boolean => fs.volume.inode(ino)?.nlink === 0 && fs.handles.openCount(ino) === 0;
  if (!fs.leases.isActivated(ino) || !unreachable()) return;
  await fs.exclusive(ino, () => {
    if (fs.leases.isActivated(ino) && unreachable()) endPins(fs, ino, pins.activated);
  });
}

export function endPins(fs: FileSystem, ino: number, which: number): void {
  const held = fs.handles.pins(ino);
  if ((held & which) === 0) return;
  fs.handles.setPins(ino, held & ~which);
  const mode = fs.handles.pinMode(ino);
  logLine(`ino ${ino} is ${mode === undefined ? `no longer ${pinModeOf(held) === "swap_rw" ? "activated" : "pinned"}` : "pinned, no longer activated"}`);
  if (fs.leases.mayMove(ino)) endPin(fs, ino);
  else fs.data.installPinned(ino); // swapped on, or somebody else holds it
}

/** Open for writing: a loop device, perhaps with swap on it, must not find itself on the ordinary path. */
function checkNobodyWrites(fs: FileSystem, ino: number): void {
  const who = fs.leases.writers(ino);
  if (who === undefined) return;
  throw new FsError("EBUSY", `ino ${ino} was opened for writing by ${who}, end that or detach the loop device first (swapfs swapoff FILE)`);
}

async function setActivated(fs: FileSystem, ino: number): Promise<void> {
  const held = fs.handles.pins(ino);
  fs.handles.setPins(ino, (held & ~pins.activating) | pins.activated);
  fs.data.installPinned(ino);
  if (!(await fs.data.whenInstalled(ino))) {
    fs.handles.setPins(ino, held);
    throw new FsError("ENOMEM", `ino ${ino} has more extents than the data plane's locked memory has room for, make it contiguous`);
  }
  void fs.data.invalidate(ino); // what was cached for the ordinary path would hide what others write past it
  logLine(`ino ${ino} is activated: from its next open on it is direct I/O of whole pages through the pinned map`);
}

function accepted({ ino, pages, extents }: Inode): Verdict {
  return { accepted: true, ino, pages, extents: extents.length, reasons: [] };
}

/** Returns how many pages are still unwritten. One record: `pagesMax` is at most `recordPages`. */
async function writeZeros(fs: FileSystem, ino: number, pagesMax: number): Promise<number> {
  const part = unwritten(inodeOf(fs, ino), pagesMax);
  for (const extent of part) await writeZerosIn(fs.volume, extent);
  if (part.length > 0) {
    await fs.volume.flush(); // the zeros before the record that makes them true
    fs.commit(part.map((extent): Change => ({
      kind: "set-extents", ino, filePage: extent.filePage, count: extent.count, extents: [{ ...extent, state: "written" }],
    })));
  }
  return [...inodeOf(fs, ino).extents].reduce((sum, { state, count }) => sum + (state === "unwritten" ? count : 0), 0);
}

function unwritten(inode: Inode, pagesMax: number): Extent[] {
  const part: Extent[] = [];
  let left = pagesMax;
  for (const extent of inode.extents) {
    if (left === 0 || part.length === recordExtents) break;
    if (extent.state !== "unwritten") continue;
    part.push({ ...extent, count: Math.min(left, extent.count) });
    left -= part.at(-1)!.count;
  }
  return part;
}

async function writeZerosIn({ device }: Volume, { devicePage, count }: Extent): Promise<void> {
  assert(device.zeroPages !== undefined, "an engine with a gate has a device that writes zeros on another thread");
  for (const [at, pages] of stepsOf(devicePage, count, wholePages(zeroStep))) await device.zeroPages(at, pages);
}

/** What each write to an ordinary file takes away is taken away once: the swap_rw path changes no metadata. */
function dropPrivileges(fs: FileSystem, ino: number): void {
  const inode = inodeOf(fs, ino);
  const mode = withoutSetId(inode.mode);
  const changes: Change[] = [];
  if (mode !== inode.mode) changes.push({ kind: "put-inode", ino, attributes: { ...attributesOf(inode), mode, ctime: fs.now() } });
  changes.push(...withoutCapability(inode));
  if (changes.length > 0) fs.commit(changes);
}

// The kernel may hold page locks of this file while it waits for us, so the invalidation is not awaited by anybody; it
// follows the reply (fuse_reverse_inval_inode, fs/fuse/inode.c).
export function endPin(fs: FileSystem, ino: number): void {
  if (fs.volume.inode(ino)?.nlink !== 0) fs.staleCaches.add(ino);
  void fs.data.revoke(ino).then(() => {
    if (fs.volume.inode(ino) !== undefined) void fs.data.invalidate(ino);
  });
}
