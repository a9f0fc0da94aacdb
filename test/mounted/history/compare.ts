// The volume beside its model: names, inodes, sizes, blocks, every byte, modes, what is free, and the counts in memory.

import { createHash } from "node:crypto";
import { promises as fs, constants } from "node:fs";

import type { Verdict } from "#src/activation/verdict";
import type { History } from "./history";
import { label, page, type ModelFile } from "./model";

const modeTexts = { pinned: /^pinned: /, swap_rw: /^swap_rw: / };

/** `direct`: past the page cache, which may know better than the device. Else half of the files are read so. */
export async function compare(h: History, what: string, direct = false): Promise<void> {
  const { model, place } = h;
  same(`${what}: names`, (await fs.readdir(place.mountpoint)).sort(), model.files.flatMap(({ names }) => names).sort());
  for (const file of model.files) await compareFile(h, `${what}: ${label(file)}`, file, direct);
  await h.untilSame(`${what}: free blocks`, h.free - model.used(), async () => (await fs.statfs(place.mountpoint)).bfree);
  await h.untilSame(`${what}: fsck while mounted`, orphansOf(h), () => findingsOf(h));
}

async function findingsOf(h: History): Promise<string[]> {
  const { findings } = (await h.ask({ command: "fsck" })) as { findings: { kind: string; message: string; ino?: number }[] };
  return findings.map(({ kind, message, ino }) => (kind === "orphan" ? `orphan ${ino}` : message)).sort();
}

/** Files without a name are there as long as they are held open or pinned. */
function orphansOf({ model }: History): string[] {
  return model.files.filter(({ names }) => names.length === 0).map(({ ino }) => `orphan ${ino}`).sort();
}

export async function compareFile(h: History, what: string, file: ModelFile, direct = false): Promise<void> {
  const name = h.reach(file);
  if (name === undefined) return;
  await compareNames(h, what, file);
  await compareModes(h, what, file, name);
  const flags = constants.O_RDONLY | (direct || h.random.chance(0.5) ? constants.O_DIRECT : 0);
  const handle = await fs.open(name, flags);
  try {
    const { size, blocks, nlink, ino } = await handle.stat();
    same(`${what} size, blocks, links`, [size, blocks, nlink], [file.data.length, file.blocks.size * (page / 512), file.names.length]);
    same(`${what} inode`, ino, file.ino);
    compareBytes(what, await contents(handle, what, size), file);
  } finally {
    await handle.close();
  }
  if (file.area === undefined) await compareHeld(h, what, file);
}

export async function readWhole(name: string): Promise<Buffer> {
  const handle = await fs.open(name, "r");
  try {
    return await contents(handle, name, (await handle.stat()).size);
  } finally {
    await handle.close();
  }
}

/** Whole pages are asked for: of an activated file nothing else is given. */
async function contents(handle: fs.FileHandle, what: string, size: number): Promise<Buffer> {
  const found = Buffer.alloc(Math.ceil(size / page) * page);
  for (let done = 0; done < size; ) {
    const { bytesRead } = await handle.read(found, done, found.length - done, done);
    if (bytesRead === 0) throw new Error(`${what} ends at ${done} of ${size}`);
    done += bytesRead;
  }
  return found.subarray(0, size);
}

async function compareNames(h: History, what: string, { names, ino }: ModelFile): Promise<void> {
  for (const name of names) same(`${what}: inode of ${name}`, (await fs.stat(h.at(name))).ino, ino);
}

async function compareModes({ place }: History, what: string, { mode, marked }: ModelFile, name: string): Promise<void> {
  const text = String(await place.calls.getXattr(name, "user.swapfs.mode"));
  const isRight = mode === undefined ? text === "ENODATA" : modeTexts[mode].test(text);
  if (!isRight) throw new Error(`${what} has the mode ${text}, and the model says ${mode ?? "none"}`);
  same(`${what}: user.swapfs.activate`, await place.calls.getXattr(name, "user.swapfs.activate"), marked ? "marked" : "ENODATA");
}

async function compareHeld({ place }: History, what: string, { held, data }: ModelFile): Promise<void> {
  const expected = createHash("sha1").update(data).digest("hex");
  for (const { fd } of held) same(`${what} through a descriptor from before`, await place.calls.digest(fd), expected);
}

function compareBytes(what: string, found: Buffer, { data, area = 0, blocks }: ModelFile): void {
  const wrong: number[] = [];
  for (let at = 0; at * page < data.length; at += 1) {
    if (at > 0 && at < area && blocks.get(at)!.written) continue; // the kernel's, while it swaps
    if (!pageAt(found, at).equals(pageAt(data, at))) wrong.push(at);
  }
  if (wrong.length === 0) return;
  const at = wrong[0]!;
  const [is, should] = [pageAt(found, at), pageAt(data, at)];
  const byte = is.findIndex((value, index) => value !== should[index]);
  throw new Error(`${what}: page ${at} holds ${shown(is, byte)} from its byte ${byte} on, and should hold ${shown(should, byte)}; `
    + `pages that differ: ${wrong.join(", ")}`);
}

function pageAt(bytes: Buffer, at: number): Buffer {
  return bytes.subarray(at * page, (at + 1) * page);
}

/** Contents are numbered words (systemcalls.ts), so they say which write they are of. */
function shown(bytes: Buffer, from: number): string {
  const rest = bytes.subarray(from);
  if (rest.every((byte) => byte === 0)) return "zeros";
  const word = bytes.subarray(from & ~7, (from & ~7) + 8);
  return word.length === 8 ? `word ${word.readUInt32LE(0)} of write ${word.readUInt32LE(4)} (${word.toString("hex")})` : word.toString("hex");
}

/** As swapfs check asks, with page 0 as the file shows it. */
export async function checkVerdict(h: History, file: ModelFile): Promise<void> {
  const handle = await fs.open(h.reach(file)!, "r");
  const { ino, size } = await handle.stat();
  const { buffer } = await handle.read(Buffer.alloc(page), 0, page, 0);
  await handle.close();
  const question = { command: "check", ino, ...(size >= page ? { header: buffer.toString("base64") } : {}) };
  const verdict = (await h.ask(question)) as Verdict;
  const reasons = h.gate.verdict(file);
  same(`check of ${label(file)}`, { accepted: verdict.accepted, reasons: verdict.reasons }, { accepted: reasons.length === 0, reasons });
}

export function same(what: string, got: unknown, expected: unknown): void {
  if (JSON.stringify(got) !== JSON.stringify(expected)) {
    throw new Error(`${what}: ${JSON.stringify(got)}, and the model says ${JSON.stringify(expected)}`);
  }
}
