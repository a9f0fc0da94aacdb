// Random histories of files that are swapped on, pinned and activated among ordinary ones, through kills of the control
// plane and remounts. The kernel's part is played here: what swapon learned by BMAP is written to on the device, without
// asking anybody, while other files come and go. A block that was moved, freed or given away shows as a wrong byte.

import { randomFrom } from "../volume/random";
import { activate } from "#src/activation/activate";
import { checkDevice, isSound } from "#src/volume/fsck";
import { pin, unpin } from "#src/blocks/pin";
import { opcodes } from "#src/wire/opcodes";
import { FakeHandles, OpsFixture } from "../support/ops-fixture";

const page = 4096;
const histories = 200;
/** The same ones at every run, but for `npm run soak`. */
const firstSeed = Number(process.env["SWAPFS_FIRST_SEED"] ?? 0);
const steps = 80;

interface ModelFile {
  readonly ino: number;
  name: string | undefined;
  data: Buffer;
  /** pages with a block */
  blocks: Set<number>;
  /** shared at some time: the gate may refuse it */
  cloned: boolean;
  mode: "ordinary" | "pinned" | "swap_rw";
  /** where swapon found the pages, and its handle */
  swap: { readonly map: readonly number[]; readonly fh: bigint } | undefined;
}

class History {
  f = new OpsFixture({ pages: 2048, activate });
  files: ModelFile[] = [];
  session = 77n;
  swapons = 0;
  readonly random: (below: number) => number;

  constructor(seed: number) {
    this.random = randomFrom(seed);
  }

  pick<T>(list: readonly T[]): T | undefined {
    return list[this.random(list.length || 1)];
  }

  named(): ModelFile | undefined {
    return this.pick(this.files.filter(({ name }) => name !== undefined));
  }

  bytes(length: number): Buffer {
    return Buffer.alloc(length, 1 + this.random(255));
  }
}

const isPinned = (file: ModelFile): boolean => file.mode !== "ordinary" || file.swap !== undefined;

function resize(file: ModelFile, size: number): void {
  const made = Buffer.alloc(size);
  file.data.copy(made);
  file.data = made;
}

function addBlocks(file: ModelFile, from: number, to: number): void {
  for (let at = Math.floor(from / page); at * page < to; at += 1) file.blocks.add(at);
}

async function create(h: History): Promise<void> {
  const name = `n${h.random(12)}`;
  if (h.files.some((file) => file.name === name)) return;
  const { ino, fh } = await h.f.create(name);
  await h.f.release(fh);
  h.files.push({ ino, name, data: Buffer.alloc(0), blocks: new Set(), cloned: false, mode: "ordinary", swap: undefined });
}

async function write(h: History): Promise<void> {
  const file = h.named();
  if (!file || file.swap) return; // ETXTBSY by the VFS
  const aligned = h.random(2) === 0;
  const [offset, bytes] = aligned ? [h.random(30) * page, h.bytes(page * (1 + h.random(4)))] : [h.random(30 * page), h.bytes(1 + h.random(3 * page))];
  const got = await h.f.write(file.ino, offset, bytes);
  if (got === "ENOSPC" && file.mode === "ordinary") return;
  const whole = offset % page === 0 && bytes.length % page === 0;
  const beyond = offset + bytes.length > file.data.length;
  const expected = file.mode === "pinned" ? "ETXTBSY" : file.mode === "ordinary" ? undefined : !whole ? "EINVAL" : beyond ? "ENOSPC" : undefined;
  expect(["write", got]).toEqual(["write", expected]);
  if (got !== undefined) return;
  resize(file, Math.max(file.data.length, offset + bytes.length));
  bytes.copy(file.data, offset);
  addBlocks(file, offset, offset + bytes.length);
}

async function truncate(h: History): Promise<void> {
  const file = h.named();
  if (!file) return;
  const size = h.random(40 * page);
  const got = await h.f.truncate(file.ino, size);
  const allowed = !isPinned(file) || (size > file.data.length && file.data.length % page === 0);
  expect(["truncate", got]).toEqual(["truncate", allowed ? undefined : "ETXTBSY"]);
  if (!allowed) return;
  const end = Math.ceil(size / page);
  if (size <= file.data.length) file.blocks = new Set([...file.blocks].filter((at) => at < end));
  resize(file, size);
}

async function allocate(h: History): Promise<void> {
  const file = h.named();
  if (!file) return;
  const [offset, length] = [h.random(2) * h.random(20 * page), 1 + h.random(40 * page)];
  const got = await h.f.fallocate(file.ino, 0, offset, length);
  if (got === "ENOSPC") return;
  expect(["fallocate", got]).toEqual(["fallocate", isPinned(file) ? "ETXTBSY" : undefined]);
  if (got !== undefined) return;
  resize(file, Math.max(file.data.length, offset + length));
  addBlocks(file, offset, offset + length);
}

async function punch(h: History): Promise<void> {
  const file = h.named();
  if (!file) return;
  const [offset, length] = [h.random(20 * page), 1 + h.random(8 * page)];
  const got = await h.f.fallocate(file.ino, 3, offset, length);
  expect(["punch", got]).toEqual(["punch", isPinned(file) ? "ETXTBSY" : undefined]);
  if (got !== undefined) return;
  file.data.fill(0, Math.min(offset, file.data.length), Math.min(offset + length, file.data.length));
  for (let at = Math.ceil(offset / page); (at + 1) * page <= offset + length; at += 1) file.blocks.delete(at);
}

async function clone(h: History): Promise<void> {
  const [from, to] = [h.named(), h.named()];
  if (!from || !to || from === to || from.swap || to.swap) return; // ETXTBSY by the VFS
  const length = Math.floor(from.data.length / page) * page;
  if (length === 0) return;
  const source = h.f.volume.inode(from.ino)!.extents;
  const held = new Set([...from.blocks].filter((at) => source.find(at)?.state !== "unwritten")); // zeros: a hole in the clone
  const { error } = await h.f.call(opcodes.copyFileRange, from.ino, { nodeid_out: BigInt(to.ino), len: BigInt(length) } as never);
  if (isPinned(from) || isPinned(to)) return expect(["ETXTBSY", "EOPNOTSUPP", "EBADF"]).toContain(error);
  if (error !== undefined) return; // copied by the kernel then, with reads and writes
  resize(to, Math.max(to.data.length, length));
  from.data.copy(to.data, 0, 0, length);
  for (let at = 0; at < length / page; at += 1) if (held.has(at)) to.blocks.add(at); else to.blocks.delete(at);
  from.cloned = to.cloned = true;
}

async function unlink(h: History): Promise<void> {
  const file = h.named();
  if (!file || file.swap) return; // EPERM by the VFS
  expect((await h.f.call(opcodes.unlink, 1, {}, { name: file.name! })).error).toBeUndefined();
  file.name = undefined;
  // Activated and without a handle, nobody can reach it any more.
  if (file.mode !== "pinned") h.files = h.files.filter((other) => other !== file);
  await new Promise(setImmediate);
}

/** What the gate must say, where the model knows: two whole pages at least, and a block for each. */
function acceptable(file: ModelFile): boolean {
  const pages = Math.floor(file.data.length / page);
  return pages >= 2 && Array.from({ length: pages }, (_, at) => at).every((at) => file.blocks.has(at));
}

function checkVerdict(file: ModelFile, accepted: boolean): void {
  if (!file.cloned || !acceptable(file)) expect(["accepted", accepted]).toEqual(["accepted", acceptable(file)]);
}

async function swapon(h: History): Promise<void> {
  const fit = h.files.filter((one) => one.name !== undefined && acceptable(one));
  const file = h.random(3) > 0 ? h.pick(fit) : h.named();
  if (!file || file.swap) return;
  const { fh } = await h.f.ok(opcodes.open, file.ino, { flags: 2 });
  const map: number[] = [];
  for (let at = 0; at < Math.floor(file.data.length / page); at += 1) {
    map.push(Number((await h.f.ok(opcodes.bmap, file.ino, { block: BigInt(at), blocksize: page })).block));
  }
  const accepted = map.length > 0 && map.every((block) => block !== 0) && !h.f.fs.leases.mayMove(file.ino) && map.length >= 2;
  checkVerdict(file, accepted);
  if (!accepted) return h.f.release(fh);
  file.swap = { map, fh };
  h.swapons += 1;
}

async function swapoff(h: History): Promise<void> {
  const file = h.pick(h.files.filter(({ swap }) => swap));
  if (!file) return;
  await h.f.release(file.swap!.fh);
  file.swap = undefined;
  await new Promise(setImmediate);
}

/** mm writes pages: to the sectors that it learned, whatever has become of them. */
async function swapOut(h: History): Promise<void> {
  for (const file of h.files.filter(({ swap }) => swap)) {
    const at = h.random(file.swap!.map.length);
    const bytes = h.bytes(page);
    h.f.device.write(file.swap!.map[at]! * page, bytes);
    bytes.copy(file.data, at * page);
    // The kernel does not tell: the page was written, and the extent may still say unwritten. swapoff leaves it so.
    const extent = h.f.volume.inode(file.ino)!.extents.find(at);
    if (extent?.state === "unwritten") file.data.fill(0, at * page, (at + 1) * page);
  }
}

async function setMode(h: History): Promise<void> {
  const file = h.named();
  const mode = h.random(2) === 0 ? "pinned" : "swap_rw";
  if (!file || file.mode === mode || (file.swap && (mode === "swap_rw" || file.mode === "swap_rw"))) return;
  const { mode: now } = await pin(h.f.fs, file.ino, mode);
  if (file.mode === "ordinary") checkVerdict(file, now === mode);
  if (now !== undefined) file.mode = now;
}

async function endMode(h: History): Promise<void> {
  const file = h.pick(h.files.filter(({ mode }) => mode !== "ordinary"));
  if (!file || (file.mode === "swap_rw" && file.swap)) return;
  await unpin(h.f.fs, file.ino);
  await new Promise(setImmediate);
  file.mode = "ordinary";
  if (file.name === undefined) h.files = h.files.filter((other) => other !== file);
}

/** The control plane dies: the session, with handles and pins, is still there. */
async function kill(h: History): Promise<void> {
  h.f = new OpsFixture({ activate, session: h.session }, h.f);
}

/** Another session: no handle and no pin is left, and what had no name is free. */
async function remount(h: History): Promise<void> {
  if (h.random(4) > 0) return;
  for (const file of h.files) if (file.swap) await h.f.release(file.swap.fh);
  h.session += 1n;
  const before = { device: h.f.device, handles: new FakeHandles(), unique: h.f.unique } as unknown as OpsFixture;
  h.f = new OpsFixture({ activate, session: h.session }, before);
  h.files = h.files.filter(({ name }) => name !== undefined);
  for (const file of h.files) [file.mode, file.swap] = ["ordinary", undefined];
}

const possible = [
  create, create, write, write, write, truncate, allocate, allocate, punch, clone, unlink, swapon, swapon, swapoff, swapOut, swapOut, swapOut,
  setMode, endMode, kill, remount,
];

async function compare(h: History, what: string): Promise<void> {
  for (const file of h.files) {
    const read = await h.f.read(file.ino, 0, file.data.length + 10);
    if (!read.equals(file.data)) throw new Error(`${what}: ino ${file.ino} (${file.mode}${file.swap ? ", swapped on" : ""}) differs`);
    expect(h.f.volume.inode(file.ino)!.pages).toBe(file.blocks.size);
  }
}

let swapons = 0;

test.each(Array.from({ length: histories }, (_, at) => firstSeed + at))("history with seed %d", async (seed) => {
  const h = new History(seed);
  for (let n = 0; n < steps; n += 1) {
    const step = h.pick(possible)!;
    await step(h);
    if (n % 3 === 2) await compare(h, `step ${n}, ${step.name}`);
  }
  swapons += h.swapons;
  h.f.volume.close();
  expect(isSound(checkDevice(h.f.device))).toBe(true);
});

test("these histories swapped on hundreds of times", () => {
  expect(swapons).toBeGreaterThan(200);
});
