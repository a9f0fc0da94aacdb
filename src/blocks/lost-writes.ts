// Acknowledged writes that could not be kept. As with the kernel's errseq (lib/errseq.c) the file that lost them says so:
// once to each handle, at its next fsync; and syncfs says it once.

import { FsError } from "../base/errors";
import type { HandleTable } from "../activation/handles";

interface Loss {
  /** open when it happened, and not told yet */
  readonly handles: Set<bigint>;
  /** then it is told to the next one, though it was opened later */
  nobodyTold: boolean;
}

const filesMax = 1024;

export class LostWrites {
  readonly #handles: Pick<HandleTable, "of">;
  readonly #losses = new Map<number, Loss>();
  #syncfs = false;

  constructor(handles: Pick<HandleTable, "of">) {
    this.#handles = handles;
  }

  add(ino: number): void {
    this.#syncfs = true;
    this.#losses.delete(ino);
    this.#losses.set(ino, { handles: new Set(this.#handles.of(ino).map(({ fh }) => fh)), nobodyTold: true });
    if (this.#losses.size > filesMax) this.#losses.delete(this.#losses.keys().next().value!);
  }

  /** fsync. Throws FsError EIO, once. */
  checkFile(ino: number, fh: bigint): void {
    const loss = this.#losses.get(ino);
    if (loss === undefined || !(loss.handles.delete(fh) || loss.nobodyTold)) return;
    loss.nobodyTold = false;
    throw lost(`to ino ${ino}`);
  }

  /** syncfs. Throws FsError EIO, once. */
  checkAll(): void {
    const wasLost = this.#syncfs;
    this.#syncfs = false;
    if (wasLost) throw lost("to some files");
  }
}

function lost(where: string): FsError {
  return new FsError("EIO", `cannot keep all that was written ${where}: see the log`);
}
