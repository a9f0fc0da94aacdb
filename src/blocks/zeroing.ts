// Zeros on their way into the last page of a file, for a write behind its end. They may give the page another block, and
// they go on when the write is dropped, since the new data plane is given the commands of the dead one: so they are known
// here and not by the write, and neither the same write sent again nor any other change of the file may meet them.

import { assert } from "../base/assert";
import type { WriteInFlight } from "./write-in-flight";

export type Pages = Pick<WriteInFlight, "firstPage" | "endPage">;

export function meet(one: Pages, other: Pages): boolean {
  return one.firstPage < other.endPage && other.firstPage < one.endPage;
}

export class Zeroings {
  readonly #byIno = new Map<number, { readonly pages: Pages; readonly over: Promise<unknown> }>();

  has(ino: number): boolean {
    return this.#byIno.has(ino);
  }

  /** Resolves when the file's page has its zeros, or has not got them for an error; undefined when none are on their way. */
  over(ino: number): Promise<unknown> | undefined {
    return this.#byIno.get(ino)?.over;
  }

  meets(ino: number, pages: Pages): boolean {
    const zeroing = this.#byIno.get(ino);
    return zeroing !== undefined && meet(zeroing.pages, pages);
  }

  /** Has `work` write the zeros. `ended` is called before the result is there. */
  run(ino: number, pages: Pages, work: () => Promise<void>, ended: () => void): Promise<void> {
    assert(!this.#byIno.has(ino), "a file has one last page, and who finds it being zeroed waits");
    const zeroed = work().finally(() => {
      this.#byIno.delete(ino);
      ended();
    });
    this.#byIno.set(ino, { pages, over: zeroed.catch(() => undefined) });
    return zeroed;
  }
}
