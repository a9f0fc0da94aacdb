// What the bounds came to: every one of them, and the one of each kind that stands for the rest.

import { boundText, isWorse } from "./bound";
import type { BenchReport, Bound, GroupName, Row, Summary } from "./model";

/** A bound and what was found: a ratio of two contenders, or the value of one. */
export interface Verdict {
  readonly group: GroupName;
  readonly row: Row;
  readonly contender: string;
  readonly against?: string;
  /** the ratio, or the value */
  readonly found: number;
  readonly spread: Summary;
  readonly bound: Bound;
  readonly met: boolean;
}

export function verdictsOf({ rows }: Pick<BenchReport, "rows">): Verdict[] {
  return rows.flatMap((row) => [
    ...row.ratios.flatMap(({ contender, against, summary, bound, met }): Verdict[] => (bound === undefined ? []
      : [{ group: row.group, row, contender, against, found: summary.median, spread: summary, bound, met: met === true }])),
    ...row.cells.flatMap(({ contender, summary, bound, met }): Verdict[] => (bound === undefined || !summary ? []
      : [{ group: row.group, row, contender, found: summary.median, spread: summary, bound, met: met === true }])),
  ]);
}

export type Kind = Readonly<ReturnType<typeof kindsOf>[number]>;

/** Bounds between the same two, in one group, in the same words: one kind. So are those of one row on each contender's own value. */
export function kindsOf(report: Pick<BenchReport, "rows">) {
  const kinds = new Map<string, Verdict[]>();
  for (const verdict of verdictsOf(report)) {
    const between = verdict.against === undefined ? [verdict.row.name] : [verdict.contender, verdict.against];
    const key = [verdict.group, ...between, boundText(verdict.bound)].join("\n");
    kinds.set(key, [...(kinds.get(key) ?? []), verdict]);
  }
  return [...kinds.values()].map((all) => ({
    /** that which is nearest to its bound, or furthest beyond it */
    worst: all.reduce((worst, next) => (isWorse(worst.bound, next.found, worst.found) ? next : worst)),
    count: all.length, met: all.filter(({ met }) => met).length,
  }));
}

/** "met", "met in all 12 rows", "missed by 2 of 9". */
export function tallyText({ worst, count, met }: Kind, missed = "missed"): string {
  const verdict = met === count ? "met" : missed;
  if (count === 1) return verdict;
  const part = met === count ? `all ${count}` : `${count - met} of ${count}`;
  return worst.against === undefined ? `${verdict} by ${part}` : `${verdict} in ${part} rows`;
}

export function nameOf({ contenders }: Pick<BenchReport, "contenders">, id: string): string {
  return contenders.find((contender) => contender.id === id)?.name ?? id;
}

/** Who is compared: with a bound on each contender's own value, all of them. */
export function kindWho(report: Pick<BenchReport, "contenders">, { worst, count }: Kind): string {
  return worst.against === undefined && count > 1 ? "each contender" : whoText(report, worst);
}

export function whoText(report: Pick<BenchReport, "contenders">, { contender, against }: Pick<Verdict, "contender" | "against">): string {
  return against === undefined ? nameOf(report, contender) : `${nameOf(report, contender)} / ${nameOf(report, against)}`;
}
