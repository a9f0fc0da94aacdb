// The last refusals, for `swapfs status` and the xattr user.swapfs.refused.

import type { Verdict } from "./verdict";
import { verdictText } from "./texts";

export interface Refusal {
  readonly ino: number;
  /** milliseconds since 1970 */
  readonly time: number;
  readonly pid: number;
  readonly verdict: Verdict;
  readonly text: string;
}

export class Refusals {
  readonly #keep: number;
  readonly #last: Refusal[] = [];
  readonly #byIno = new Map<number, Refusal>();

  constructor(keep = 32) {
    this.#keep = keep;
  }

  add(verdict: Verdict, pid: number, time = Date.now()): Refusal {
    const refusal = { ino: verdict.ino, time, pid, verdict, text: verdictText(verdict) };
    this.#last.push(refusal);
    if (this.#last.length > this.#keep) this.#last.shift();
    this.#byIno.delete(verdict.ino);
    this.#byIno.set(verdict.ino, refusal);
    if (this.#byIno.size > this.#keep) this.#byIno.delete(this.#byIno.keys().next().value!);
    return refusal;
  }

  /** An accepted file has no refusal to show any more. */
  clear(ino: number): void {
    this.#byIno.delete(ino);
  }

  /** The value of user.swapfs.refused; undefined when the last activation of `ino` was not refused. */
  textOf(ino: number): string | undefined {
    return this.#byIno.get(ino)?.text;
  }

  /** Oldest first. */
  last(): readonly Refusal[] {
    return this.#last;
  }
}
