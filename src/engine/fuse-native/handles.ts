// Open files in memory: this engine is one process, so nothing has to outlive it.

import { pinModeOf, type HandleTable, type OpenHandle, type PinMode } from "../../activation/handles";

export class MemoryHandles implements HandleTable {
  readonly #byFh = new Map<bigint, OpenHandle>();
  readonly #byIno = new Map<number, Set<bigint>>();
  readonly #pins = new Map<number, number>();

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
    if (open.size === 0) this.#byIno.delete(handle.ino);
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

  setSwapon(fh: bigint): void {
    this.#byFh.set(fh, { ...this.#byFh.get(fh)!, swapon: true });
  }

  isSwapon(ino: number): boolean {
    return this.of(ino).some(({ swapon }) => swapon === true);
  }

  setPins(ino: number, held: number): void {
    if (held === 0) this.#pins.delete(ino);
    else this.#pins.set(ino, held);
  }

  pins(ino: number): number {
    return this.#pins.get(ino) ?? 0;
  }

  pinMode(ino: number): PinMode | undefined {
    return pinModeOf(this.pins(ino));
  }

  pinned(): number[] {
    return [...new Set([...this.#pins.keys(), ...[...this.#byIno.keys()].filter((ino) => this.isSwapon(ino))])];
  }
}
