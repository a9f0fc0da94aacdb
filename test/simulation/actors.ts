// Programs, the kernel and the command line, each doing one thing after the other to the same few files at the same time.

import { bytesOfPages, pageSize } from "#src/base/units";
import { opcodes } from "#src/wire/opcodes";
import type { Random } from "../volume/random";
import type { Simulation } from "./simulation";
import { cellBytes, cellOf, cellsOfFile, type Write } from "./contents";
import { Violation, type SwapArea } from "./invariants";

/** Of a seed the first few. */
const names = ["a", "b", "c"];
const O_RDWR = 2;
const PUNCH = 3;
const ZERO_RANGE = 16;
const SIZE = 8;

export type Step = (s: Simulation, pid: number) => Promise<void>;

function nameOf(s: Simulation): string {
  return names[s.random.below(s.files)]!;
}

async function fileNamed(s: Simulation, name = nameOf(s)): Promise<number | undefined> {
  const found = await s.system.request(opcodes.lookup, 1, {}, { name });
  return found.error !== undefined || found.nodeid === 0n ? undefined : Number(found.nodeid);
}

async function create(s: Simulation, pid: number): Promise<void> {
  const made = await s.system.request(opcodes.create, 1, { mode: 0o100600, flags: O_RDWR }, { name: nameOf(s), pid });
  if (made.error !== undefined) return;
  await s.system.request(opcodes.release, 1, { fh: made.open.fh });
}

/** Pages in a row, or less than a page. */
function cells(s: Simulation): [from: number, to: number] {
  const from = s.random.below(cellsOfFile - 1);
  const to = Math.min(cellsOfFile, from + 1 + s.random.below(s.random.chance(0.5) ? 2 : 8));
  return s.random.chance(0.5) ? [from, to] : [from - (from % 2), to + (to % 2)];
}

/** Notes what `work` writes; its answer is an errno's name, or undefined. */
async function writing(s: Simulation, ino: number, from: number, to: number, value: number, work: () => Promise<string | undefined>): Promise<string | undefined> {
  const write: Write = { value, start: s.contents.tick(), end: undefined };
  for (let cell = from; cell < to; cell += 1) s.contents.file(ino).begin(cell, write);
  const error = await work();
  if (error === undefined) write.end = s.contents.tick();
  return error;
}

/** The gate counts on the handle that every writer has, also by a mapping. */
async function write(s: Simulation, pid: number): Promise<void> {
  const ino = await fileNamed(s);
  if (ino === undefined) return;
  const opened = await s.system.request(opcodes.open, ino, { flags: O_RDWR }, { pid });
  if (opened.error !== undefined) return;
  for (let n = 1 + s.random.below(2); n > 0; n -= 1) await writeCells(s, ino);
  await s.system.request(opcodes.release, ino, { fh: opened.fh });
}

async function writeCells(s: Simulation, ino: number): Promise<void> {
  // ETXTBSY by the VFS (generic_write_checks, mm/filemap.c); all but activated files refuse it themselves.
  if (s.inSwapon.has(ino) && s.system.lease(ino) === "swap_rw") return;
  const [from, to] = cells(s);
  const value = s.contents.newValue();
  const bytes = Buffer.concat(Array.from({ length: to - from }, () => cellOf(value)));
  await writing(s, ino, from, to, value, () => s.system.plane.write(ino, from * cellBytes, bytes));
}

async function read(s: Simulation): Promise<void> {
  const ino = await fileNamed(s);
  if (ino === undefined) return;
  const [from, to] = cells(s);
  const since = s.contents.tick();
  const found = await s.system.plane.read(ino, from * cellBytes, (to - from) * cellBytes);
  if (typeof found === "string") return;
  for (let cell = from; cell < to; cell += 1) {
    const at = (cell - from) * cellBytes;
    s.invariants.checkCell(ino, cell, found.subarray(at, at + cellBytes), s.contents.file(ino).allowed(cell, since));
  }
}

async function truncate(s: Simulation): Promise<void> {
  const ino = await fileNamed(s);
  if (ino === undefined) return;
  const cell = s.random.below(cellsOfFile + 1);
  const size = BigInt(cell * cellBytes);
  await writing(s, ino, cell, cellsOfFile, 0, async () => (await s.system.request(opcodes.setattr, ino, { valid: SIZE, size })).error);
}

async function fallocate(s: Simulation): Promise<void> {
  const ino = await fileNamed(s);
  if (ino === undefined) return;
  const mode = s.random.pick([0, 0, PUNCH, PUNCH, ZERO_RANGE]);
  const [from, to] = mode === 0 ? [0, 4 + s.random.below(cellsOfFile - 4)] : cells(s);
  const body = { mode, offset: BigInt(from * cellBytes), length: BigInt((to - from) * cellBytes) };
  const call = async (): Promise<string | undefined> => (await s.system.request(opcodes.fallocate, ino, body)).error;
  if (mode === 0) await call();
  else await writing(s, ino, from, to, 0, call);
}

/** What it copies is known when it commits: `Simulation.committed` says so to the target. */
async function clone(s: Simulation): Promise<void> {
  const [from, to] = [await fileNamed(s), await fileNamed(s)];
  if (from === undefined || to === undefined || from === to) return;
  const [pageIn, pageOut] = [s.random.below(4), s.random.below(6)];
  const len = BigInt(bytesOfPages(1 + s.random.below(6)));
  if ([...s.clones].some((other) => other.to === to && other.pageOut === pageOut)) return; // its commit could be either's
  const under = { from, to, pageIn, pageOut, writes: [] as Write[] };
  s.clones.add(under);
  await s.system.request(opcodes.copyFileRange64, from, {
    off_in: BigInt(bytesOfPages(pageIn)), nodeid_out: BigInt(to), off_out: BigInt(bytesOfPages(pageOut)), len,
  });
  s.clones.delete(under);
  for (const one of under.writes) one.end = s.contents.tick();
}

async function unlink(s: Simulation): Promise<void> {
  await s.system.request(opcodes.unlink, 1, {}, { name: nameOf(s) });
}

async function rename(s: Simulation): Promise<void> {
  await s.system.request(opcodes.rename2, 1, { newdir: 1n, flags: s.random.below(3) }, { name: nameOf(s), name2: nameOf(s) });
}

/** A program that keeps the file open for a while. */
async function hold(s: Simulation, pid: number): Promise<void> {
  const ino = await fileNamed(s);
  if (ino === undefined) return;
  const opened = await s.system.request(opcodes.open, ino, { flags: s.random.pick([0, O_RDWR]) }, { pid });
  if (opened.error !== undefined) return;
  for (let n = s.random.below(20); n > 0; n -= 1) await s.scheduler.point(`pid ${pid} has ino ${ino} open`);
  await s.system.request(opcodes.release, ino, { fh: opened.fh });
}

async function activate(s: Simulation): Promise<void> {
  const ino = await fileNamed(s);
  if (ino === undefined) return;
  if (s.random.chance(0.3)) {
    const value = Buffer.from(s.random.pick(["1", "marked"]));
    await s.system.request(opcodes.setxattr, ino, { size: value.length }, { name: "user.swapfs.activate", bytes: value });
  } else {
    for (let answer = "again"; answer === "again"; ) answer = await s.system.pin(ino, "swap_rw", s.random.pick([1, 3, 1000]));
  }
}

async function pin(s: Simulation): Promise<void> {
  const ino = await fileNamed(s);
  if (ino !== undefined) await s.system.pin(ino, "pinned", 1000);
}

async function unpin(s: Simulation): Promise<void> {
  const ino = await fileNamed(s) ?? s.random.pick([undefined, ...s.system.leased()]);
  if (ino === undefined) return;
  if (s.random.chance(0.3)) await s.system.request(opcodes.removexattr, ino, {}, { name: "user.swapfs.activate" });
  else await s.system.unpin(ino);
}

async function prepare(s: Simulation): Promise<void> {
  const ino = await fileNamed(s);
  if (ino === undefined) return;
  const controller = new AbortController();
  if (s.random.chance(0.3)) void s.scheduler.point("^C").then(() => controller.abort());
  await s.system.prepare(ino, s.random.chance(0.4), controller.signal);
}

/** swapon(2), swapping, and swapoff(2), or a swapon that fails. */
async function swapon(s: Simulation, pid: number): Promise<void> {
  const ino = await fileNamed(s);
  if (ino === undefined || s.inSwapon.has(ino)) return; // claim_swapfile (mm/swapfile.c) takes the inode's lock, then EBUSY
  s.inSwapon.add(ino);
  try {
    const opened = await s.system.request(opcodes.open, ino, { flags: O_RDWR }, { pid });
    if (opened.error !== undefined) return;
    const map = await blocksOf(s, ino, pid);
    if (map !== undefined) await swap(s, { ino, fh: opened.fh, map, held: new Map() });
    await s.system.request(opcodes.release, ino, { fh: opened.fh });
  } finally {
    s.inSwapon.delete(ino);
  }
}

async function blocksOf(s: Simulation, ino: number, pid: number): Promise<number[] | undefined> {
  const attr = await s.system.request(opcodes.getattr, ino);
  const pages = attr.error !== undefined ? 0 : Math.floor(Number(attr.attr.size) / pageSize);
  const map: number[] = [];
  for (let page = 0; page < pages; page += 1) {
    const mapped = await s.system.request(opcodes.bmap, ino, { block: BigInt(page), blocksize: pageSize }, { pid });
    if (mapped.error !== undefined || mapped.block === 0n) return undefined; // "swapon: swapfile has holes"
    map.push(Number(mapped.block));
    await s.scheduler.point(`bmap of ino ${ino}`);
  }
  return pages > 0 ? map : undefined;
}

async function swap(s: Simulation, area: SwapArea): Promise<void> {
  s.swaps.add(area);
  s.swapons += 1;
  for (let n = 2 + s.random.below(6); n > 0; n -= 1) {
    const page = s.random.below(area.map.length);
    const value = s.contents.newValue();
    const write: Write = { value, start: s.contents.tick(), end: undefined }; // an unwritten page reads as zeros all the same
    for (const cell of [2 * page, 2 * page + 1]) s.contents.file(area.ino).begin(cell, write);
    s.device.write(bytesOfPages(area.map[page]!), Buffer.concat([cellOf(value), cellOf(value)]));
    area.held.set(page, value);
    await s.scheduler.point(`swap on ino ${area.ino}`);
  }
  s.swaps.delete(area);
}

/** FIBMAP by somebody who has nothing to do with it (filefrag): what it is told does not matter, what it sets off does. */
async function fibmap(s: Simulation, pid: number): Promise<void> {
  const ino = await fileNamed(s);
  if (ino !== undefined) await s.system.request(opcodes.bmap, ino, { block: BigInt(s.random.below(2)), blocksize: pageSize }, { pid });
}

async function fsync(s: Simulation): Promise<void> {
  const ino = await fileNamed(s);
  if (ino !== undefined) await s.system.request(opcodes.fsync, ino);
}

/** Whoever kills the data plane, a few times. */
export async function restarter(s: Simulation): Promise<void> {
  for (let n = 1 + s.random.below(4); n > 0; n -= 1) {
    for (let patience = s.random.below(12); patience > 0; patience -= 1) await s.scheduler.point("before a restart");
    s.restarts += 1;
    await s.system.restartPlane();
  }
}

const always: readonly Step[] = [create, write, write];
const sometimes: readonly Step[] = [
  read, truncate, fallocate, clone, unlink, rename, hold, activate, pin, unpin, prepare, swapon, fibmap, fsync,
];

/** A few kinds of things that happen, and often: so each pair of kinds meets in some seeds, again and again. */
export function chooseSteps(random: Random): Step[] {
  const chosen = sometimes.filter(() => random.chance(0.5));
  return [...always, ...chosen, ...chosen];
}

/** One program: so many things, one after the other. */
export async function program(s: Simulation, pid: number, count: number, steps: readonly Step[]): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const step = s.random.pick(steps);
    await s.scheduler.point(`pid ${pid}: ${step.name}`);
    s.doing.set(pid, step.name);
    await step(s, pid);
    s.doing.delete(pid);
  }
}

/** Files that can be activated, written in part. */
export async function setUp(s: Simulation): Promise<void> {
  for (const name of names.slice(0, s.files)) {
    const made = await s.system.request(opcodes.create, 1, { mode: 0o100600, flags: O_RDWR }, { name });
    if (made.error !== undefined) throw new Violation(`cannot create: ${made.error}`);
    const ino = Number(made.entry.nodeid);
    const pages = 3 + s.random.below(6);
    await s.system.request(opcodes.fallocate, ino, { length: BigInt(bytesOfPages(pages)) });
    await s.system.request(opcodes.release, ino, { fh: made.open.fh });
    await writeCells(s, ino);
  }
}

/** Everything is closed and unpinned, as at the end of the mount. */
export async function tearDown(s: Simulation): Promise<void> {
  for (const ino of s.system.leased()) {
    const answer = await s.system.unpin(ino);
    if (s.system.lease(ino) !== "none") throw new Violation(`ino ${ino} stays ${s.system.lease(ino)} after unpin: ${answer}`);
  }
  await s.system.request(opcodes.fsync, 1);
}
