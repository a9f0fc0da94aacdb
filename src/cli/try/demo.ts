// swapfs demo: the main job, shown and verified in about half a minute, and every trace of it removed. The same memory workload
// on a swapfile of a swapfs volume, then on the raw loop device below.

import { mkdtempSync, rmSync, chmodSync, fsyncSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { exitCode } from "../../base/errors";
import { table } from "../../base/table";
import { formatByteLength, parseByteLength } from "../../base/units";
import { Cleanup } from "../../bench/cleanup";
import { addon } from "../../sys/addon";
import { withOpen } from "../../sys/kernelfiles";
import { attachImage } from "../../sys/loop";
import { runPressure, type PressureOptions, type PressureResult } from "../../sys/pressure";
import { readSwaps } from "../../sys/procswaps";
import { mustRun, runTool } from "../../sys/tools";
import { requireVolumeAt, volumeAt } from "../common/mounted";
import { untilInterrupted, failed } from "../common/outcome";
import { note, print, printJson, Progress } from "../common/output";
import { closeQuietly } from "../mount/keeper";
import { mountSource } from "../mount/mounting";
import { defaultMountFlags } from "../mount/mountoptions";
import { unmount } from "../mount/umount";
import { pageRequests } from "../status/session";
import { createSwapfile } from "../swap/create";
import { megabytesPerSecond, progressText } from "./pressure";

interface Options {
  readonly size: string;
  readonly resident: string;
  readonly seconds: string;
  readonly json?: boolean;
}

export function define(command: Command): void {
  command
    .description("Mount a volume in a temporary directory, swap on a file of it, fill and verify memory, clean up.")
    .option("--size <size>", "memory to fill", "256M")
    .option("--resident <size>", "what may stay resident", "64M")
    .option("--seconds <seconds>", "random touches for so long, on each of the two", "6")
    .option("--json", "print the figures as JSON")
    .addHelpText("after", `
Example:
  swapfs demo

Shows the same figures for the raw loop device below. TMPDIR says where it works. Ctrl-C cleans up as well.

Exit codes: 0 every page verified, 2 usage, 12 something could not be set up, 70 bad pages or internal.`)
    .action(async (options: Options) => {
      const runs = await untilInterrupted((signal) => demo(options, signal));
      const verified = runs.every((run) => run.badPages === 0 && run.pagesOut > 0);
      if (options.json) printJson({ verified, runs });
      else printRuns(runs, verified);
      process.exitCode = verified ? exitCode.done : exitCode.internal;
    });
}

async function demo(given: Options, signal: AbortSignal): Promise<DemoRun[]> {
  const progress = new Progress();
  const options: DemoOptions = {
    byteLength: parseByteLength(given.size, "--size"), residentBytes: parseByteLength(given.resident, "--resident"),
    seconds: Number(given.seconds) || 6, signal,
    onStep: (text) => progress.note(text),
    onProgress: (step) => progress.show(progressText(step)),
  };
  if (process.geteuid?.() !== 0) throw failed("cannot show anything: mount and swapon need root, run it as root");
  const cleanup = new Cleanup();
  const folder = mkdtempSync(join(tmpdir(), "swapfs-demo-"));
  cleanup.add(`remove ${folder}`, () => rmSync(folder, { recursive: true, force: true }));
  try {
    note(`fills and verifies ${formatByteLength(options.byteLength)} while ${formatByteLength(options.residentBytes)} stay resident`);
    const mark = cleanup.mark();
    const ours = await runOnSwapfs(folder, options, cleanup);
    await cleanup.undo(mark);
    return [ours, await runOnLoop(folder, options, cleanup)];
  } finally {
    progress.end();
    await cleanup.undo();
  }
}

function printRuns(runs: readonly DemoRun[], verified: boolean): void {
  const names = { swapfs: "file on swapfs", loop: "raw loop device" } as const;
  const row = (name: string, of: (run: DemoRun) => string): string[] => [name, ...runs.map((run) => of(run).padStart(16))];
  print();
  for (const line of table([
    row("", (run) => names[run.on]),
    row("pages out", (run) => String(run.pagesOut)),
    row("pages in", (run) => String(run.pagesIn)),
    row("fill, MB/s", (run) => megabytesPerSecond(run.bytes, run.fillSeconds)),
    row("read back, MB/s", (run) => megabytesPerSecond(run.bytes, run.verifySeconds)),
    row("random touch, us", (run) => run.usPerTouch.toFixed(1)),
    row("bad pages", (run) => String(run.badPages)),
    row("FUSE requests", (run) => (run.on === "swapfs" ? String(run.fuseRequests) : "-")),
  ])) print(line);
  print();
  print(verified
    ? "Verified: every page came back as it was written. Everything was cleaned up."
    : "NOT verified: pages came back different, or none was paged out. Do not swap on this machine; run swapfs doctor.");
}

interface DemoOptions extends PressureOptions {
  readonly residentBytes: number;
  readonly signal: AbortSignal;
  readonly onStep: (text: string) => void;
}

interface DemoRun extends PressureResult {
  readonly on: "swapfs" | "loop";
  /** READ, WRITE and BMAP that the daemon read while the workload ran */
  readonly fuseRequests: number;
}

/** Room for everything that is filled, should nothing at all stay resident. */
const swapShare = 1.25;

async function runOnSwapfs(folder: string, options: DemoOptions, cleanup: Cleanup): Promise<DemoRun> {
  const source = join(folder, "volume");
  const mountpoint = join(folder, "mnt");
  mkdirSync(source);
  mkdirSync(mountpoint);
  options.onStep(`swapfs mount ${source} ${mountpoint}`);
  cleanup.add(`umount ${mountpoint}`, async () => {
    const volume = volumeAt(mountpoint);
    if (volume) await unmount(volume, { swapoff: true });
  });
  await mountSource({
    source, mountpoint, size: volumeLength(options), format: false, force: false, foreground: false, engine: "native",
    flags: defaultMountFlags,
    // Whatever /tmp lies on: here only the demo's own memory is swapped, in a cgroup or by asking for it.
    allow: { cow: true, unmapped: true },
  });
  options.signal.throwIfAborted();
  const file = join(mountpoint, "swapfile");
  options.onStep(`swapfs create ${file} --size ${Math.round(swapLength(options) / 2 ** 20)}M --on`);
  await createSwapfile(file, swapLength(options));
  swapOn(file);
  const volume = requireVolumeAt(mountpoint, "show");
  const before = pageRequests(volume);
  const result = await runPressure(options);
  return { ...result, on: "swapfs", fuseRequests: pageRequests(volume) - before };
}

async function runOnLoop(folder: string, options: DemoOptions, cleanup: Cleanup): Promise<DemoRun> {
  const image = join(folder, "raw.img");
  options.onStep("the same on a raw loop device over a file beside it");
  cleanup.add(`remove ${image}`, () => rmSync(image, { force: true }));
  allocateFile(image, swapLength(options));
  const loop = attachImage(image);
  cleanup.add(`detach ${loop.device}`, () => closeQuietly(loop.fd));
  chmodSync(loop.device, 0o600);
  mustRun("mkswap", [loop.device], `write a swap header on ${loop.device}`);
  cleanup.add(`swapoff ${loop.device}`, () => {
    if (readSwaps().some((area) => area.path === loop.device)) runTool("swapoff", [loop.device]);
  });
  swapOn(loop.device);
  return { ...(await runPressure(options)), on: "loop", fuseRequests: 0 };
}

/** Above every other area, so that the workload's pages go here. */
function swapOn(path: string): void {
  const highest = Math.max(9, ...readSwaps().map((area) => area.priority));
  mustRun("swapon", ["-p", String(Math.min(highest + 1, 32767)), path], `swapon ${path}`, ", look at dmesg");
}

function allocateFile(path: string, byteLength: number): void {
  try {
    withOpen(path, "wx+", (fd) => {
      addon().fallocate(fd, 0, 0, byteLength);
      fsyncSync(fd);
    });
  } catch (error) {
    throw failed(`cannot allocate ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}, set TMPDIR to a folder with more room`);
  }
}

function swapLength({ byteLength }: DemoOptions): number {
  return Math.ceil((byteLength * swapShare) / 2 ** 20) * 2 ** 20;
}

function volumeLength(options: DemoOptions): number {
  return swapLength(options) + 64 * 2 ** 20;
}
