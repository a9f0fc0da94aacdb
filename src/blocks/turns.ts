// One at a time for each inode: the gate's judgement, which may wait in the middle, and whatever changes what it judged.

export class Turns {
  readonly #last = new Map<number, Promise<unknown>>();

  /** Runs `work` when all that came before for `ino` has ended. Not to be called from inside `work`. */
  run<T>(ino: number, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(ino);
    const mine = before === undefined ? work() : before.then(work, work);
    const ended = mine.catch(() => undefined).then(() => {
      if (this.#last.get(ino) === ended) this.#last.delete(ino);
    });
    this.#last.set(ino, ended);
    return mine;
  }
}
