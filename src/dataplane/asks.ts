// Requests that are parked in the data plane on our answer. While one is in flight the blocks that its answer names may
// be read or written at any moment.

export interface Ask<InFlight> {
  readonly tag: bigint;
  readonly ino: number;
  readonly write: boolean;
  /** set when the answer has been sent */
  inFlight?: InFlight;
  /** the write changes where the file's data lies, or its size */
  allocating: boolean;
}

export class AsksInFlight<InFlight> {
  readonly #byTag = new Map<bigint, Ask<InFlight>>();
  readonly #byIno = new Map<number, Set<Ask<InFlight>>>();
  readonly #waiters: { readonly asks: Set<Ask<InFlight>>; readonly settled: () => void }[] = [];

  add(ask: Ask<InFlight>): void {
    this.end(ask.tag); // the slot was reused: the data plane is done with the older request
    this.#byTag.set(ask.tag, ask);
    const asks = this.#byIno.get(ask.ino);
    if (asks) asks.add(ask);
    else this.#byIno.set(ask.ino, new Set([ask]));
  }

  get(tag: bigint): Ask<InFlight> | undefined {
    return this.#byTag.get(tag);
  }

  /** False for an ask that has ended or was dropped while its answer was being made. */
  holds(ask: Ask<InFlight>): boolean {
    return this.#byTag.get(ask.tag) === ask;
  }

  has(ino: number): boolean {
    return this.#byIno.has(ino);
  }

  /** True while a write is in flight that changes extents or size: a map made now would be out of date at once. */
  allocating(ino: number): boolean {
    for (const ask of this.#byIno.get(ino) ?? []) if (ask.write && (ask.allocating || ask.inFlight === undefined)) return true;
    return false;
  }

  end(tag: bigint): void {
    const ask = this.#byTag.get(tag);
    if (!ask) return;
    this.#byTag.delete(tag);
    const asks = this.#byIno.get(ask.ino)!;
    asks.delete(ask);
    if (asks.size === 0) this.#byIno.delete(ask.ino);
    this.#settle(ask);
  }

  /** Every ask is over: the data plane has dropped its parked requests, or is a new one. */
  dropAll(): void {
    for (const tag of [...this.#byTag.keys()]) this.end(tag);
  }

  /** Resolves when the asks of `ino` that are in flight now are over; undefined when there are none. */
  whenOver(ino: number): Promise<void> | undefined {
    const asks = this.#byIno.get(ino);
    if (!asks) return undefined;
    return new Promise((settled) => this.#waiters.push({ asks: new Set(asks), settled }));
  }

  #settle(ask: Ask<InFlight>): void {
    for (let at = this.#waiters.length - 1; at >= 0; at -= 1) {
      const waiter = this.#waiters[at]!;
      if (!waiter.asks.delete(ask) || waiter.asks.size > 0) continue;
      this.#waiters.splice(at, 1);
      waiter.settled();
    }
  }
}
