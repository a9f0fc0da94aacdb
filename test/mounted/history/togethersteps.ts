// Steps of several processes at the same time, each with a file of its own, or with pages of its own of one file. What they
// make of the volume does not depend on who comes first, so the model may take their calls in any order.

import { stamped } from "../../support/systemcalls";
import { compareFile, readWhole } from "./compare";
import { changes, cloneTo, writeAt, type Writer } from "./datasteps";
import { strike } from "./deathsteps";
import type { History } from "./history";
import { isKept, label, momentOf, page, type ModelFile } from "./model";
import { during, filePagesMax, full, hasRoom, idle, type Step, type Steps } from "./stepping";

export const workersMax = 3;
const callsOfEach = 6;
/** A file that is shared out has at least as many pages for each. */
const pagesMin = 4;
/** While a file is cloned so many go to its first pages, each of which gets several. */
const writesMeanwhile = 20;
const pagesMeanwhile = 8;
const tailRounds = 12;

/** The calls of one process, in their order. */
type Work = (worker: History) => Promise<void>;

/** Each changes its own file; blocks that they share they take from each other, and all clone the same file meanwhile. */
const filesTogether: Step = async (h) => {
  const named = h.random.shuffle(h.model.files.filter(({ names }) => names.length > 0));
  // One that is held open is read through a descriptor of another process.
  const files = named.filter((file) => !isKept(file) && file.held.length === 0).slice(0, workersMax);
  if (files.length < 2 || !hasRoom(h, 2 * filePagesMax * files.length)) return undefined;
  const source = named.find((file) => !files.includes(file));
  await together(h, files.map((file) => (worker) => changeFile(worker, file, source)));
  for (const file of files) await compareFile(h, `${label(file)} after files together`, file, true);
  return `files together: ${files.map(label).join(", ")}`;
};

async function changeFile(worker: History, file: ModelFile, source: ModelFile | undefined): Promise<void> {
  for (let call = 0; call < callsOfEach; call += 1) {
    if (source !== undefined && worker.random.chance(0.3)) await cloneTo(worker, source, file);
    else await worker.random.pick(changes)(worker, file);
    worker.tally.add("calls together");
    if (worker.random.chance(0.3)) await compareFile(worker, `${label(file)} meanwhile`, file);
  }
}

/** Each writes its own pages of one file, ordinary or activated, with holes or without. */
const pagesTogether: Step = async (h) => {
  const pagesOf = (file: ModelFile): number => Math.floor(file.data.length / page / workersMax);
  const fit = h.model.files.filter((file) => file.names.length > 0 && file.area === undefined && file.mode !== "pinned" && pagesOf(file) >= pagesMin);
  if (fit.length === 0 || !hasRoom(h)) return undefined;
  const file = h.random.pick(fit);
  const pages = pagesOf(file);
  await together(h, h.place.others.map((_, at) => (worker) => writePages(worker, file, at * pages, pages)));
  await compareFile(h, `${label(file)} after pages together`, file, true);
  if (file.mode !== undefined) h.tally.add("pages together while activated");
  return `pages together: ${label(file)}`;
};

async function writePages(worker: History, file: ModelFile, first: number, pages: number): Promise<void> {
  for (let call = 0; call < callsOfEach; call += 1) {
    const at = worker.random.below(pages);
    await writeSome(worker, file, first + at, 1 + worker.random.below(pages - at));
  }
}

async function writeSome(worker: History, file: ModelFile, at: number, pages: number): Promise<void> {
  const ways: readonly Writer[] = file.mode === undefined ? ["write", "writeDirect", "writeMapped"] : ["write", "writeDirect"];
  await writeAt(worker, file, worker.random.pick(ways), at * page, pages * page);
  worker.tally.add("calls together");
}

/**
 * A clone of a file that another process writes to, page by page. Each page of it is that of one moment, and stays it: which
 * moment it was, its contents say.
 */
const cloneMeanwhile: Step = async (h) => {
  const [from, to] = [full(h), idle(h)];
  if (!from || !to || from === to || isKept(from) || from.names.length === 0 || to.names.length === 0 || !hasRoom(h)) return undefined;
  const pages = Math.floor(from.data.length / page);
  if (pages < pagesMin || to.data.length > from.data.length) return undefined;
  const before = momentOf(from);
  const start = h.random.below(writesMeanwhile);
  let found: Buffer = Buffer.alloc(0);
  let begin = (): void => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const what = `copy ${label(from)} to ${label(to)} meanwhile`;
  const write: Work = async (worker) => {
    try {
      for (let done = 0; done < writesMeanwhile; done += 1) {
        if (done === start) begin();
        await writeSome(worker, from, worker.random.below(Math.min(pages, pagesMeanwhile)), 1);
      }
    } finally {
      begin();
    }
  };
  const copy: Work = async (worker) => {
    await begun;
    worker.log.push(what);
    worker.expect(what, await worker.place.calls.copy(worker.reach(from)!, 0, worker.reach(to)!, 0, 2 ** 30), from.data.length);
    found = await readWhole(worker.reach(to)!);
  };
  await together(h, [write, copy]);
  const moments = h.model.copiedMeanwhile(from, before, to, found);
  for (const moment of moments) h.tally.add(`page cloned ${moment}`);
  await compareFile(h, `${label(to)} cloned meanwhile`, to, true);
  await compareFile(h, `${label(from)} cloned meanwhile`, from, true);
  return what;
};

/**
 * Writes behind the end first make the last page the file's own, unless a flush has just shown that it is already: another
 * process flushes. What was begun for a write that a death ends must meet neither the same write sent again nor the next one.
 */
const tailsTogether: Step = async (h) => {
  const file = idle(h);
  if (!file || isKept(file) || file.names.length === 0 || file.data.length > filePagesMax * page || !hasRoom(h)) return undefined;
  const stamp = h.nextStamp();
  const what = `inherit tails ${label(file)} (writes ${stamp}, ${h.nextStamp()})`;
  h.log.push(what);
  let isOver = false;
  const write: Work = async (worker) => {
    try {
      worker.expect(what, await worker.place.calls.inheritTails(worker.place.mountpoint, worker.reach(file)!, tailRounds, stamp), tailRounds);
    } finally {
      isOver = true;
    }
  };
  const flush: Work = async (worker) => {
    while (!isOver) worker.expect("fsync", await worker.place.calls.fsync(worker.place.mountpoint), 0);
  };
  await together(h, [write, flush], 1);
  h.model.inheritTails(file, tailRounds, stamped(stamp, 100), stamped(stamp + 1, 50));
  await compareFile(h, `${label(file)} with tails`, file, true);
  return what;
};

/** With a death among them, as often as `deaths` says. All have ended when this ends, with the first one's error. */
async function together(h: History, work: readonly Work[], deaths = 0.3): Promise<void> {
  const kills = h.random.chance(deaths) ? await strike(h) : undefined;
  const all = Promise.allSettled(work.map((one, at) => one(h.beside(h.place.others[at]!))));
  const failed = (await during(h, all, "killed while calls were under way", kills)).find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

export const togetherSteps: Steps = [
  ["files together", filesTogether, 5], ["pages together", pagesTogether, 4], ["clone meanwhile", cloneMeanwhile, 6],
  ["tails together", tailsTogether, 6],
];
