// A report as a file: a line for each contender and each row, so that two runs can be laid beside each other.

import { exitCode, UserError } from "../base/errors";
import { parseBound } from "./bound";
import { Unreadable } from "./checks";
import { wholeReport, type BenchReport } from "./model";

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
    wholeReport(value, "");
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
