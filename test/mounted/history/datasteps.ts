// Steps that change what is in files and where it lies.

import type { Answer } from "../../support/systemcalls";
import { compareFile } from "./compare";
import type { History } from "./history";
import { isKept, label, page, type ModelFile } from "./model";
import { aimed, both, filePagesMax, full, hasRoom, idle, isShared, length, offset, some, target, type Step, type Steps } from "./stepping";

/** Ways to write. */
export type Writer = "write" | "writeDirect" | "writeMapped";
type Change = (h: History, file: ModelFile) => Promise<string | undefined>;

/** To be done with a file that the step chooses. */
function changing(change: Change): Step {
  return async (h) => {
    const file = target(h);
    return file && hasRoom(h) ? change(h, file) : undefined;
  };
}

async function writeBy(h: History, file: ModelFile, how: Writer): Promise<string | undefined> {
  let [from, bytes] = [aimed(h, file), length(h)];
  if (how === "writeMapped") {
    if (file.data.length < 2) return undefined;
    from = Math.min(from, h.random.below(file.data.length - 1));
    bytes = Math.min(bytes, file.data.length - from);
  } else if (file.mode === "swap_rw" && h.random.chance(0.5)) {
    from = h.random.below(Math.max(1, Math.floor(file.data.length / page))) * page;
    bytes = (1 + h.random.below(4)) * page;
  }
  if (file.area === undefined && file.mode !== undefined) h.tally.add(`write while ${file.mode}`);
  return writeAt(h, file, how, from, bytes);
}

export async function writeAt(h: History, file: ModelFile, how: Writer, from: number, bytes: number): Promise<string> {
  const { stamp, bytes: contents } = h.stamped(bytes);
  const call = (): Promise<Answer> => h.place.calls[how](h.reach(file)!, from, bytes, stamp);
  const model = how === "writeMapped" ? h.model.writeMapped.bind(h.model) : h.model.write.bind(h.model);
  return both(h, `${how} ${label(file)} ${from} +${bytes} (write ${stamp})`, call, () => model(file, from, contents));
}

const write: Change = (h, file) => writeBy(h, file, "write");
const writeDirect: Change = (h, file) => writeBy(h, file, "writeDirect");
const writeMapped: Change = (h, file) => writeBy(h, file, "writeMapped");

/** A clone of any range; what is shared then is changed, most of the time. */
const clone: Step = async (h) => {
  const from = full(h);
  const to = h.random.chance(0.1) ? from : (h.random.chance(0.7) ? idle(h) : undefined) ?? some(h);
  if (!from || !to || !hasRoom(h)) return undefined;
  const done = await cloneTo(h, from, to);
  if (!isShared(to) || h.random.chance(0.3) || !hasRoom(h)) return done;
  await h.random.pick(changes)(h, h.random.pick([from, to]));
  await compareFile(h, `${label(to)} after the clone`, to, true);
  if (from !== to) await compareFile(h, `${label(from)} after the clone`, from, true);
  h.tally.add("changed after a clone");
  return done;
};

/** One copy_file_range(2) of any range, whole files half of the time. */
export async function cloneTo(h: History, from: ModelFile, to: ModelFile): Promise<string> {
  const whole = from !== to && h.random.chance(0.5);
  const aligned = h.random.below(4) > 0;
  const place = (pages: number): number => (whole ? 0 : aligned ? h.random.below(pages) * page : offset(h, pages));
  const offsetIn = place(Math.max(1, Math.min(40, Math.ceil(from.data.length / page))));
  const [offsetOut, bytes] = [place(40), whole ? 2 ** 30 : length(h, from === to ? 20 : 60)];
  const call = (): Promise<Answer> => h.place.calls.copy(h.reach(from)!, offsetIn, h.reach(to)!, offsetOut, bytes);
  const what = `copy ${label(from)} ${offsetIn} to ${label(to)} ${offsetOut} +${bytes}`;
  return both(h, what, call, () => h.model.copy(from, offsetIn, to, offsetOut, bytes));
}

const truncate: Change = async (h, file) => {
  const old = file.data.length;
  const size = h.random.pick([offset(h), old + page * h.random.below(4), Math.max(0, old - 1 - h.random.below(3 * page)), old, 0]);
  const done = await truncateTo(h, file, size);
  if (size >= old || size % page === 0 || isKept(file) || h.random.chance(0.4)) return done;
  await grow(h, file);
  await compareFile(h, `${label(file)} cut off and longer again`, file);
  h.tally.add("longer again");
  return done;
};

async function truncateTo(h: History, file: ModelFile, size: number): Promise<string> {
  return both(h, `truncate ${label(file)} ${size}`, () => h.place.calls.truncate(h.reach(file)!, size), () => h.model.truncate(file, size));
}

/** What was cut off from the last page must not come back. */
async function grow(h: History, file: ModelFile): Promise<void> {
  const [old, more] = [file.data.length, 1 + h.random.below(2 * page)];
  switch (h.random.below(3)) {
    case 0: return void (await truncateTo(h, file, old + more));
    case 1: {
      const call = (): Promise<Answer> => h.place.calls.fallocate(h.reach(file)!, 0, old + more, page);
      return void (await both(h, `allocate ${label(file)} ${old + more} +${page}`, call, () => h.model.fallocate(file, 0, old + more, page)));
    }
    default: {
      const { stamp, bytes } = h.stamped(100);
      const call = (): Promise<Answer> => h.place.calls.write(h.reach(file)!, old + more, bytes.length, stamp);
      await both(h, `write ${label(file)} ${old + more} +100 (write ${stamp})`, call, () => h.model.write(file, old + more, bytes));
    }
  }
}

async function allocateBy(h: History, file: ModelFile, what: string, mode: number): Promise<string> {
  const [from, bytes] = [aimed(h, file, 60), length(h, 40)];
  const call = (): Promise<Answer> => h.place.calls.fallocate(h.reach(file)!, mode, from, bytes);
  return both(h, `${what} ${label(file)} ${from} +${bytes}`, call, () => h.model.fallocate(file, mode, from, bytes));
}

const allocate: Change = (h, file) => allocateBy(h, file, "allocate", 0);
const keepSize: Change = (h, file) => allocateBy(h, file, "allocate, keep size,", 1);
const punch: Change = (h, file) => allocateBy(h, file, "punch", 3);
const zeroRange: Change = (h, file) => h.random.chance(0.5) ? allocateBy(h, file, "zero", 16) : allocateBy(h, file, "zero, keep size,", 17);

const empty: Change = (h, file) => truncateTo(h, file, 0);

/** What changes one file alone, each as likely. */
export const changes: readonly Change[] = [write, writeDirect, writeMapped, truncate, allocate, keepSize, punch, zeroRange];

/** What a file that is kept refuses in its own way. */
export const attempts: readonly Change[] = [...changes, empty];

/** More than there is: ENOSPC, and nothing has changed. */
const tooMuch: Step = async (h) => {
  const file = idle(h);
  const free = h.free - h.model.used();
  if (!file) return undefined;
  const [from, bytes] = [h.random.below(20) * page, (free + filePagesMax + 100) * page];
  const mode = h.random.pick([0, 1]);
  if (h.model.missing(file, mode, from, bytes) <= free) return undefined;
  return both(h, `allocate too much ${label(file)}`, () => h.place.calls.fallocate(h.reach(file)!, mode, from, bytes), () => h.model.fallocateTooMuch(file, mode));
};

const fsync: Step = async (h) => {
  const file = some(h);
  return file && both(h, `fsync ${label(file)}`, () => h.place.calls.fsync(h.reach(file)!), () => 0);
};

export const dataSteps: Steps = [
  ["write", changing(write), 12], ["write O_DIRECT", changing(writeDirect), 8], ["write mapped", changing(writeMapped), 6], ["clone", clone, 18],
  ["truncate", changing(truncate), 10], ["allocate", changing(allocate), 8], ["allocate, keep size", changing(keepSize), 2],
  ["punch", changing(punch), 8], ["zero range", changing(zeroRange), 6], ["allocate too much", tooMuch, 2], ["fsync", fsync, 2],
];
