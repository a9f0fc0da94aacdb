// A data plane that takes its time: each message to it, each page that it moves and each answer is a point of the scheduler.
// It keeps maps, reads and writes by them without asking, and asks for all else, as the native one does (src/dataplane).

import { AsksInFlight, type Ask } from "#src/dataplane/asks";
import type { DataPort } from "#src/dataplane/port";
import { errnoName } from "#src/base/errno";
import { errnoOf } from "#src/base/errors";
import { bytesOfPages, pageSize } from "#src/base/units";
import type { Change, Extent } from "#src/volume/changes";
import type { BlockDevice } from "#src/volume/blockdevice";
import type { Scheduler } from "./scheduler";
import type { WriteInFlight } from "#src/blocks/write-in-flight";
import type { Lease, Mapped, MappingSide } from "./adapter";

interface CachedMap {
  readonly size: number;
  readonly extents: readonly Extent[];
  /** written pages may be written without asking; of an activated file whole ones */
  readonly inPlace: boolean;
  readonly wholePages: boolean;
  readonly users: Set<object>;
}

interface Message {
  readonly label: string;
  readonly deliver: () => void | Promise<void>;
  /** It was lost with the data plane. */
  readonly lost: () => void;
}

/** Who reads or writes a device page: checked in that moment. */
export type Writer = { readonly kind: "file"; readonly ino: number } | { readonly kind: "zero" | "copy" | "read" };

export interface PlaneParts {
  readonly scheduler: Scheduler;
  readonly device: BlockDevice;
  readonly guard: (devicePage: number, writer: Writer) => void;
  readonly inode: (ino: number) => { readonly size: number; readonly extents: Iterable<Extent> } | undefined;
  readonly lease: (ino: number) => Lease;
}

/** The data plane died: the kernel sends the request again to the next one. */
class Dropped extends Error {}

export class Plane implements DataPort {
  readonly asks = new AsksInFlight<WriteInFlight>();
  mapping!: MappingSide;
  readonly #parts: PlaneParts;
  readonly #maps = new Map<number, CachedMap>();
  /** The control plane's belief: inodes whose map was sent, and revocations on their way. */
  readonly #sent = new Set<number>();
  readonly #revocations = new Map<number, Set<Promise<void>>>();
  #messages: Message[] = [];
  #pumping = false;
  /** no data plane lives: resolves when one does */
  #starting: Promise<void> | undefined;
  #unanswered = 0;
  #epoch = 0;
  #tag = 0n;

  constructor(parts: PlaneParts) {
    this.#parts = parts;
  }

  revoke(ino: number): Promise<void> {
    const asks = this.asks.whenOver(ino);
    if (this.#sent.delete(ino)) this.#sendRevoke(ino);
    return Promise.all([...(this.#revocations.get(ino) ?? []), asks]).then(() => undefined);
  }

  inUse(ino: number): boolean {
    return this.#sent.has(ino) || this.#revocations.has(ino) || this.asks.has(ino);
  }

  async zero(devicePage: number, from: number, length: number): Promise<void> {
    await this.#parts.scheduler.point(`zero ${devicePage}`);
    this.#parts.guard(devicePage, { kind: "zero" });
    this.#parts.device.write(bytesOfPages(devicePage) + from, Buffer.alloc(length));
    await this.#parts.scheduler.point("zeroed");
  }

  async copy(from: number, to: number, count: number): Promise<void> {
    const { device, scheduler, guard } = this.#parts;
    for (let n = 0; n < count; n += 1) {
      await scheduler.point(`copy ${from + n} to ${to + n}`);
      guard(from + n, { kind: "read" });
      guard(to + n, { kind: "copy" });
      device.write(bytesOfPages(to + n), device.read(bytesOfPages(from + n), pageSize));
    }
    await scheduler.point("copied");
  }

  installPinned(ino: number): void {
    this.#install(ino);
  }

  async whenInstalled(ino: number): Promise<boolean> {
    await this.carriedOut();
    return this.#sent.has(ino);
  }

  invalidate(ino: number): Promise<void> {
    return this.#parts.scheduler.point(`invalidate ${ino}`);
  }

  invalidateAttributes(ino: number): Promise<void> {
    return this.#parts.scheduler.point(`invalidate attributes ${ino}`);
  }

  takeTouched(): { ino: number; timeNs: bigint }[] {
    return [];
  }

  /** As NativeDataPort.noteChanges: maps that became untrue are forgotten, those of leased files sent anew. */
  noteChanges(changes: readonly Change[]): void {
    for (const change of changes) {
      if (!("ino" in change) || !this.#sent.has(change.ino)) continue;
      if (this.#parts.lease(change.ino) !== "none" && this.#parts.inode(change.ino)) this.#install(change.ino);
      else void this.revoke(change.ino);
    }
  }

  /** A reply that the control plane makes now reaches the kernel when this resolves. */
  async carriedOut(): Promise<void> {
    if (this.#unanswered > 0) await new Promise<void>((done) => this.#send({ label: "in order", deliver: done, lost: done }));
  }

  /** The data plane dies and another one starts: maps, requests and messages are lost, leases are not. */
  async restart(pinned: () => number[]): Promise<void> {
    if (this.#starting !== undefined) return;
    this.#epoch += 1;
    this.#maps.clear();
    this.#starting = this.#parts.scheduler.point("data plane starts");
    await this.#starting;
    this.#starting = undefined;
    const lost = this.#messages;
    this.#messages = [];
    this.mapping.dropAll();
    this.asks.dropAll();
    this.#sent.clear();
    for (const { lost: settle } of lost) settle();
    for (const ino of pinned()) if (this.#parts.inode(ino)) this.#install(ino);
  }

  /** What a read finds; the errno's name. */
  async read(ino: number, offset: number, length: number): Promise<Buffer | string> {
    return this.#again(async (check) => {
      const map = this.#maps.get(ino);
      if (map !== undefined) return this.#using(map, () => this.#load(map, offset, length, check));
      const ask = this.#asked(ino, false);
      const mapped = await this.#answered(ask, offset, length, check);
      if (typeof mapped === "string") return mapped;
      const bytes = await this.#load(mapped, offset, length, check);
      this.asks.end(ask.tag);
      return bytes;
    });
  }

  /** The errno's name; undefined: written. */
  async write(ino: number, offset: number, bytes: Buffer): Promise<string | undefined> {
    return this.#again(async (check) => {
      const map = this.#maps.get(ino);
      if (map !== undefined && takesInPlace(map, offset, bytes.length)) {
        await this.#using(map, () => this.#store(ino, map.extents, offset, bytes, check));
        return undefined;
      }
      const ask = this.#asked(ino, true);
      const mapped = await this.#answered(ask, offset, bytes.length, check);
      if (typeof mapped === "string") return mapped;
      await this.#store(ino, mapped.extents, offset, bytes, check);
      return this.#commit(ask, check);
    });
  }

  // From here on: the data plane's side.

  async #again<T>(work: (check: () => void) => Promise<T>): Promise<T> {
    for (;;) {
      while (this.#starting !== undefined) await this.#starting;
      const epoch = this.#epoch;
      try {
        return await work(() => {
          if (epoch !== this.#epoch) throw new Dropped();
        });
      } catch (error) {
        if (!(error instanceof Dropped)) throw error;
        await this.#parts.scheduler.point("sent again");
      }
    }
  }

  async #using<T>(map: CachedMap, work: () => Promise<T>): Promise<T> {
    const user = {};
    map.users.add(user);
    try {
      return await work();
    } finally {
      map.users.delete(user);
    }
  }

  #asked(ino: number, write: boolean): Ask<WriteInFlight> {
    const ask: Ask<WriteInFlight> = { tag: (this.#tag += 1n), ino, write, allocating: false };
    return ask;
  }

  async #answered(ask: Ask<WriteInFlight>, offset: number, length: number, check: () => void): Promise<Exclude<Mapped, { error: Error }> | string> {
    await this.#parts.scheduler.point(`ask ${ask.write ? "write" : "read"} ${ask.ino} ${offset}+${length}`);
    check();
    this.asks.add(ask);
    const mapped = await this.mapping.ask({ ino: ask.ino, offset, length, write: ask.write, killSuidgid: false });
    check();
    if (!this.asks.holds(ask)) throw new Dropped();
    if (mapped.error !== undefined) this.asks.end(ask.tag);
    else {
      ask.inFlight = mapped.inFlight;
      ask.allocating = ask.write && mapped.extents.some(({ state }) => state !== "written");
    }
    const answered = new Promise<void>((done) => this.#send({ label: `answer ${ask.ino}`, deliver: done, lost: done }));
    if (mapped.error === undefined && this.#mayCache(ask)) this.#install(ask.ino);
    await answered;
    check();
    return mapped.error === undefined ? mapped : errnoName(errnoOf(mapped.error)) ?? String(mapped.error);
  }

  /** As NativeDataPort.installCached. */
  #mayCache({ ino, allocating }: Ask<WriteInFlight>): boolean {
    if (allocating || this.asks.allocating(ino) || this.#parts.lease(ino) !== "none") return false;
    return this.#parts.inode(ino) !== undefined && this.#parts.scheduler.random.chance(0.6);
  }

  async #load({ size, extents }: { size: number; extents: readonly Extent[] }, offset: number, length: number, check: () => void): Promise<Buffer> {
    const into = Buffer.alloc(length);
    for (let at = offset; at < Math.min(size, offset + length); at += pageSize - (at % pageSize)) {
      await this.#parts.scheduler.point(`load ${Math.floor(at / pageSize)}`);
      check();
      const devicePage = devicePageOf(extents, Math.floor(at / pageSize), (state) => state !== "unwritten");
      const end = Math.min(at + pageSize - (at % pageSize), size, offset + length);
      if (devicePage === undefined) continue;
      this.#parts.guard(devicePage, { kind: "read" });
      this.#parts.device.read(bytesOfPages(devicePage) + (at % pageSize), end - at).copy(into, at - offset);
    }
    return into;
  }

  async #store(ino: number, extents: readonly Extent[], offset: number, bytes: Buffer, check: () => void): Promise<void> {
    const { device, scheduler, guard } = this.#parts;
    for (let at = offset; at < offset + bytes.length; at += pageSize - (at % pageSize)) {
      await scheduler.point(`store ${ino}`);
      check();
      const page = Math.floor(at / pageSize);
      const devicePage = devicePageOf(extents, page, () => true);
      if (devicePage === undefined) throw new Error(`no block for page ${page} of ino ${ino} in the answer to a write`);
      const isNew = devicePageOf(extents, page, (state) => state === "unwritten") !== undefined;
      const held = isNew ? Buffer.alloc(pageSize) : device.read(bytesOfPages(devicePage), pageSize);
      bytes.copy(held, at % pageSize, at - offset, Math.min(bytes.length, at - offset + pageSize - (at % pageSize)));
      guard(devicePage, { kind: "file", ino });
      device.write(bytesOfPages(devicePage), held);
    }
  }

  async #commit(ask: Ask<WriteInFlight>, check: () => void): Promise<string | undefined> {
    const { scheduler } = this.#parts;
    await scheduler.point(`commit ${ask.ino}`);
    check();
    let failure: string | undefined;
    try {
      await this.mapping.commitWrite(ask.inFlight!, { error: 0, timeNs: BigInt(scheduler.steps + 1) * 1_000_000_000n });
    } catch (error) {
      failure = errnoName(errnoOf(error)) ?? String(error);
    }
    if (!this.asks.holds(ask)) throw new Dropped();
    this.asks.end(ask.tag);
    await new Promise<void>((done) => this.#send({ label: `committed ${ask.ino}`, deliver: done, lost: done }));
    check();
    return failure;
  }

  #install(ino: number): void {
    const { size, extents } = this.#parts.inode(ino)!;
    const lease = this.#parts.lease(ino);
    const map = { size, extents: [...extents], inPlace: lease === "none" || lease === "swap_rw", wholePages: lease === "swap_rw", users: new Set<object>() };
    this.#sent.add(ino);
    this.#unanswered += 1;
    const over = (): void => void (this.#unanswered -= 1);
    this.#send({
      label: `install ${ino}`, lost: over, deliver: () => {
        this.#maps.set(ino, { ...map, users: this.#maps.get(ino)?.users ?? map.users });
        over();
      },
    });
  }

  #sendRevoke(ino: number): void {
    this.#unanswered += 1;
    const pending = this.#revocations.get(ino) ?? new Set();
    this.#revocations.set(ino, pending);
    const revoked = new Promise<void>((done) => this.#send({
      label: `revoke ${ino}`, lost: done, deliver: () => {
        const map = this.#maps.get(ino);
        this.#maps.delete(ino);
        void this.#unused(map).then(done);
      },
    })).then(() => {
      this.#unanswered -= 1;
      pending.delete(revoked);
      if (pending.size === 0 && this.#revocations.get(ino) === pending) this.#revocations.delete(ino);
    });
    pending.add(revoked);
  }

  async #unused(map: CachedMap | undefined): Promise<void> {
    while (map !== undefined && map.users.size > 0) await this.#parts.scheduler.point("waits for users of a map");
  }

  /** One at a time and in order, as through the socket. */
  #send(message: Message): void {
    this.#messages.push(message);
    if (!this.#pumping) void this.#pump();
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    while (this.#messages.length > 0) {
      await this.#parts.scheduler.point(`message: ${this.#messages[0]!.label}`);
      if (this.#starting !== undefined) await this.#starting;
      else void this.#messages.shift()?.deliver();
    }
    this.#pumping = false;
  }
}

function devicePageOf(extents: readonly Extent[], page: number, wanted: (state: Extent["state"]) => boolean): number | undefined {
  const extent = extents.find(({ filePage, count }) => page >= filePage && page < filePage + count);
  return extent !== undefined && wanted(extent.state) ? extent.devicePage + page - extent.filePage : undefined;
}

function takesInPlace({ size, extents, inPlace, wholePages }: CachedMap, offset: number, length: number): boolean {
  if (!inPlace || offset + length > size) return false;
  if (wholePages && (offset % pageSize !== 0 || length % pageSize !== 0)) return false;
  for (let at = offset; at < offset + length; at += pageSize - (at % pageSize)) {
    if (devicePageOf(extents, Math.floor(at / pageSize), (state) => state === "written") === undefined) return false;
  }
  return true;
}
