// A marker that swap is filled with, and what of it a file or device shows. Nothing that is read is kept in memory.

import { spawn } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { runPressure } from "#src/sys/pressure";
import { must } from "./mounted-run";

export const marker = "swapfs\x7fleak\x7ftest";
const markersInPage = 16;
const pageBytes = 4096;
/** What writePart writes, so that everything else but zeros is foreign. */
export const ownByte = 1;

export interface Seen {
  readonly bytes: number;
  readonly markers: number;
  readonly own: number;
  /** Bytes that are neither zero nor our own. */
  readonly foreign: number;
}

/** Reads everything from page `fromPage` on. "direct": O_DIRECT, past the page cache. */
export async function scan(file: string, how: "buffered" | "direct", fromPage = 0): Promise<Seen> {
  const flags = how === "direct" ? ["iflag=direct,skip_bytes"] : ["iflag=skip_bytes"];
  const child = spawn("dd", [`if=${file}`, "bs=1M", `skip=${fromPage * pageBytes}`, "status=none", ...flags]);
  const seen = { bytes: 0, markers: 0, own: 0, foreign: 0 };
  let carry = Buffer.alloc(0);
  child.stdout.on("data", (chunk: Buffer) => {
    const text = Buffer.concat([carry, chunk]);
    seen.bytes += chunk.length;
    for (let at = text.indexOf(marker); at >= 0; at = text.indexOf(marker, at + 1)) seen.markers += 1;
    for (let at = 0; at < chunk.length; at += pageBytes) countBytes(chunk.subarray(at, at + pageBytes), seen);
    carry = text.subarray(Math.max(0, text.length - marker.length + 1));
  });
  const status = await new Promise((resolve) => child.once("close", resolve));
  if (status !== 0) throw new Error(`dd of ${file}: status ${String(status)}`);
  return seen;
}

const zeros = Buffer.alloc(pageBytes);

/** Most of it is zeros, and memcmp(3) is faster. */
function countBytes(part: Buffer, seen: { own: number; foreign: number }): void {
  if (part.equals(zeros.subarray(0, part.length))) return;
  for (const byte of part) {
    if (byte === ownByte) seen.own += 1;
    else if (byte !== 0) seen.foreign += 1;
  }
}

/** Pages' worth of markers on a device or in an image, past every cache. */
export async function markedPages(device: string): Promise<number> {
  return (await scan(device, "direct")).markers / markersInPage;
}

/** All regular files below `dir`, read both ways: "name: what" for each that shows what it should not. */
export async function shown(dir: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await fs.readdir(dir)) {
    const file = path.join(dir, name);
    const { size } = await fs.stat(file);
    const header = (await isSwapfile(file)) ? 1 : 0;
    for (const how of ["buffered", "direct"] as const) {
      const seen = await scan(file, how, header);
      if (seen.bytes !== Math.max(0, size - header * pageBytes)) found.push(`${name}: ${seen.bytes} bytes of ${size} read, ${how}`);
      if (seen.markers + seen.foreign > 0) found.push(`${name}: ${seen.markers} markers, ${seen.foreign} foreign bytes, ${how}`);
    }
  }
  return found;
}

async function isSwapfile(file: string): Promise<boolean> {
  const handle = await fs.open(file);
  try {
    // A whole page, as an activated file wants it.
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(pageBytes), 0, pageBytes, 0);
    return bytesRead === pageBytes && buffer.toString("latin1", pageBytes - 10) === "SWAPSPACE2";
  } finally {
    await handle.close();
  }
}

/**
 * Makes `file` of `bytes` bytes, preallocated, and lets the kernel swap marked memory to it; returns how many pages `device`
 * then holds of it. At the highest priority, so that the pages go there and nowhere else.
 */
export async function plant(file: string, bytes: number, device: string, enough: number): Promise<number> {
  await must("fallocate", ["-l", String(bytes), file]);
  await fs.chmod(file, 0o600);
  await must("mkswap", ["-q", file]);
  let marked = 0;
  for (let attempt = 0; attempt < 4 && marked < enough; attempt += 1) {
    await must("swapon", ["-p", "32767", file]);
    try {
      await fillSwap(bytes - (1 << 20));
    } finally {
      await must("swapoff", [file]);
    }
    marked = await markedPages(device);
  }
  if (marked < enough) throw new Error(`only ${marked} pages of ${device} hold the marker after swapping to ${file}`);
  return marked;
}

/** The OOM killer's end is passed over, as in `pressure`: the marker is there or not. */
async function fillSwap(byteLength: number): Promise<void> {
  try {
    const { badPages } = await runPressure({ byteLength, residentBytes: 4 << 20, marker });
    if (badPages > 0) throw new Error(`${badPages} pages came back different`);
  } catch (error) {
    if (!/SIGKILL ended it/.test((error as Error).message)) throw error;
  }
}
