// What was measured so far, by row, contender and round; and the rows that come out of it.

import { isWithin } from "../report/bound";
import type { Bound, Cell, Contender, GroupName, Latency, Ratio, Row } from "../report/model";
import { pairedRatio, summarize } from "../report/stats";
import { contender, type ContenderId } from "./contenders";

/** One contender over another in every row whose name fits. */
export interface RatioRule {
  readonly contender: ContenderId;
  readonly against: ContenderId;
  readonly rows: RegExp;
  readonly bound?: Bound;
}

/** A bound on the value itself, of one contender or of all. */
export interface ValueRule {
  readonly contender?: ContenderId;
  readonly rows: RegExp;
  readonly bound: Bound;
}

export function atMost(value: number, remark?: string): Bound {
  return { side: "at most", value, ...(remark !== undefined && { remark }) };
}

export function atLeast(value: number, remark?: string): Bound {
  return { side: "at least", value, ...(remark !== undefined && { remark }) };
}

/** A row before it has values. Its contenders are shown in this order. */
export interface RowHead {
  readonly group: GroupName;
  readonly name: string;
  readonly unit: string;
  readonly better: Row["better"];
  readonly contenders: readonly ContenderId[];
}

interface Measured {
  /** by round: a contender may have failed in one of them */
  readonly values: Map<number, number>;
  readonly latencies: Latency[];
  refused?: string;
}

export class Samples {
  readonly #cells = new Map<string, Measured>();

  add(row: string, contender: ContenderId, round: number, value: number, latency?: Latency): void {
    const cell = this.#cell(row, contender);
    cell.values.set(round, value);
    if (latency) cell.latencies.push(latency);
  }

  /** Why there is no value. What other rounds measured is kept. */
  refuse(row: string, contender: ContenderId, reason: string): void {
    this.#cell(row, contender).refused ??= reason;
  }

  rows(heads: readonly RowHead[], ratios: readonly RatioRule[], bounds: readonly ValueRule[] = []): Row[] {
    return heads.map(({ contenders, ...head }) => ({
      ...head,
      cells: contenders.map((id) => this.#shown(head.name, id, bounds)),
      ratios: ratios.flatMap((rule) => (rule.rows.test(head.name) ? this.#ratio(head.name, rule) : [])),
    }));
  }

  #shown(row: string, id: ContenderId, bounds: readonly ValueRule[]): Cell {
    const { values, latencies, refused } = this.#cell(row, id);
    if (values.size === 0) return { contender: id, refused: refused ?? "not measured" };
    const summary = summarize([...values.values()]);
    const rule = bounds.find((candidate) => candidate.rows.test(row) && (candidate.contender ?? id) === id);
    return {
      contender: id, summary,
      ...(latencies.length > 0 && { latency: middleOf(latencies) }),
      ...(rule && { bound: rule.bound, met: isWithin(rule.bound, summary.median) }),
    };
  }

  #ratio(row: string, { contender, against, bound }: RatioRule): Ratio[] {
    const [ours, peer] = [this.#cell(row, contender).values, this.#cell(row, against).values];
    const rounds = [...ours.keys()].filter((round) => (peer.get(round) ?? 0) > 0);
    if (rounds.length === 0) return [];
    const summary = pairedRatio(rounds.map((round) => ours.get(round)!), rounds.map((round) => peer.get(round)!));
    return [{ contender, against, summary, ...(bound && { bound, met: isWithin(bound, summary.median) }) }];
  }

  #cell(row: string, id: ContenderId): Measured {
    const key = `${id}\n${row}`;
    const cell = this.#cells.get(key) ?? { values: new Map<number, number>(), latencies: [] };
    this.#cells.set(key, cell);
    return cell;
  }
}

/** Of every percentile the median over the rounds. */
export function middleOf(latencies: readonly Latency[]): Latency {
  const [first] = latencies;
  return {
    points: (first?.points ?? []).map(([percentile]) => [
      percentile,
      summarize(latencies.flatMap(({ points }) => points.filter(([at]) => at === percentile).map(([, us]) => us))).median,
    ]),
  };
}

/** The contenders of some rows, each once. */
export function contendersOf(heads: readonly RowHead[]): Contender[] {
  return [...new Set(heads.flatMap(({ contenders }) => contenders))].map(contender);
}
