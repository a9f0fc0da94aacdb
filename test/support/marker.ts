// A marker that swap is filled with, and what of it a file or device shows. Nothing that is read is kept in memory.

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

// Perl's tr counts as fast as memory is read, and what is read becomes no garbage of jest's.
const script = `
  my ($file, $skip, $flags, $marker) = @ARGV;
  open(my $in, "-|", "dd", "if=$file", "bs=1M", "skip=$skip", "status=none", "iflag=$flags") or die "dd: $!";
  my ($bytes, $markers, $own, $foreign, $carry) = (0, 0, 0, 0, "");
  while (sysread($in, my $chunk, 1 << 20)) {
    $bytes += length($chunk);
    $own += ($chunk =~ tr/\\x{${ownByte}}//);
    $foreign += ($chunk =~ tr/\\0\\x{${ownByte}}//c);
    my $text = $carry . $chunk;
    $markers++ while $text =~ /\\Q$marker\\E/g;
    $carry = substr($text, -length($marker) + 1);
  }
  close($in) or die "dd of $file: status $?";
  print qq({"bytes":$bytes,"markers":$markers,"own":$own,"foreign":$foreign});
`;

/** Reads everything from page `fromPage` on. "direct": O_DIRECT, past the page cache. */
export async function scan(file: string, how: "buffered" | "direct", fromPage = 0): Promise<Seen> {
  const flags = how === "direct" ? "direct,skip_bytes" : "skip_bytes";
  return JSON.parse(await must("perl", ["-e", script, "--", file, String(fromPage * pageBytes), flags, marker])) as Seen;
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
