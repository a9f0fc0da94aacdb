// Blocks that no file owns any more, but that a request of the data plane may still be reading or writing. They become
// free when it has forgotten them: a block given away too early would show one file's data in another.

import { logLine } from "../base/log";
import { messageOf } from "../base/errors";
import type { DataPort } from "../dataplane/port";
import type { DeviceRun } from "../volume/blockdevice";
import type { Volume } from "../volume/volume";

/** How long an allocation that finds no room waits for them. */
const waitMs = 1000;

export class DeferredFree {
  readonly #volume: Volume;
  readonly #data: DataPort;
  readonly #pending = new Set<Promise<void>>();
  /** Files that ceased to use pages which others still used, while requests knew where they lay. */
  readonly #shedding = new Set<Promise<void>>();

  constructor(volume: Volume, data: DataPort) {
    this.#volume = volume;
    this.#data = data;
  }

  free(ino: number, runs: readonly DeviceRun[]): void {
    if (runs.length === 0) return;
    const inUse = this.#data.inUse(ino);
    if (!inUse && this.#shedding.size === 0) return this.#volume.release(runs);
    const pending = Promise.all([inUse ? this.#data.revoke(ino) : undefined, ...this.#shedding])
      .then(() => this.#volume.release(runs))
      .catch((error: unknown) => logLine(`cannot free blocks of ino ${ino} before the next mount: ${messageOf(error)}`))
      .finally(() => this.#pending.delete(pending));
    this.#pending.add(pending);
  }

  /**
   * A commit made `ino` cease to use shared pages. Requests may still read them through it, so what the last user of any
   * page gives up waits for those as well.
   */
  shed(ino: number): void {
    if (!this.#data.inUse(ino)) return;
    const shedding = this.#data.revoke(ino).catch(() => undefined).finally(() => this.#shedding.delete(shedding));
    this.#shedding.add(shedding);
  }

  /** Resolves when what waits now is free, or some time has passed; undefined when nothing waits. */
  drained(): Promise<void> | undefined {
    if (this.#pending.size === 0) return undefined;
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<void>((resolve) => (timer = setTimeout(resolve, waitMs)));
    return Promise.race([Promise.all(this.#pending), tooLong]).then(() => clearTimeout(timer));
  }
}
