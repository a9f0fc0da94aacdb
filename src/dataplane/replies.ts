// Replies to the kernel. They are written by the control plane itself (measured: five context switches less than through
// the data plane), but not before the data plane has taken the installs and revokes that were sent before them: the program
// that gets a reply may next read through a map. A request that still uses a revoked map began before, and no reply waits
// for it; an operation that moves or frees blocks has awaited its end (DataPort.revoke) before it replies.

import type { InstalledMaps } from "./maps";

export interface PendingReply {
  /** The raw reply, under the name that the kernel knows the request by at this moment. */
  make(): Uint8Array;
  /** False: the kernel did not know that name. */
  written(delivered: boolean): void;
}

export class OrderedReplies {
  readonly #maps: InstalledMaps;
  readonly #write: (raw: Uint8Array) => boolean;
  readonly #waiting: { readonly after: bigint; readonly reply: PendingReply }[] = [];

  /** `write`: to /dev/fuse; false for ENOENT. */
  constructor(maps: InstalledMaps, write: (raw: Uint8Array) => boolean) {
    this.#maps = maps;
    this.#write = write;
  }

  send(reply: PendingReply): void {
    const after = this.#maps.lastSent;
    if (this.#waiting.length === 0 && this.#maps.carriedOut(after)) this.#deliver(reply);
    else this.#waiting.push({ after, reply });
  }

  /** To be called when the data plane has acknowledged something, or is another one. */
  flush(): void {
    let count = 0;
    while (count < this.#waiting.length && this.#maps.carriedOut(this.#waiting[count]!.after)) count += 1;
    for (const { reply } of this.#waiting.splice(0, count)) this.#deliver(reply);
  }

  #deliver(reply: PendingReply): void {
    reply.written(this.#write(reply.make()));
  }
}
