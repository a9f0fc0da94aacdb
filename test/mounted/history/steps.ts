// The steps of a history: each makes one change for real and in the model, and holds the two results against each other.

import { sleep } from "../../support/mounted-run";
import type { Answer } from "../../support/systemcalls";
import type { History } from "./history";
import { headerOf, page, type ModelFile, type Result } from "./model";

/** What it did, or undefined when there was nothing to do it with. */
export type Step = (h: History) => Promise<string | undefined>;

const filesMax = 7;
const filePagesMax = 96;
/** Blocks that stay free, so that only what is meant to finds the volume full. */
const slack = 200;

const names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

function some(h: History): ModelFile | undefined {
  return h.model.files.length === 0 ? undefined : h.random.pick(h.model.files);
}

function idle(h: History): ModelFile | undefined {
  const files = h.model.files.filter(({ area }) => area === undefined);
  return files.length === 0 ? undefined : h.random.pick(files);
}

/** One that has something to clone, if there is one. */
function full(h: History): ModelFile | undefined {
  const files = h.model.files.filter(({ blocks }) => [...blocks.values()].some(({ written }) => written));
  return files.length === 0 ? some(h) : h.random.pick(files);
}

/** One with shared pages half of the time: what changes those is what must be right. */
function target(h: History): ModelFile | undefined {
  const files = h.model.files.filter(({ blocks }) => [...blocks.values()].some(({ users }) => users > 1));
  return files.length === 0 || h.random.chance(0.5) ? some(h) : h.random.pick(files);
}

function hasRoom(h: History, pages = filePagesMax): boolean {
  return h.free - h.model.used() - pages > slack;
}

/** Aligned twice out of three times. */
function offset(h: History, pages = filePagesMax): number {
  return h.random.below(pages) * page + (h.random.below(3) > 0 ? 0 : h.random.below(page));
}

/** Where a shared page lies, most of the time, if there is one. */
function aimed(h: History, { blocks }: ModelFile, pages = filePagesMax): number {
  const shared = [...blocks].filter(([at, { users }]) => users > 1 && at < pages).map(([at]) => at);
  if (shared.length === 0 || h.random.chance(0.3)) return offset(h, pages);
  return h.random.pick(shared) * page + (h.random.chance(0.5) ? 0 : h.random.below(page));
}

function length(h: History, pages = 24): number {
  return h.random.below(3) > 0 ? (1 + h.random.below(pages)) * page : 1 + h.random.below(pages * page);
}

/** `call` and the model, with the same result; `meanwhile` goes on while the call is under way. */
async function both(h: History, what: string, call: () => Promise<Answer>, model: () => Result, meanwhile?: () => Promise<void>): Promise<string> {
  h.log.push(what);
  const answer = call();
  let isOver = false;
  void answer.then(() => (isOver = true), () => undefined);
  await meanwhile?.();
  if (meanwhile !== undefined && !isOver) h.tally.add("killed while a call was under way");
  const got = await answer;
  h.expect(what, got, model());
  return `${what} = ${got}`;
}

const create: Step = async (h) => {
  const name = h.random.pick(names);
  if (h.model.files.length >= filesMax && !h.model.find(name)) return undefined;
  return both(h, `create ${name}`, () => h.place.calls.create(h.at(name)), () => h.model.create(name));
};

type Writer = "write" | "writeDirect" | "writeMapped";

async function writeBy(h: History, how: Writer): Promise<string | undefined> {
  const file = target(h);
  if (!file || !hasRoom(h)) return undefined;
  let [from, bytes] = [aimed(h, file), length(h)];
  if (how === "writeMapped") {
    if (file.data.length < 2) return undefined;
    from = h.random.below(file.data.length - 1);
    bytes = Math.min(bytes, file.data.length - from);
  }
  const { stamp, bytes: contents } = h.stamped(bytes);
  const call = (): Promise<Answer> => h.place.calls[how](h.at(file.name), from, bytes, stamp);
  return both(h, `${how} ${file.name} ${from} +${bytes}`, call, () => h.model.write(file, from, contents));
}

const write: Step = (h) => writeBy(h, "write");
const writeDirect: Step = (h) => writeBy(h, "writeDirect");
const writeMapped: Step = (h) => writeBy(h, "writeMapped");

/** One copy_file_range(2) of any range; whole files half of the time. */
const clone: Step = async (h) => {
  const from = full(h);
  const to = h.random.chance(0.2) ? from : some(h);
  if (!from || !to || !hasRoom(h)) return undefined;
  const whole = from !== to && h.random.chance(0.5);
  const aligned = h.random.below(4) > 0;
  const place = (): number => (whole ? 0 : aligned ? h.random.below(40) * page : offset(h, 40));
  const [offsetIn, offsetOut, bytes] = [place(), place(), whole ? 2 ** 30 : length(h, 60)];
  const call = (): Promise<Answer> => h.place.calls.copy(h.at(from.name), offsetIn, h.at(to.name), offsetOut, bytes);
  const what = `copy ${from.name} ${offsetIn} to ${to.name} ${offsetOut} +${bytes}`;
  return both(h, what, call, () => h.model.copy(from, offsetIn, to, offsetOut, bytes));
};

const truncate: Step = async (h) => {
  const file = target(h);
  if (!file || !hasRoom(h)) return undefined;
  const size = h.random.pick([offset(h), file.data.length + page * h.random.below(4), Math.max(0, file.data.length - 1 - h.random.below(3 * page)), file.data.length]);
  return both(h, `truncate ${file.name} ${size}`, () => h.place.calls.truncate(h.at(file.name), size), () => h.model.truncate(file, size));
};

async function allocateBy(h: History, what: string, mode: number): Promise<string | undefined> {
  const file = target(h);
  if (!file || !hasRoom(h)) return undefined;
  const [from, bytes] = [aimed(h, file, 60), length(h, 40)];
  const call = (): Promise<Answer> => h.place.calls.fallocate(h.at(file.name), mode, from, bytes);
  return both(h, `${what} ${file.name} ${from} +${bytes}`, call, () => h.model.fallocate(file, mode, from, bytes));
}

const allocate: Step = (h) => allocateBy(h, h.random.chance(0.7) ? "allocate" : "allocate, keep size", 0);
const keepSize: Step = (h) => allocateBy(h, "allocate, keep size,", 1);
const punch: Step = (h) => allocateBy(h, "punch", 3);
const zeroRange: Step = (h) => allocateBy(h, "zero", h.random.pick([16, 17]));

/** More than there is: ENOSPC, and nothing has changed. */
const tooMuch: Step = async (h) => {
  const file = idle(h);
  const free = h.free - h.model.used();
  if (!file) return undefined;
  const [from, bytes] = [h.random.below(20) * page, (free + filePagesMax + 100) * page];
  const mode = h.random.pick([0, 1]);
  if (h.model.missing(file, mode, from, bytes) <= free) return undefined;
  return both(h, `allocate too much ${file.name}`, () => h.place.calls.fallocate(h.at(file.name), mode, from, bytes), () => h.model.fallocateTooMuch(file, mode));
};

const unlink: Step = async (h) => {
  const file = some(h);
  if (!file) return undefined;
  return both(h, `unlink ${file.name}`, () => h.place.calls.unlink(h.at(file.name)), () => h.model.unlink(file));
};

const rename: Step = async (h) => {
  const [file, name] = [some(h), h.random.pick(names)];
  if (!file) return undefined;
  return both(h, `rename ${file.name} ${name}`, () => h.place.calls.rename(h.at(file.name), h.at(name)), () => h.model.rename(file, name));
};

/** Fills what is missing, sometimes but for one page, and makes a swap area of it. */
const mkswap: Step = async (h) => {
  const file = idle(h);
  if (!file || !hasRoom(h, 2 * filePagesMax)) return undefined;
  const size = Math.max(file.data.length, (10 + h.random.below(50)) * page);
  await both(h, `fill ${file.name} ${size}`, () => h.place.calls.fallocate(h.at(file.name), 0, 0, size), () => h.model.fallocate(file, 0, 0, size));
  h.log.push(`mkswap ${file.name}`);
  await h.mkswap(file);
  if (h.random.below(5) > 0) return h.random.chance(0.7) ? `mkswap, ${await swaponOf(h, file)}` : `mkswap ${file.name}`;
  const at = (1 + h.random.below(9)) * page;
  return both(h, `mkswap, punch ${file.name} ${at}`, () => h.place.calls.fallocate(h.at(file.name), 3, at, page), () => h.model.fallocate(file, 3, at, page));
};

const swapon: Step = (h) => {
  const fit = h.model.files.filter((file) => file.area === undefined && headerOf(file) !== undefined);
  const file = fit.length > 0 && h.random.below(4) > 0 ? h.random.pick(fit) : some(h);
  return file === undefined ? Promise.resolve(undefined) : swaponOf(h, file);
};

async function swaponOf(h: History, file: ModelFile): Promise<string> {
  const active = file.area !== undefined;
  if (!active && h.random.chance(0.5)) await h.checkVerdict(file);
  const done = await both(h, `swapon ${file.name}`, () => h.place.calls.swapon(h.at(file.name)), () => h.model.swapon(file));
  if (active) return done;
  if (file.area !== undefined) h.tally.add("swapped on");
  for (const { kind } of h.model.reasons(file)) h.tally.add(`refused: ${kind}`);
  const [reasons, header] = [h.model.gateReasons(file), headerOf(file)];
  const asked = header !== undefined && header.pages <= Math.floor(file.data.length / page); // else the kernel stops before the gate
  if (asked) h.expect(`user.swapfs.refused of ${file.name}`, await h.refusedText(file), reasons.length > 0 ? h.refusalText(reasons) : "none");
  return done;
}

const swapoff: Step = async (h) => {
  const active = h.model.files.filter(({ area }) => area !== undefined);
  if (active.length === 0) {
    const file = some(h);
    return file && both(h, `swapoff of an idle ${file.name}`, () => h.place.calls.swapoff(h.at(file.name)), () => "EINVAL");
  }
  const file = h.random.pick(active);
  h.log.push(`swapoff ${file.name}`);
  await h.swapoff(file);
  return `swapoff ${file.name} = 0`;
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

const fsync: Step = async (h) => {
  const file = some(h);
  return file && both(h, `fsync ${file.name}`, () => h.place.calls.fsync(h.at(file.name)), () => 0);
};

const killData: Step = (h) => killed(h, "data plane");
const killControl: Step = (h) => killed(h, "control plane");

async function killed(h: History, role: "data plane" | "control plane"): Promise<string> {
  h.log.push(`kill the ${role}`);
  (await h.killer(role))();
  return `kill the ${role}`;
}

const killInWrite: Step = async (h) => {
  const file = target(h);
  if (!file || !hasRoom(h)) return undefined;
  const [from, bytes] = [aimed(h, file, 40), (20 + h.random.below(50)) * page];
  const { stamp, bytes: contents } = h.stamped(bytes);
  const call = (): Promise<Answer> => h.place.calls.writeByPage(h.at(file.name), from, bytes, stamp);
  return both(h, `write by page ${file.name} ${from} +${bytes}`, call, () => h.model.write(file, from, contents), await strike(h));
};

const killInClone: Step = async (h) => {
  const [from, to] = [full(h), some(h)];
  const pages = from && Math.floor(from.data.length / page);
  if (!from || !to || !pages || from === to || !hasRoom(h)) return undefined;
  const model = (): Result => {
    let sum = 0;
    for (let at = 0; at < pages; at += 1) {
      const done = h.model.copy(from, at * page, to, at * page, page);
      if (typeof done === "string") return done;
      sum += done;
    }
    return sum;
  };
  const call = (): Promise<Answer> => h.place.calls.copyByPage(h.at(from.name), h.at(to.name), pages);
  return both(h, `clone by page ${from.name} ${to.name}`, call, model, await strike(h));
};

/** One of the two, or both, some moments after the call began. */
async function strike(h: History): Promise<() => Promise<void>> {
  const roles = h.random.pick([["data plane"], ["control plane"], ["data plane", "control plane"]] as const);
  const kills = await Promise.all(roles.map((role) => h.killer(role)));
  return async () => {
    await sleep(h.random.below(12));
    h.log.push(`kill the ${roles.join(" and the ")}`);
    for (const kill of kills) kill();
  };
}

const remount: Step = async (h) => {
  h.log.push("remount");
  await h.remount();
  return "remount";
};

/** Each as often as it stands here. */
export const steps: readonly (readonly [name: string, step: Step, weight: number])[] = [
  ["create", create, 5], ["write", write, 6], ["write O_DIRECT", writeDirect, 4], ["write mapped", writeMapped, 3], ["clone", clone, 9],
  ["truncate", truncate, 5], ["allocate", allocate, 4], ["allocate, keep size", keepSize, 1], ["punch", punch, 4], ["zero range", zeroRange, 3],
  ["allocate too much", tooMuch, 1], ["unlink", unlink, 3], ["rename", rename, 3], ["mkswap", mkswap, 6], ["swapon", swapon, 9], ["swapoff", swapoff, 3],
  ["swap out", swapOut, 3], ["fsync", fsync, 1], ["kill the data plane", killData, 1], ["kill the control plane", killControl, 1],
  ["kill in a write", killInWrite, 1], ["kill in a clone", killInClone, 1], ["remount", remount, 1],
];
