// A metadata load with a model of what must be there: creates, writes, renames, links and removals, one after the other.

import { promises as fs } from "node:fs";
import path from "node:path";

export interface Model {
  readonly operations: number;
  /** Differences between what is there and what must be there. */
  compare(): Promise<string[]>;
}

/** So many at least, however slow the machine is. */
export const operationsMin = 50;

/** Works in `dir` until `stop.now`, or for `seconds`; an operation that fails ends it with its error. */
export async function churn(dir: string, stop: { now: boolean }, seconds = 5): Promise<Model> {
  const content = new Map<string, string>();
  let step = 0;
  const end = Date.now() + seconds * 1000;
  while ((!stop.now || step < operationsMin) && Date.now() < end) {
    await operate(dir, content, step);
    step += 1;
  }
  return { operations: step, compare: () => compare(dir, content) };
}

async function operate(dir: string, content: Map<string, string>, step: number): Promise<void> {
  const at = (name: string): string => path.join(dir, name);
  const names = [...content.keys()];
  const some = names[(step * 7919) % Math.max(1, names.length)];
  const fresh = `f${step}`;
  switch (some === undefined || names.length < 20 ? 0 : step % 7) {
    case 0: case 1:
      // "wx": carried out twice, a resent create would find its own file.
      await fs.writeFile(at(fresh), `content ${step}`, { flag: "wx" });
      content.set(fresh, `content ${step}`);
      break;
    case 2:
      await fs.rename(at(some!), at(fresh));
      content.set(fresh, content.get(some!)!);
      content.delete(some!);
      break;
    case 3:
      await fs.link(at(some!), at(fresh));
      await fs.unlink(at(some!));
      content.set(fresh, content.get(some!)!);
      content.delete(some!);
      break;
    case 4:
      await fs.unlink(at(some!));
      content.delete(some!);
      break;
    case 5:
      await fs.appendFile(at(some!), ` more ${step}`);
      content.set(some!, `${content.get(some!)!} more ${step}`);
      break;
    default:
      await fs.mkdir(at(`d${step}`));
      await fs.rmdir(at(`d${step}`));
  }
}

async function compare(dir: string, content: ReadonlyMap<string, string>): Promise<string[]> {
  const found = new Set(await fs.readdir(dir));
  const differences: string[] = [];
  for (const [name, text] of content) {
    if (!found.delete(name)) differences.push(`${name} is missing`);
    else if ((await fs.readFile(path.join(dir, name), "utf8")) !== text) differences.push(`${name} has other contents`);
  }
  return [...differences, ...[...found].map((name) => `${name} should not be there`)];
}
