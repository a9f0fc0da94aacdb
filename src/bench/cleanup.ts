// What a run sets up is undone in reverse order, after failure and Ctrl-C as well; an error of one step stops no other.

import { UserError, exitCode, messageOf } from "../base/errors";

export class Cleanup {
  readonly #steps: { readonly what: string; readonly undo: () => unknown }[] = [];

  /** `undo` may find its work done already. */
  add(what: string, undo: () => unknown): void {
    this.#steps.push({ what, undo });
  }

  /** Undoes the steps added since `mark` (0: all). Throws a UserError that names what could not be undone. */
  async undo(mark = 0): Promise<void> {
    const left: string[] = [];
    while (this.#steps.length > mark) {
      const step = this.#steps.pop()!;
      try {
        await step.undo();
      } catch (error) {
        left.push(`${step.what}: ${messageOf(error)}`);
      }
    }
    if (left.length > 0) throw new UserError(exitCode.internal, `cannot clean up: ${left.join("; ")}`);
  }

  /** A place to `undo` back to. */
  mark(): number {
    return this.#steps.length;
  }
}
