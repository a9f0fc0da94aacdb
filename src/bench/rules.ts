// What is compared with what, and how far it may go: data that turns samples into ratios and verdicts.

import type { Bound } from "../report/bound";
import type { ContenderId } from "./contenders";

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
