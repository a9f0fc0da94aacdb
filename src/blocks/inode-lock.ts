// One lock for each inode: who uses its blocks, and who may change where they lie.
//
// Shared, with a range of pages: a write from its answer to its commit, or zeros on their way into the last page. Exclusive:
// whatever moves, frees, shares, zeroes, converts or judges blocks. It is held across awaits and always given back. Reads
// hold nothing here: the quiescing that begins an exclusive section waits for them.

import { assert } from "../base/assert";

/** Pages [firstPage, endPage) of a file. */
export interface PageRange {
  readonly firstPage: number;
  readonly endPage: number;
}

/** A request that waits. */
export interface Waiter {
  /** It may look again. */
  pass(): void;
  /** It is no more: the data plane dropped it. */
  drop(): void;
}

interface Lock<R> {
  /** Ranges that requests hold. */
  readonly held: Set<R>;
  /** Our own, which go on when requests are dropped: the new data plane is given the commands of the dead one. */
  readonly own: Map<PageRange, Promise<unknown>>;
  /** Requests behind the exclusive section. */
  readonly behind: Waiter[];
  /** Requests whose range meets one that is held. */
  overlapping: Waiter[];
  /** Exclusive sections that come after. */
  readonly next: (() => void)[];
  exclusive: boolean;
}

export interface InodeLockParts {
  /** Resolves when no request uses what it was told of `ino` before the call; undefined when none does. */
  quiesce(ino: number): Promise<unknown> | undefined;
  /** An exclusive section has ended, and none follows at once. */
  left(ino: number): void;
}

export class InodeLocks<R extends PageRange> {
  readonly #locks = new Map<number, Lock<R>>();
  readonly #parts: InodeLockParts;

  constructor(parts: InodeLockParts) {
    this.#parts = parts;
  }

  isExclusive(ino: number): boolean {
    return this.#locks.get(ino)?.exclusive === true;
  }

  /** Nobody holds it or waits for it. */
  isFree(ino: number): boolean {
    const lock = this.#locks.get(ino);
    return lock === undefined || !isUsed(lock);
  }

  /** True when a range that is held has a page of `range`. */
  meets(ino: number, range: PageRange): boolean {
    const lock = this.#locks.get(ino);
    if (lock === undefined) return false;
    for (const other of lock.held) if (meet(other, range)) return true;
    for (const other of lock.own.keys()) if (meet(other, range)) return true;
    return false;
  }

  hold(ino: number, range: R): R {
    this.#lock(ino).held.add(range);
    return range;
  }

  /** False for a range that was dropped. Who waits for it is let in by `letIn`. */
  release(ino: number, range: R): boolean {
    return this.#locks.get(ino)?.held.delete(range) === true;
  }

  /** Whoever waited for a range looks again. */
  letIn(ino: number): void {
    const lock = this.#locks.get(ino);
    if (lock === undefined) return;
    const waiting = lock.overlapping;
    lock.overlapping = [];
    this.#forget(ino, lock);
    for (const waiter of waiting) waiter.pass();
  }

  /** Holds `range` while `work` goes on, also when requests are dropped meanwhile. */
  during(ino: number, range: PageRange, work: () => Promise<void>): Promise<void> {
    const lock = this.#lock(ino);
    assert(!this.meets(ino, range), "nobody else holds pages that we are about to write");
    const over = work().finally(() => {
      lock.own.delete(range);
      this.letIn(ino);
    });
    lock.own.set(range, over.catch(() => undefined));
    return over;
  }

  waitForExclusive(ino: number, waiter: Waiter): void {
    this.#lock(ino).behind.push(waiter);
  }

  waitForRange(ino: number, waiter: Waiter): void {
    this.#lock(ino).overlapping.push(waiter);
  }

  /** The data plane has dropped every request. Returns the ranges that they held. */
  dropRequests(): R[] {
    const locks = [...this.#locks];
    const ranges = locks.flatMap(([, { held }]) => [...held]);
    const waiters = locks.flatMap(([, lock]) => [...lock.overlapping, ...lock.behind.splice(0)]);
    for (const [ino, lock] of locks) {
      lock.held.clear();
      lock.overlapping = [];
      this.#forget(ino, lock);
    }
    for (const waiter of waiters) waiter.drop();
    return ranges;
  }

  /**
   * Runs `work` while nobody else uses the blocks of `ino`, at once when nobody does. One section at a time, in the order of
   * the calls. The lock is closed in the same moment in which the quiescing begins: who was let in before will be over, who
   * comes later waits for us, and so nobody waits in a circle. Not to be called from inside `work`.
   */
  exclusive<T>(ino: number, work: () => T | Promise<T>): T | Promise<T> {
    const lock = this.#lock(ino);
    if (!lock.exclusive) return this.#enter(ino, lock, work);
    return new Promise<T>((resolve, reject) => {
      lock.next.push(() => {
        try {
          resolve(this.#enter(ino, lock, work));
        } catch (error) {
          reject(error as Error);
        }
      });
    });
  }

  #enter<T>(ino: number, lock: Lock<R>, work: () => T | Promise<T>): T | Promise<T> {
    lock.exclusive = true;
    let result: T | Promise<T>;
    try {
      const quiet = this.#quiesce(ino, lock);
      result = quiet === undefined ? work() : quiet.then(work);
    } catch (error) {
      this.#leave(ino, lock);
      throw error;
    }
    if (result instanceof Promise) return result.finally(() => this.#leave(ino, lock));
    this.#leave(ino, lock);
    return result;
  }

  #quiesce(ino: number, { own }: Lock<R>): Promise<void> | undefined {
    const used = this.#parts.quiesce(ino);
    return own.size === 0 && used === undefined ? undefined : quiet(own, used);
  }

  // Requests first: the next section quiesces them, whereas they could not be over while it waits.
  #leave(ino: number, lock: Lock<R>): void {
    lock.exclusive = false;
    for (const waiter of lock.behind.splice(0)) waiter.pass();
    const next = lock.next.shift();
    if (next !== undefined) return next();
    this.#forget(ino, lock);
    this.#parts.left(ino);
  }

  #lock(ino: number): Lock<R> {
    let lock = this.#locks.get(ino);
    if (lock === undefined) {
      lock = { held: new Set(), own: new Map(), behind: [], overlapping: [], next: [], exclusive: false };
      this.#locks.set(ino, lock);
    }
    return lock;
  }

  #forget(ino: number, lock: Lock<R>): void {
    if (!isUsed(lock) && this.#locks.get(ino) === lock) this.#locks.delete(ino);
  }
}

/** A request that is waited for may begin zeros before it is over, or is dropped, and they go on. */
async function quiet(own: ReadonlyMap<PageRange, Promise<unknown>>, used: Promise<unknown> | undefined): Promise<void> {
  await used;
  while (own.size > 0) await Promise.all(own.values());
}

function isUsed({ exclusive, held, own, behind, overlapping, next }: Lock<unknown>): boolean {
  return exclusive || held.size + own.size + behind.length + overlapping.length + next.length > 0;
}

export function meet(one: PageRange, other: PageRange): boolean {
  return one.firstPage < other.endPage && other.firstPage < one.endPage;
}
