// What a step is, and what it picks: files, places in them, lengths.

import type { Answer } from "../../support/systemcalls";
import type { History } from "./history";
import { isKept, page, type ModelFile, type Result } from "./model";

/** What it did, or undefined when there was nothing to do it with. */
export type Step = (h: History) => Promise<string | undefined>;

/** Each as often as its weight says. */
export type Steps = readonly (readonly [name: string, step: Step, weight: number])[];

export const filesMax = 7;
export const filePagesMax = 96;
/** Blocks that stay free, so that only what is meant to finds the volume full. */
const slack = 200;

export const names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

/** Of those that a program can reach: what is only pinned has neither name nor descriptor. */
function pick(h: History, which: (file: ModelFile) => boolean): ModelFile | undefined {
  const files = h.model.files.filter((file) => (file.names.length > 0 || file.held.length > 0) && which(file));
  return files.length === 0 ? undefined : h.random.pick(files);
}

export function some(h: History): ModelFile | undefined {
  return pick(h, () => true);
}

export function someNamed(h: History): ModelFile | undefined {
  return pick(h, ({ names: has }) => has.length > 0);
}

/** Neither swapped on nor pinned. */
export function idle(h: History): ModelFile | undefined {
  return pick(h, (file) => !isKept(file));
}

/** With what holds, most of the time, if there is one. */
export function rather(h: History, which: (file: ModelFile) => boolean, share = 0.75): ModelFile | undefined {
  return (h.random.chance(share) ? pick(h, which) : undefined) ?? some(h);
}

/** One that has something to clone, if there is one; seldom one that refuses. */
export function full(h: History): ModelFile | undefined {
  const isFull = ({ blocks }: ModelFile): boolean => [...blocks.values()].some(({ written }) => written);
  return (h.random.chance(0.85) ? pick(h, (file) => !isKept(file) && isFull(file)) : undefined) ?? rather(h, isFull, 1);
}

/** One with shared pages half of the time, since what changes those is what must be right; seldom one that refuses. */
export function target(h: History): ModelFile | undefined {
  const file = rather(h, isShared, 0.5);
  return file && isKept(file) && h.random.chance(0.5) ? idle(h) ?? file : file;
}

export function isShared({ blocks }: ModelFile): boolean {
  return [...blocks.values()].some(({ users }) => users > 1);
}

export function hasRoom(h: History, pages = filePagesMax): boolean {
  return h.free - h.model.used() - pages > slack;
}

/** Aligned twice out of three times. */
export function offset(h: History, pages = filePagesMax): number {
  return h.random.below(pages) * page + (h.random.below(3) > 0 ? 0 : h.random.below(page));
}

/** Where a shared page lies, most of the time, if there is one. */
export function aimed(h: History, { blocks }: ModelFile, pages = filePagesMax): number {
  const shared = [...blocks].filter(([at, { users }]) => users > 1 && at < pages).map(([at]) => at);
  if (shared.length === 0 || h.random.chance(0.3)) return offset(h, pages);
  return h.random.pick(shared) * page + (h.random.chance(0.5) ? 0 : h.random.below(page));
}

export function length(h: History, pages = 24): number {
  return h.random.below(3) > 0 ? (1 + h.random.below(pages)) * page : 1 + h.random.below(pages * page);
}

/** What comes of `work`, while `meanwhile` goes on; `counted` is what it is when that ends first. */
export async function during<T>(h: History, work: Promise<T>, counted: string, meanwhile?: () => Promise<void>): Promise<T> {
  let isOver = false;
  void work.then(() => (isOver = true), () => undefined);
  await meanwhile?.();
  if (meanwhile !== undefined && !isOver) h.tally.add(counted);
  return work;
}

/** `call` and the model, with the same result; `meanwhile` goes on while the call is under way. */
export async function both(
  h: History, what: string, call: () => Promise<Answer>, model: () => Result, meanwhile?: () => Promise<void>,
): Promise<string> {
  const at = h.log.push(what) - 1;
  const got = await during(h, call(), "killed while a call was under way", meanwhile);
  h.log[at] = `${what} = ${got}`;
  h.expect(what, got, model());
  return `${what} = ${got}`;
}
