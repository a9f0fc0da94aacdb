// A report as a file: a line for each contender and each row, so that two runs can be laid beside each other.

import type { BenchReport } from "./model";

export function reportJson(report: BenchReport): string {
  const members = Object.entries(report).map(([name, value]) => `${JSON.stringify(name)}: ${Array.isArray(value) ? lines(value) : JSON.stringify(value)}`);
  return `{\n${members.join(",\n")}\n}\n`;
}

function lines(items: readonly unknown[]): string {
  return `[\n${items.map((item) => JSON.stringify(item)).join(",\n")}\n]`;
}
