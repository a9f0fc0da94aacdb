// The one place where the simulation touches the filesystem: a FileSystem on a device in memory, requests through `dispatch`,
// the commands of the control socket, and what the data plane calls. Whoever renames those changes this file.

import { activate } from "#src/activation/activate";
import { Refusals } from "#src/activation/refusals";
import { errnoName } from "#src/base/errno";
import { errnoOf } from "#src/base/errors";
import type { Fields, Values } from "#src/base/struct";
import { FileSystem } from "#src/blocks/filesystem";
import type { Mapped as MappedBy, Mapping } from "#src/blocks/mapping";
import { pin, unpin } from "#src/blocks/pin";
import { prepare } from "#src/blocks/prepare/prepare";
import { dispatch } from "#src/ops/table";
import type { Change } from "#src/volume/changes";
import { Volume } from "#src/volume/volume";
import type { Opcode } from "#src/wire/opcodes";
import { encodeRequest } from "#src/wire/request";
import { FakeHandles } from "../support/ops-fixture";
import type { SimulatedDevice } from "./device";
import { Plane, type PlaneParts } from "./plane";
import type { Scheduler } from "./scheduler";

export type Mapped = MappedBy;
export type MappingSide = Pick<Mapping, "ask" | "commitWrite" | "dropAll">;

/** What keeps the blocks of a file where they are. */
export type Lease = "none" | "pinned" | "swap_rw" | "swapon";

/** An errno's name, or what the reply holds. */
export type Reply<R> = { readonly error: string } | ({ readonly error?: undefined } & R);

export interface SystemParts {
  readonly scheduler: Scheduler;
  readonly device: SimulatedDevice;
  readonly guard: PlaneParts["guard"];
  /** after each commit, before its reply */
  readonly committed: (changes: readonly Change[]) => void;
}

export class System {
  readonly volume: Volume;
  readonly handles = new FakeHandles();
  readonly plane: Plane;
  readonly #fs: FileSystem;
  #unique = 0n;
  #seconds = 1_700_000_000;

  constructor({ scheduler, device, guard, committed }: SystemParts) {
    this.volume = Volume.open(device, { boot: 7, steps: { bytes: 200, turn: () => scheduler.point("checkpoint") } });
    this.plane = new Plane({
      scheduler, device, guard, inode: (ino) => this.volume.inode(ino), lease: (ino) => this.lease(ino),
    });
    this.#fs = new FileSystem({
      volume: this.volume, handles: this.handles, data: this.plane, session: 77n, refusals: new Refusals(), activate,
      now: () => ({ seconds: (this.#seconds += 1), nanoseconds: 5 }),
      noteChanges: (changes) => {
        this.plane.noteChanges(changes);
        committed(changes);
      },
    });
    this.plane.mapping = this.#fs.mapping;
  }

  /** Its reply, when it has reached the kernel. */
  async request<F extends Fields, R extends Fields>(
    opcode: Opcode<F, R>, nodeid: number, body: Partial<Values<F>> = {},
    { pid = 100, ...trailing }: { pid?: number; name?: string; name2?: string; bytes?: Buffer } = {},
  ): Promise<Reply<Values<R>>> {
    const values = opcode.body && ({ ...opcode.body.decode(Buffer.alloc(opcode.body.size)), ...body } as Values<F>);
    const header = { unique: (this.#unique += 2n), nodeid, uid: 0, gid: 0, pid, resent: false };
    const reply = await dispatch(this.#fs, encodeRequest(opcode, header, values, trailing));
    await this.plane.carriedOut();
    const error = reply!.readInt32LE(4);
    if (error !== 0) return { error: errnoName(-error) ?? String(error) };
    const bytes = reply!.subarray(16);
    return (typeof opcode.reply === "object" && bytes.length === opcode.reply.size ? opcode.reply.decode(bytes) : {}) as never;
  }

  /** The mode that the file has then, "again" when pages are left to be written, or the errno's name. */
  pin(ino: number, mode: "pinned" | "swap_rw", pagesMax: number): Promise<string> {
    return this.#command(async () => {
      const outcome = await pin(this.#fs, ino, mode, { pagesMax });
      return outcome.pagesLeft > 0 ? "again" : outcome.mode ?? "refused";
    });
  }

  unpin(ino: number): Promise<string> {
    return this.#command(async () => (await unpin(this.#fs, ino)) ?? "none");
  }

  prepare(ino: number, contiguous: boolean, signal: AbortSignal): Promise<string> {
    const stepMax = { allocate: 4, unshare: 2, move: 3, rewrite: 2 };
    return this.#command(async () => ((await prepare(this.#fs, ino, { contiguous, signal, stepMax })).stopped ? "stopped" : "done"));
  }

  restartPlane(): Promise<void> {
    return this.plane.restart(() => this.handles.pinned());
  }

  lease(ino: number): Lease {
    const mode = this.handles.pinMode(ino);
    return mode ?? (this.handles.isSwapon(ino) ? "swapon" : "none");
  }

  leased(): number[] {
    return this.handles.pinned();
  }

  /** Somebody works on the blocks of the file and keeps others out. */
  isExclusive(ino: number): boolean {
    return this.#fs.locks.isExclusive(ino);
  }

  /** Pages that no file owns and that are not free yet. */
  deferredPages(): number {
    return this.volume.stats().droppedPages;
  }

  #command(work: () => Promise<string>): Promise<string> {
    return work().catch((error: unknown) => errnoName(errnoOf(error)) ?? String(error));
  }
}
