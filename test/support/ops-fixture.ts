// A FileSystem on a volume in memory, with file data moved here as the data plane would, and the kernel's side of the
// conversation: requests are encoded, dispatched and decoded.

import { noSurroundings, type Surroundings } from "#src/activation/surroundings";
import { Refusals } from "#src/activation/refusals";
import { pinModeOf, type HandleTable, type OpenHandle, type PinMode } from "#src/activation/handles";
import { errnoName } from "#src/base/errno";
import type { Fields, Values } from "#src/base/struct";
import { bytesOfPages, pageSize } from "#src/base/units";
import type { DataPort, GrantPort } from "#src/dataplane/port";
import { FileSystem, type Activate, type FileSystemParts } from "#src/blocks/filesystem";
import type { Mapped } from "#src/blocks/mapping";
import { dispatch } from "#src/ops/table";
import { MemoryBlockDevice } from "./memory-device";
import { Volume } from "#src/volume/volume";
import { opcodes, type Opcode } from "#src/wire/opcodes";
import { encodeRequest } from "#src/wire/request";
import type { fuse_setattr_in } from "#src/wire/structs";
import type { ValuesOf } from "#src/base/struct";

export class FakeHandles implements HandleTable {
  readonly open_ = new Map<bigint, OpenHandle>();
  readonly swapons = new Set<number>();
  readonly held = new Map<number, number>();

  open(handle: OpenHandle): void {
    this.open_.set(handle.fh, handle);
  }

  close(fh: bigint): OpenHandle | undefined {
    const handle = this.open_.get(fh);
    this.open_.delete(fh);
    if (handle && this.openCount(handle.ino) === 0) this.swapons.delete(handle.ino);
    return handle;
  }

  get(fh: bigint): OpenHandle | undefined {
    return this.open_.get(fh);
  }

  openCount(ino: number): number {
    return this.of(ino).length;
  }

  of(ino: number): OpenHandle[] {
    return [...this.open_.values()].filter((handle) => handle.ino === ino);
  }

  setSwapon(fh: bigint): void {
    this.open_.set(fh, { ...this.open_.get(fh)!, swapon: true });
  }

  isSwapon(ino: number): boolean {
    return this.swapons.has(ino) || this.of(ino).some(({ swapon }) => swapon === true);
  }

  /** As if swap were on through a handle that is not in the table, until the last release. */
  setPinned(ino: number, pinned: boolean): void {
    if (pinned) this.swapons.add(ino);
    else this.swapons.delete(ino);
  }

  setPins(ino: number, held: number): void {
    if (held === 0) this.held.delete(ino);
    else this.held.set(ino, held);
  }

  pins(ino: number): number {
    return this.held.get(ino) ?? 0;
  }

  pinMode(ino: number): PinMode | undefined {
    return pinModeOf(this.pins(ino));
  }

  pinned(): number[] {
    const swapons = [...this.open_.values()].filter(({ swapon }) => swapon === true).map(({ ino }) => ino);
    return [...new Set([...this.swapons, ...swapons, ...this.held.keys()])];
  }
}

/** Counts what is asked of it, and holds revocations back while `held` says so. */
export class FakePort implements DataPort {
  grants?: GrantPort;
  readonly log: string[] = [];
  readonly busy = new Set<number>();
  room = true;
  touched: { ino: number; timeNs: bigint }[] = [];
  readonly #device: MemoryBlockDevice;
  #waiting: { ino: number; done: () => void }[] = [];

  constructor(device: MemoryBlockDevice) {
    this.#device = device;
  }

  revoke(ino: number): Promise<void> {
    this.log.push(`revoke ${ino}`);
    if (!this.busy.has(ino)) return Promise.resolve();
    return new Promise((done) => this.#waiting.push({ ino, done }));
  }

  /** The requests on `ino` that were under way are over. */
  quiet(ino: number): void {
    this.busy.delete(ino);
    const over = this.#waiting.filter((waiting) => waiting.ino === ino);
    this.#waiting = this.#waiting.filter((waiting) => waiting.ino !== ino);
    for (const { done } of over) done();
  }

  inUse(ino: number): boolean {
    return this.busy.has(ino);
  }

  async zero(devicePage: number, from: number, length: number): Promise<void> {
    this.log.push(`zero ${from}+${length}`);
    await Promise.resolve();
    this.#device.write(bytesOfPages(devicePage) + from, Buffer.alloc(length));
  }

  async copy(fromPage: number, toPage: number, count: number): Promise<void> {
    this.log.push(`copy ${count}`);
    await Promise.resolve();
    this.#device.write(bytesOfPages(toPage), this.#device.read(bytesOfPages(fromPage), bytesOfPages(count)));
  }

  installPinned(ino: number): void {
    this.log.push(`install ${ino}`);
  }

  async whenInstalled(): Promise<boolean> {
    return this.room;
  }

  async invalidateAttributes(ino: number): Promise<void> {
    this.log.push(`invalidate attributes of ${ino}`);
  }

  async invalidate(ino: number): Promise<void> {
    this.log.push(`invalidate ${ino}`);
  }

  takeTouched(): { ino: number; timeNs: bigint }[] {
    return this.touched.splice(0);
  }
}

/** The errno name, or the decoded reply. */
export type Answer<R> = { readonly error: string } | ({ readonly error?: undefined } & R);

export interface FixtureOptions {
  readonly pages?: number;
  readonly session?: bigint;
  readonly activate?: Activate;
  readonly device?: MemoryBlockDevice;
  /** without it every write asks */
  readonly grants?: GrantPort;
  /** who is in swapon(2) */
  readonly inSwapon?: Surroundings["inSwapon"];
  /** of the machine; what another one wrote and did not flush is not trusted */
  readonly boot?: number;
  readonly endGoneViews?: () => Promise<boolean>;
}

export class OpsFixture {
  readonly device: MemoryBlockDevice;
  readonly volume: Volume;
  readonly handles: FakeHandles;
  readonly port: FakePort;
  readonly fs: FileSystem;
  unique = 0n;
  uid = 0;
  gid = 0;
  pid = 100;
  seconds = 1_700_000_000;
  destroyed = 0;

  /** `before`: a control plane that died; its device and its handles are found again. */
  constructor(options: FixtureOptions = {}, before?: OpsFixture) {
    this.device = before?.device ?? options.device ?? new MemoryBlockDevice(bytesOfPages(options.pages ?? 8192));
    if (!before) Volume.format(this.device, { created: 1_600_000_000, uuid: Buffer.alloc(16, 7) });
    this.volume = Volume.open(this.device, { boot: options.boot ?? 0 });
    this.handles = before?.handles ?? new FakeHandles();
    this.port = new FakePort(this.device);
    if (options.grants) this.port.grants = options.grants;
    if (before) this.unique = before.unique;
    const parts: FileSystemParts = {
      volume: this.volume, handles: this.handles, data: this.port, session: options.session ?? 77n, refusals: new Refusals(),
      ...(options.inSwapon && { surroundings: { ...noSurroundings, swaponDrains: true, inSwapon: options.inSwapon } }),
      activate: options.activate ?? (() => Promise.resolve(undefined)),
      now: () => ({ seconds: (this.seconds += 1), nanoseconds: 5 }),
      destroyed: () => (this.destroyed += 1),
      ...(options.endGoneViews && { endGoneViews: options.endGoneViews }),
    };
    this.fs = new FileSystem(parts);
    this.fs.freeOrphans();
  }

  /** The raw reply to one request; each gets the next unique unless one is given. */
  async raw<F extends Fields>(
    opcode: Opcode<F, any>, nodeid: number, body?: Partial<Values<F>>, trailing: { name?: string; name2?: string; bytes?: Buffer } = {},
    again?: bigint,
  ): Promise<Buffer | undefined> {
    const unique = again ?? (this.unique += 2n);
    const values = opcode.body && ({ ...zeros(opcode), ...body } as Values<F>);
    const header = { unique, nodeid, uid: this.uid, gid: this.gid, pid: this.pid, resent: again !== undefined };
    return dispatch(this.fs, encodeRequest(opcode, header, values, trailing));
  }

  async call<F extends Fields, R extends Fields>(
    opcode: Opcode<F, R>, nodeid: number, body?: Partial<Values<F>>, trailing?: { name?: string; name2?: string; bytes?: Buffer },
    again?: bigint,
  ): Promise<Answer<Values<R> & { bytes: Buffer }>> {
    const pending = this.raw(opcode, nodeid, body, trailing, again);
    const unique = again ?? this.unique;
    const reply = await pending;
    expect(reply?.readUInt32LE(0)).toBe(reply?.length);
    expect(BigInt.asUintN(63, reply!.readBigUInt64LE(8))).toBe(unique);
    const error = reply!.readInt32LE(4);
    if (error !== 0) return { error: errnoName(-error) };
    const bytes = reply!.subarray(16);
    return { ...(typeof opcode.reply === "object" && bytes.length === opcode.reply.size ? opcode.reply.decode(bytes) : {}), bytes } as Values<R> & { bytes: Buffer };
  }

  /** As `call`, for what must succeed. */
  async ok<F extends Fields, R extends Fields>(
    opcode: Opcode<F, R>, nodeid: number, body?: Partial<Values<F>>, trailing?: { name?: string; name2?: string; bytes?: Buffer },
  ): Promise<Values<R> & { bytes: Buffer }> {
    const answer = await this.call(opcode, nodeid, body, trailing);
    expect({ opcode: opcode.name, error: answer.error }).toEqual({ opcode: opcode.name, error: undefined });
    return answer as Values<R> & { bytes: Buffer };
  }

  /** A new file, open: its inode number and handle. */
  async create(name: string, parent = 1, mode = 0o644): Promise<{ ino: number; fh: bigint }> {
    const made = await this.ok(opcodes.create, parent, { mode: 0o100000 | mode, flags: 2 }, { name });
    return { ino: Number(made.entry.nodeid), fh: made.open.fh };
  }

  async mkdir(name: string, parent = 1): Promise<number> {
    return Number((await this.ok(opcodes.mkdir, parent, { mode: 0o755 }, { name })).nodeid);
  }

  async release(fh: bigint): Promise<void> {
    await this.ok(opcodes.release, 1, { fh });
  }

  async stat(ino: number) {
    return (await this.ok(opcodes.getattr, ino)).attr;
  }

  setattr(ino: number, values: Partial<ValuesOf<typeof fuse_setattr_in>>) {
    return this.call(opcodes.setattr, ino, values);
  }

  async truncate(ino: number, size: number): Promise<string | undefined> {
    return (await this.setattr(ino, { valid: 8, size: BigInt(size) })).error;
  }

  async fallocate(ino: number, mode: number, offset: number, length: number): Promise<string | undefined> {
    return (await this.call(opcodes.fallocate, ino, { mode, offset: BigInt(offset), length: BigInt(length) })).error;
  }

  /** An ordinary write as the data plane carries it out: ask, I/O, commit. Returns the errno's name. */
  async write(ino: number, offset: number, data: Buffer | string, killSuidgid = false): Promise<string | undefined> {
    const bytes = Buffer.from(data);
    const mapped = await this.fs.mapping.ask({ ino, offset, length: bytes.length, write: true, killSuidgid });
    if (mapped.error) return errorName(mapped.error);
    this.store(mapped, offset, bytes);
    try {
      await this.fs.mapping.commitWrite(mapped.inFlight, { error: 0, timeNs: BigInt((this.seconds += 1)) * 1_000_000_000n });
    } catch (error) {
      return errorName(error as Error);
    }
    return undefined;
  }

  /** The device's part of a write. */
  store(mapped: Exclude<Mapped, { error: Error }>, offset: number, bytes: Buffer): void {
    for (const extent of mapped.extents) {
      for (let n = 0; n < extent.count; n += 1) {
        const at = bytesOfPages(extent.devicePage + n);
        const page = extent.state === "unwritten" ? Buffer.alloc(pageSize) : this.device.read(at, pageSize);
        const start = bytesOfPages(extent.filePage + n);
        const from = Math.max(0, offset - start);
        bytes.copy(page, from, Math.max(0, start - offset), Math.min(bytes.length, start + pageSize - offset));
        this.device.write(at, page);
      }
    }
  }

  async read(ino: number, offset: number, length: number): Promise<Buffer> {
    const mapped = await this.fs.mapping.ask({ ino, offset, length, write: false, killSuidgid: false });
    if (mapped.error) throw mapped.error;
    const into = Buffer.alloc(Math.max(0, Math.min(length, mapped.size - offset)));
    for (const extent of mapped.extents) {
      if (extent.state === "unwritten") continue;
      const start = bytesOfPages(extent.filePage);
      const data = this.device.read(bytesOfPages(extent.devicePage), bytesOfPages(extent.count));
      data.copy(into, Math.max(0, start - offset), Math.max(0, offset - start));
    }
    return into;
  }
}

function errorName(error: Error): string {
  return "code" in error ? String(error.code) : error.message;
}

function zeros(opcode: Opcode<any, any>): object {
  return opcode.body!.decode(Buffer.alloc(opcode.body!.size));
}
