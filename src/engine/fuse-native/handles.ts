// Open files in memory: this engine is one process, so nothing has to outlive it.

import type { HandleTable, OpenHandle } from "../../activation/handles";

export class MemoryHandles implements HandleTable {
  readonly #byFh = new Map<bigint, OpenHandle>();
  readonly #byIno = new Map<number, Set<bigint>>();
  readonly #pinned = new Set<number>();

  open(handle: OpenHandle): void {
    this.#byFh.set(handle.fh, handle);
    const open = this.#byIno.get(handle.ino);
    if (open) open.add(handle.fh);
    else this.#byIno.set(handle.ino, new Set([handle.fh]));
  }

  close(fh: bigint): OpenHandle | undefined {
    const handle = this.#byFh.get(fh);
    if (!handle) return undefined;
    this.#byFh.delete(fh);
    const open = this.#byIno.get(handle.ino)!;
    open.delete(fh);
    if (open.size === 0) {
      this.#byIno.delete(handle.ino);
      this.#pinned.delete(handle.ino);
    }
    return handle;
  }

  get(fh: bigint): OpenHandle | undefined {
    return this.#byFh.get(fh);
  }

  openCount(ino: number): number {
    return this.#byIno.get(ino)?.size ?? 0;
  }

  of(ino: number): OpenHandle[] {
    return [...(this.#byIno.get(ino) ?? [])].map((fh) => this.#byFh.get(fh)!);
  }

  setPinned(ino: number, pinned: boolean): void {
    if (pinned) this.#pinned.add(ino);
    else this.#pinned.delete(ino);
  }

  pinned(): number[] {
    return [...this.#pinned];
  }
}
