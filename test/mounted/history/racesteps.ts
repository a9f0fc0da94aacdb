// Steps of two processes at the same time on the same file, on a slow device, with deaths in between. What comes of it must be
// what comes of their calls in one order or another; a third process takes what blocks are freed meanwhile.

import { sleep } from "../../support/mounted-run";
import { compare, compareFile, readWhole } from "./compare";
import { strike } from "./deathsteps";
import type { History } from "./history";
import { isKept, label, page, type ModelFile, type ModelVolume } from "./model";
import { calls, type Pair, type Sequence } from "./racecalls";
import { during, filePagesMax, hasRoom, type Step, type Steps } from "./stepping";

/** Files that take blocks, which no other step knows: w0, w1, ... */
const taker = "w";
const takerPages = 18;
const takersMax = 20;
const pagesMin = 20;

/** What a call has returned, in the order of its sequence. */
type Answers = readonly string[];

interface Raced {
  readonly sequences: readonly [Sequence, Sequence];
  readonly answers: readonly [Answers, Answers];
}

const race: Step = async (h) => {
  if (!hasRoom(h, 4 * filePagesMax + takersMax * takerPages) || h.model.files.length >= 8) return undefined;
  const named = h.random.shuffle(h.model.files.filter(({ names, held }) => names.length > 0 && held.length === 0));
  const file = named.find((one) => one.mode === undefined && one.area === undefined) ?? named[0];
  if (!file || file.data.length > filePagesMax * page) return undefined;
  const other = named.find((one) => one !== file && !isKept(one));
  await prepared(h, file);
  const sequences = chosen(h, { file, other });
  const what = `race on ${label(file)}: ${sequences.map(({ name }) => name).join(" | ")}`;
  const at = h.log.push(what) - 1;
  const answers = await runBoth(h, sequences);
  h.log[at] = `${what} = ${answers.map((some) => some.join(", ")).join(" | ")}`;
  await agree(h, what, file, { sequences, answers });
  for (const { name } of sequences) h.tally.add(`race: ${name}`);
  await settled(h, file.ino);
  return what;
};

/** Pages that are there and were never written, behind a swap header: what each of the calls is about. */
async function prepared(h: History, file: ModelFile): Promise<void> {
  if (isKept(file)) return;
  const { calls: system } = h.place;
  const size = Math.max(pagesMin * page, Math.ceil(file.data.length / page) * page);
  if (h.random.chance(0.5)) {
    h.expect("truncate before a race", await system.truncate(h.reach(file)!, 0), h.model.truncate(file, 0));
  }
  h.expect("fill before a race", await system.fallocate(h.reach(file)!, 0, 0, size), h.model.fallocate(file, 0, 0, size));
  if (h.random.chance(0.8)) await h.mkswap(file);
  const before = h.random.next();
  if (before < 0.15) await alone(h, file, calls.pin);
  else if (before < 0.3) await alone(h, file, calls.activate);
  else if (before < 0.45) await alone(h, file, calls.swapon);
}

async function alone(h: History, file: ModelFile, make: (pair: Pair, h: History) => Sequence): Promise<void> {
  for (const one of make({ file, other: undefined }, h).calls) {
    const [got, model] = [await one.call(h), one.model(h.model, h)];
    h.expect(`${label(file)} before a race: ${one.name}`, got, model);
  }
}

function chosen(h: History, pair: Pair): [Sequence, Sequence] {
  const all = Object.values(calls);
  const activations = [calls.activate, calls.activateByXattr];
  const one = h.random.chance(0.5) ? activations : all; // what takes longest is met most
  const other = one === activations && h.random.chance(0.3) ? activations : all;
  for (;;) {
    const two = [h.random.pick(one)(pair, h), h.random.pick(other)(pair, h)] as [Sequence, Sequence];
    const names = two.map(({ name }) => name);
    // A preparation looks at the file more than once: what a clone in the middle leaves is not that of an order.
    const isMixed = names.includes("prepare") && names.some((name) => name.startsWith("clone"));
    if (!isMixed && two.every(({ calls: some }) => some.length > 0)) return two;
  }
}

async function runBoth(h: History, sequences: readonly [Sequence, Sequence]): Promise<[Answers, Answers]> {
  const { random, place } = h;
  if (random.chance(0.8)) {
    const [zero, flush] = [20 + random.below(250), random.below(60)];
    await place.slow?.set({ zero: { ms: zero }, copy: { ms: random.below(60) }, flush: { ms: flush } }, random.below(8));
  }
  const kills = random.chance(0.25) ? await strike(h) : undefined;
  const wait = random.below(120);
  let isOver = false;
  const taking = takeBlocks(h.beside(place.others[2]!), () => isOver);
  const both = sequences.map((sequence, at) => runOne(h.beside(place.others[at]!), sequence, at === 0 ? 0 : wait));
  const all = Promise.all(both).finally(() => (isOver = true));
  const meanwhile = kills && (async () => {
    await sleep(random.below(200));
    await kills();
  });
  try {
    const answers = await during(h, all, "killed while two raced", meanwhile);
    await taking;
    return answers as [Answers, Answers];
  } finally {
    await Promise.allSettled([all, taking]);
    await place.slow?.clear();
  }
}

async function runOne(worker: History, { calls: some }: Sequence, wait: number): Promise<Answers> {
  await sleep(wait);
  const answers: string[] = [];
  for (const { call } of some) answers.push(String(await call(worker)));
  return answers;
}

/** New files, which get what was freed last rather than what lies behind them: until the two are through, and once more. */
async function takeBlocks(h: History, isOver: () => boolean): Promise<void> {
  const { calls: system } = h.place;
  for (let round = 0, last = false; round < takersMax && !last; round += 1) {
    last = isOver();
    const name = `${taker}${round}`;
    h.expect(`create ${name}`, await system.create(h.at(name)), h.model.create(name));
    const file = h.model.find(name)!;
    file.ino = await h.inoOf(name);
    const { stamp, bytes } = h.stamped(takerPages * page);
    h.expect(`write ${name}`, await system.writeDirect(h.at(name), 0, bytes.length, stamp), h.model.write(file, 0, bytes));
    await sleep(15);
  }
}

/** The first order of the calls that is true of the volume is the model from now on. */
async function agree(h: History, what: string, file: ModelFile, raced: Raced): Promise<void> {
  const before = h.model;
  const differences: string[] = [];
  let orders = 0;
  for (const { model, order } of outcomes(h, before, raced)) {
    orders += 1;
    h.model = model;
    const difference = await differenceOf(h, what, file.ino).then(() => undefined, (error: Error) => error.message);
    if (difference === undefined) return;
    differences.push(`${order.join(", ")}: ${difference}`);
    if (differences.length > 6) break;
  }
  h.model = before;
  if (orders === 0) throw new Error(`${what}: ${JSON.stringify(raced.answers)}, and the model has these answers in no order`);
  throw new Error(`${what}: ${JSON.stringify(raced.answers)}, and the volume is as after no order:\n    ${differences.join("\n    ")}`);
}

async function differenceOf(h: History, what: string, ino: number): Promise<void> {
  const file = h.model.files.find((one) => one.ino === ino);
  if (file !== undefined) {
    await adoptSwapped(h);
    await compareFile(h, `${what}: ${label(file)}`, file, true);
  }
  await compare(h, what, true);
}

/** What swap wrote is nobody's business once it is off. */
async function adoptSwapped(h: History): Promise<void> {
  if (h.model.swapped.size === 0) return;
  for (const one of h.model.files) {
    const name = h.reach(one);
    const pages = [...one.blocks].filter(([, block]) => h.model.swapped.has(block)).map(([at]) => at);
    if (name === undefined || pages.length === 0 || one.area !== undefined) continue;
    const found = await readWhole(name);
    for (const at of pages) if ((at + 1) * page <= one.data.length) found.copy(one.data, at * page, at * page, (at + 1) * page);
  }
}

interface Outcome {
  readonly model: ModelVolume;
  readonly order: readonly string[];
}

/** All interleavings of the two sequences that give these answers. */
function* outcomes(
  h: History, model: ModelVolume, { sequences, answers }: Raced, done: readonly [number, number] = [0, 0], order: readonly string[] = [],
): Generator<Outcome> {
  if (sequences.every(({ calls: some }, at) => some.length === done[at])) yield { model, order };
  for (const at of [0, 1] as const) {
    const call = sequences[at].calls[done[at]];
    if (call === undefined) continue;
    const answer = answers[at][done[at]]!;
    const next: [number, number] = at === 0 ? [done[0] + 1, done[1]] : [done[0], done[1] + 1];
    const trial = model.twin();
    if (String(call.model(trial, h)) === answer) yield* outcomes(h, trial, { sequences, answers }, next, [...order, call.name]);
    if (call.busy?.(answer, sequences[1 - at]!)) {
      yield* outcomes(h, model.twin(), { sequences, answers }, next, [...order, `${call.name} turned away`]);
    }
  }
}

/** The next step finds nothing that depends on who was first: zeros that an activation wrote, or did not. */
async function settled(h: History, ino: number): Promise<void> {
  const { calls: system } = h.place;
  for (const taken of h.model.files.filter(({ names }) => names[0]?.startsWith(taker))) {
    const name = taken.names[0]!;
    h.expect(`unlink ${name}`, await system.unlink(h.at(name)), h.model.unlink(taken, name));
  }
  const file = h.model.files.find((one) => one.ino === ino);
  if (file === undefined) return;
  if (file.area !== undefined) await h.swapoff(file);
  if (file.mode !== undefined) {
    await h.ask({ command: "unpin", ino });
    h.gate.unpin(h.model, file);
  }
  if (file.names.length > 0) h.expect("truncate after a race", await system.truncate(h.reach(file)!, 0), h.model.truncate(file, 0));
}

export const raceSteps: Steps = [["race", race, 40]];
