// Blocks that no file owns any more, but that a request of the data plane may still be reading or writing. They become
// free when it has forgotten them: a block given away too early would show one file's data in another.

import { logLine } from "../base/log";
import { messageOf } from "../base/errors";
import type { DataPort } from "../dataplane/port";
import type { DeviceRun } from "../volume/blockdevice";

/** How long an allocation that finds no room waits for limbo to empty. */
const patienceMs = 1000;

export class Limbo {
  readonly #volume: { release(runs: readonly DeviceRun[]): void };
  readonly #data: Pick<DataPort, "revoke" | "inUse">;
  readonly #pending = new Set<Promise<void>>();
  #pages = 0;

  constructor(volume: { release(runs: readonly DeviceRun[]): void }, data: Pick<DataPort, "revoke" | "inUse">) {
    this.#volume = volume;
    this.#data = data;
  }

  /** Pages that are neither owned nor free. */
  get pages(): number {
    return this.#pages;
  }

  free(ino: number, runs: readonly DeviceRun[]): void {
    if (!this.#data.inUse(ino)) return this.#volume.release(runs);
    const pages = runs.reduce((sum, run) => sum + run.count, 0);
    this.#pages += pages;
    const pending = this.#data.revoke(ino).then(
      () => {
        this.#pages -= pages;
        this.#volume.release(runs);
      },
      (error: unknown) => logLine(`cannot free ${pages} pages of ino ${ino} before the next mount: ${messageOf(error)}`),
    ).finally(() => this.#pending.delete(pending));
    this.#pending.add(pending);
  }

  /** Resolves when what is in limbo now is free, or patience ends; undefined when nothing is. */
  drained(): Promise<void> | undefined {
    if (this.#pending.size === 0) return undefined;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, patienceMs)));
    return Promise.race([Promise.all(this.#pending), patience]).then(() => clearTimeout(timer));
  }
}
