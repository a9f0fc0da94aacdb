// Steps that swap, pin and activate.

import type { Reason } from "#src/activation/verdict";
import { checkVerdict, compareFile, same } from "./compare";
import { attempts } from "./datasteps";
import type { History } from "./history";
import { isKept, label, page, type Mode, type ModelFile } from "./model";
import { headerOf, type Pinned } from "./modelgate";
import { both, filePagesMax, hasRoom, idle, rather, some, type Step, type Steps } from "./stepping";

/** Fills what is missing, sometimes but for one page, and makes a swap area of it. */
const mkswap: Step = async (h) => {
  const file = idle(h);
  if (!file || !hasRoom(h, 2 * filePagesMax)) return undefined;
  const size = Math.max(file.data.length, (10 + h.random.below(50)) * page);
  await fill(h, file, size);
  h.log.push(`mkswap ${label(file)}`);
  await h.mkswap(file);
  if (h.random.below(5) > 0) return afterMkswap(h, file);
  const at = (1 + h.random.below(9)) * page;
  return both(h, `mkswap, punch ${label(file)} ${at}`, () => h.place.calls.fallocate(h.reach(file)!, 3, at, page), () => h.model.fallocate(file, 3, at, page));
};

async function fill(h: History, file: ModelFile, size: number): Promise<void> {
  await both(h, `fill ${label(file)} ${size}`, () => h.place.calls.fallocate(h.reach(file)!, 0, 0, size), () => h.model.fallocate(file, 0, 0, size));
}

async function afterMkswap(h: History, file: ModelFile): Promise<string> {
  const next = h.random.next();
  if (next < 0.6) {
    const done = await swaponOf(h, file);
    if (file.area !== undefined && h.random.chance(0.5)) await swapOut(h);
    return `mkswap, ${done}`;
  }
  if (next < 0.7) return `mkswap, ${await pinOf(h, file)}`;
  if (next < 0.8) return `mkswap, ${await activateOf(h, file)}`;
  return `mkswap ${label(file)}`;
}

const swapon: Step = async (h) => {
  const file = rather(h, (one) => one.area === undefined && headerOf(one) !== undefined);
  return file && swaponOf(h, file);
};

async function swaponOf(h: History, file: ModelFile): Promise<string> {
  const active = file.area !== undefined;
  if (!active && h.random.chance(0.5)) await checkVerdict(h, file);
  const reasons = h.gate.swaponReasons(file);
  const done = await both(h, `swapon ${label(file)}`, () => h.place.calls.swapon(h.reach(file)!), () => h.gate.swapon(file));
  if (active) return done;
  if (file.area !== undefined) h.tally.add(file.mode === undefined ? "swapped on" : `swapped on while ${file.mode}`);
  for (const { kind } of h.gate.verdict(file)) h.tally.add(`refused: ${kind}`);
  if (h.gate.isAsked(file)) await checkRefused(h, file, reasons);
  return done;
}

async function checkRefused(h: History, file: ModelFile, reasons: readonly Reason[]): Promise<void> {
  h.expect(`user.swapfs.refused of ${label(file)}`, await h.refusedText(file), reasons.length > 0 ? h.refusalText(reasons) : "none");
}

const swapoff: Step = async (h) => {
  const active = h.model.files.filter(({ area }) => area !== undefined);
  if (active.length === 0) {
    const file = some(h);
    return file && both(h, `swapoff of an idle ${label(file)}`, () => h.place.calls.swapoff(h.reach(file)!), () => "EINVAL");
  }
  const file = h.random.pick(active);
  h.log.push(`swapoff ${label(file)}`);
  await h.swapoff(file);
  if (h.random.chance(0.3)) {
    await activateOf(h, file); // zeros go where swap has written and the file says that nothing was
    await compareFile(h, `${label(file)} after swap`, file, true);
  }
  return `swapoff ${label(file)} = 0`;
};

/** Real pages into the area, and back: most of the time by its own swapoff. */
const swapOut: Step = async (h) => {
  if (!h.model.files.some(({ area }) => area !== undefined)) return undefined;
  const pages = 8 + h.random.below(32);
  const stamp = h.nextStamp();
  await both(h, `hold ${pages} pages`, () => h.place.calls.hold(stamp, pages * page), () => 0);
  if (await h.isSwappedTo()) h.tally.add("pages went out");
  if (h.random.below(3) > 0) return "hold = 0";
  return both(h, "let go", () => h.place.calls.letGo(), () => 0);
};

const pin: Step = async (h) => {
  const file = await fit(h, (one) => one.mode === undefined);
  return file && attempted(h, file, await pinOf(h, file));
};

const activate: Step = async (h) => {
  const file = await fit(h, (one) => one.mode !== "swap_rw" && one.area === undefined);
  return file && attempted(h, file, await activateOf(h, file));
};

async function attempted(h: History, file: ModelFile, done: string): Promise<string> {
  if (file.mode !== undefined && hasRoom(h)) await h.random.pick(attempts)(h, file);
  return done;
}

/** One that the gate lets pass, most of the time: what is missing is filled. */
async function fit(h: History, which: (file: ModelFile) => boolean): Promise<ModelFile | undefined> {
  const file = rather(h, (one) => which(one) && h.gate.reasons(one).length === 0);
  if (!file || isKept(file) || !hasRoom(h) || h.gate.reasons(file).length === 0 || h.random.chance(0.3)) return file;
  const size = Math.max(file.data.length, (2 + h.random.below(30)) * page);
  await fill(h, file, size);
  return file;
}

// The gate lets a pin pass whose only writer is the process that swapped on: one that keeps a handle of its own as well, which
// swapon(8) never does, could then write where the model says that nobody may.
function isSwapperWriting({ area, held }: ModelFile): boolean {
  return area !== undefined && held.some(({ writes }) => writes);
}

async function pinOf(h: History, file: ModelFile): Promise<string> {
  if (isSwapperWriting(file)) return "pin not tried";
  const what = `pin ${label(file)}`;
  const at = h.log.push(what) - 1;
  const got = await asked(h, "pin", file);
  return (h.log[at] = await checkPinned(h, what, file, got, h.gate.pin(file)));
}

async function activateOf(h: History, file: ModelFile): Promise<string> {
  if (isSwapperWriting(file)) return "activate not tried";
  const what = `activate ${label(file)}`;
  if (h.random.chance(0.5)) {
    const at = h.log.push(what) - 1;
    const got = await asked(h, "activate", file);
    return (h.log[at] = await checkPinned(h, what, file, got, h.gate.activate(file)));
  }
  return both(h, `${what} by xattr`, () => h.place.calls.setXattr(h.reach(file)!, "user.swapfs.activate", "1"), () => {
    const { error, mode } = h.gate.activate(file);
    return error ?? (mode === "swap_rw" ? 0 : "EINVAL");
  });
}

async function checkPinned(h: History, what: string, file: ModelFile, got: Pinned, expected: Pinned): Promise<string> {
  const plain = ({ error, mode, reasons = [] }: Pinned): object => ({ error, mode, reasons });
  same(what, plain(got), plain(expected));
  if (expected.error !== undefined) return `${what} = ${expected.error}`;
  const reasons = expected.reasons ?? [];
  if (reasons.length === 0) return `${what} = 0`;
  if (h.reach(file) !== undefined) await checkRefused(h, file, reasons);
  return `${what} = REFUSED`;
}

/** EBUSY: what the errors of src/blocks/pin.ts say that name who uses the file. */
async function asked(h: History, command: "pin" | "activate", { ino }: ModelFile): Promise<Pinned> {
  try {
    const { verdict, mode, already } = (await h.ask({ command, ino })) as { verdict: { reasons: Reason[] }; mode?: Mode; already: boolean };
    return { mode, reasons: already ? undefined : verdict.reasons };
  } catch (error) {
    if (!isBusy(error)) throw error;
    return { error: "EBUSY", mode: h.model.files.find((file) => file.ino === ino)!.mode, reasons: undefined };
  }
}

function isBusy(error: unknown): boolean {
  return /was opened for writing by pid|is swapped on, run swapoff/.test(String(error));
}

/** Also of a file that has lost its last name: by its number. */
const unpin: Step = (h) => endMode(h, "unpin");
const deactivate: Step = (h) => endMode(h, "deactivate");

async function endMode(h: History, command: "unpin" | "deactivate"): Promise<string | undefined> {
  const pinned = h.model.files.filter(({ mode }) => (command === "unpin" ? mode !== undefined : mode === "swap_rw"));
  const file = pinned.length > 0 ? h.random.pick(pinned) : some(h);
  if (!file) return undefined;
  const call = async (): Promise<string> => {
    try {
      return ((await h.ask({ command, ino: file.ino })) as { mode: Mode | null }).mode ?? "none";
    } catch (error) {
      if (isBusy(error)) return "EBUSY";
      throw error;
    }
  };
  const done = await both(h, `${command} ${label(file)}`, call, () => h.gate[command](h.model, file) ?? "none");
  return done.endsWith("EBUSY") ? done : `${done.slice(0, done.lastIndexOf(" = "))} = 0`;
}

const unmark: Step = async (h) => {
  const file = rather(h, ({ marked }) => marked);
  if (!file) return undefined;
  return both(h, `deactivate ${label(file)} by xattr`, () => h.place.calls.removeXattr(h.reach(file)!, "user.swapfs.activate"), () => {
    const had = file.marked;
    return h.gate.deactivate(h.model, file) === "EBUSY" ? "EBUSY" : had ? 0 : "ENODATA";
  });
};

export const swapSteps: Steps = [
  ["mkswap", mkswap, 12], ["swapon", swapon, 16], ["swapoff", swapoff, 6], ["swap out", swapOut, 6], ["pin", pin, 6], ["unpin", unpin, 6],
  ["activate", activate, 6], ["deactivate", deactivate, 2], ["deactivate by xattr", unmark, 2],
];
