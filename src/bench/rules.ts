// What is compared with what, and how far it may go: data that turns samples into ratios and verdicts.

import type { ContenderId } from "./contenders";

export interface Bound {
  /** as it is printed: "at most 1.03" */
  readonly text: string;
  readonly holds: (value: number) => boolean;
}

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

export function atMost(value: number, remark = ""): Bound {
  return { text: `at most ${value}${remark}`, holds: (found) => found <= value };
}

export function atLeast(value: number, remark = ""): Bound {
  return { text: `at least ${value}${remark}`, holds: (found) => found >= value };
}
