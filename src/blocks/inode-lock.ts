// Who may learn where a file's data lies, and when. Requests ask at any time; an operation that takes blocks away, or
// that writes zeros into pages, must be alone. Its gate keeps later requests waiting until it is through.

export interface Waiter {
  /** The gate is open. */
  pass(): void;
  /** The request is no more. */
  drop(): void;
}

interface Gate {
  readonly waiting: Waiter[];
  readonly next: (() => void)[];
}

export class Gates {
  readonly #gates = new Map<number, Gate>();
  readonly #quiesce: (ino: number) => Promise<unknown> | undefined;

  /** `quiesce` resolves when no request uses what it was told of `ino` before the call; undefined when none does. */
  constructor(quiesce: (ino: number) => Promise<unknown> | undefined) {
    this.#quiesce = quiesce;
  }

  isClosed(ino: number): boolean {
    return this.#gates.has(ino);
  }

  wait(ino: number, waiter: Waiter): void {
    this.#gates.get(ino)!.waiting.push(waiter);
  }

  dropWaiting(): void {
    for (const gate of this.#gates.values()) for (const waiter of gate.waiting.splice(0)) waiter.drop();
  }

  /**
   * Runs `work` while nobody else knows where the data of `ino` lies, at once when nobody does. One at a time.
   * The gate closes in the same moment in which the quiescing begins: whoever was let in before will be over, whoever
   * comes later waits for us, and so nobody waits in a circle.
   */
  exclusive<T>(ino: number, work: () => T | Promise<T>): T | Promise<T> {
    const gate = this.#gates.get(ino);
    if (gate === undefined) return this.#enter(ino, [], work);
    return new Promise<T>((resolve, reject) => {
      gate.next.push(() => {
        try {
          resolve(this.#enter(ino, gate.next, work));
        } catch (error) {
          reject(error as Error);
        }
      });
    });
  }

  #enter<T>(ino: number, next: (() => void)[], work: () => T | Promise<T>): T | Promise<T> {
    const gate: Gate = { waiting: [], next };
    this.#gates.set(ino, gate);
    let result: T | Promise<T>;
    try {
      const quiet = this.#quiesce(ino);
      result = quiet === undefined ? work() : quiet.then(work);
    } catch (error) {
      this.#leave(ino, gate);
      throw error;
    }
    if (result instanceof Promise) return result.finally(() => this.#leave(ino, gate));
    this.#leave(ino, gate);
    return result;
  }

  // Requests first: the next exclusive operation quiesces them, whereas they could not be over while it waits.
  #leave(ino: number, gate: Gate): void {
    this.#gates.delete(ino);
    for (const waiter of gate.waiting) waiter.pass();
    gate.next.shift()?.();
  }
}
