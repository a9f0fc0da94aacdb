// A report as a file: a line for each contender and each row, so that two runs can be laid beside each other. One that was written
// before is looked at whole, since tables and pictures take every field for granted.

import { exitCode, UserError } from "../base/errors";
import { parseBound } from "./bound";
import { groupNames, type BenchReport } from "./model";

type Check = (value: unknown, at: string) => void;

class Unreadable extends UserError {}

function refuse(at: string, state: string): never {
  throw new Unreadable(exitCode.usage, `${at} ${state}`);
}

const number: Check = (value, at) => {
  if (typeof value !== "number" || !Number.isFinite(value)) refuse(at, "is no number");
};
const text: Check = (value, at) => {
  if (typeof value !== "string") refuse(at, "is no text");
};
const flag: Check = (value, at) => {
  if (typeof value !== "boolean") refuse(at, "is neither true nor false");
};
const oneOf = (...words: readonly string[]): Check => (value, at) => {
  if (!words.includes(value as string)) refuse(at, `is none of ${words.join(", ")}`);
};
const maybe = (check: Check): Check => (value, at) => {
  if (value !== undefined) check(value, at);
};
const list = (check: Check, least = 0): Check => (value, at) => {
  if (!Array.isArray(value) || value.length < least) refuse(at, least > 0 ? `is no list of ${least} or more` : "is no list");
  value.forEach((item, index) => check(item, `${at}[${index}]`));
};
const fields = (checks: Readonly<Record<string, Check>>): Check => (value, at) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) refuse(at, "is no object");
  for (const [name, check] of Object.entries(checks)) check((value as Record<string, unknown>)[name], at === "" ? name : `${at}.${name}`);
};

const summary = fields({ median: number, min: number, max: number, samples: list(number, 1) });
const verdict = { bound: maybe(fields({ side: oneOf("at most", "at least"), value: number, remark: maybe(text) })), met: maybe(flag) };
const cell = fields({
  contender: text, summary: maybe(summary), refused: maybe(text), latency: maybe(fields({ points: list(list(number, 2)) })), ...verdict,
});
const row = fields({
  group: oneOf(...groupNames), name: text, unit: text, better: oneOf("less", "more"),
  cells: list(cell), ratios: list(fields({ contender: text, against: text, summary, ...verdict })),
});
const step = fields({ id: text, name: text, switch: text, kernelStep: text, withStep: summary, added: summary });
const whole = fields({
  identity: fields({ date: text, commit: text, kernel: text, cpu: text, cpus: number, memoryBytes: number }),
  device: text, rounds: number, contenders: list(fields({ id: text, name: text, ours: flag })), rows: list(row),
  ablation: maybe(fields({ base: summary, steps: list(step, 1), whole: maybe(summary) })),
});

const known = 3;

/** `source` is what a message calls it. Throws a UserError for anything that is not a report of this format. */
export function parseReport(json: string, source: string): BenchReport {
  const next = "name a file that swapfs bench --json has written";
  const cannot = (state: string): UserError => new UserError(exitCode.usage, `cannot read ${source}: ${state}`);
  const value = parsed(json);
  if (typeof value !== "object" || value === null) throw cannot(`it is not JSON of a report, ${next}`);
  if ((value as { format?: unknown }).format === 2) fromFormat2(value);
  const { format } = value as { format?: unknown };
  if (format !== known) throw cannot(`its format is ${JSON.stringify(format) ?? "missing"}, not ${known}, measure again with this version`);
  try {
    whole(value, "");
  } catch (error) {
    if (error instanceof Unreadable) throw cannot(`${error.message}, ${next}`);
    throw error;
  }
  return value as BenchReport;
}

/** Bounds were words. */
function fromFormat2(report: { format?: unknown }): void {
  const { rows } = report as { rows?: { cells?: { bound?: unknown }[]; ratios?: { bound?: unknown }[] }[] };
  for (const row of Array.isArray(rows) ? rows : []) {
    for (const one of [row?.cells, row?.ratios].flat()) if (typeof one?.bound === "string") one.bound = parseBound(one.bound) ?? one.bound;
  }
  report.format = known;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

export function reportJson(report: BenchReport): string {
  const members = Object.entries(report).map(([name, value]) => `${JSON.stringify(name)}: ${Array.isArray(value) ? lines(value) : JSON.stringify(value)}`);
  return `{\n${members.join(",\n")}\n}\n`;
}

function lines(items: readonly unknown[]): string {
  return `[\n${items.map((item) => JSON.stringify(item)).join(",\n")}\n]`;
}
