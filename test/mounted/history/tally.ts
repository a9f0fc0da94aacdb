// How often each kind of step was taken, and with which result: a generator that never swaps on is a test that cannot fail.

export class Tally {
  readonly #counts = new Map<string, number>();

  add(what: string, times = 1): void {
    this.#counts.set(what, this.of(what) + times);
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  /** What came less often than it must. */
  missing(wanted: Readonly<Record<string, number>>): string[] {
    return Object.entries(wanted).filter(([what, least]) => this.of(what) < least).map(([what, least]) => `${what}: ${this.of(what)} times, not ${least}`);
  }

  toString(): string {
    return [...this.#counts].sort().map(([what, count]) => `${what}: ${count}`).join("\n");
  }
}
