// A volume on which `swapfs auto` runs, what it tells, and what of its files is on.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { promises as fs, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";

import { volumeAt } from "#src/cli/common/mounted";
import { swapOffView, viewsShown, type ViewOfFile } from "#src/cli/swap/blockview";
import { listFolder, statIfAny } from "#src/sys/kernelfiles";
import { readSwaps } from "#src/sys/procswaps";
import { mountSwapfs } from "./mounted";
import { withCleanup, type Cleanup } from "./mounted-cleanup";
import { processesNaming, scratchDir, zramDevice } from "./mounted-devices";
import { swapfsCommand, until } from "./mounted-run";

const MiB = 2 ** 20;

export interface Place {
  readonly mnt: string;
  readonly folder: string;
  readonly cleanup: Cleanup;
  /** What /proc/meminfo is to say of swap. */
  memory(totalBytes: number, freeBytes: number): void;
  start(...args: string[]): Promise<Auto>;
}

/** A running `swapfs auto`, with the events that it has told. */
export class Auto {
  readonly events: { event: string; file?: string; bytes?: number; areas?: string[] }[] = [];
  readonly ended: Promise<unknown[]>;
  readonly child: ChildProcess;
  stderr = "";

  constructor(child: ChildProcess) {
    this.child = child;
    this.ended = once(child, "exit");
    createInterface(child.stdout!).on("line", (line) => this.events.push(JSON.parse(line)));
    child.stderr!.on("data", (chunk: Buffer) => (this.stderr += chunk.toString()));
  }

  async told(event: string, count = 1): Promise<void> {
    await until(`${event} was told ${count} times`, () => this.events.filter((one) => one.event === event).length >= count).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(this.events)} ${this.stderr}`);
    });
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<unknown[]> {
    this.child.kill(signal);
    return this.ended;
  }
}

export function withVolume(work: (place: Place) => Promise<void>, bytes = 512 * MiB): Promise<void> {
  return withCleanup(async (cleanup) => {
    const dir = await scratchDir(cleanup);
    const mnt = path.join(dir, "mnt");
    const folder = path.join(mnt, ".swapfs-auto");
    const meminfo = path.join(dir, "meminfo");
    const memory = (total: number, free: number): void =>
      writeFileSync(meminfo, [["MemAvailable", 8 * 2 ** 30], ["SwapTotal", total], ["SwapFree", free]].map(([name, value]) => `${name}: ${String(Math.floor(Number(value) / 1024)).padStart(12)} kB\n`).join(""), { flag: "r+" });
    await fs.writeFile(meminfo, "");
    memory(0, 0);
    await mountSwapfs(cleanup, await zramDevice(cleanup, bytes), mnt, { args: ["--format"] });
    cleanup.add("swap by view", async () => {
      for (const view of views(folder)) await swapOffView(view);
    });
    cleanup.add("the native process", async () => {
      for (const line of await processesNaming(folder)) process.kill(Number(line.split(" ")[0]), "SIGTERM");
      await until("it has ended", async () => (await processesNaming(folder)).length === 0);
    });
    const start = async (...args: string[]): Promise<Auto> => {
      const [program, ...words] = swapfsCommand(["auto", mnt, "--json", "--meminfo", meminfo, ...args]);
      const auto = new Auto(spawn(program, words, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env } }));
      cleanup.add("swapfs auto", () => auto.stop("SIGTERM"));
      await auto.told("watching");
      return auto;
    };
    await work({ mnt, folder, cleanup, memory, start });
  });
}

/** Of the files in the folder, on or not. */
export function views(folder: string): (ViewOfFile & { name: string | undefined })[] {
  const names = new Map(listFolder(folder).map((name) => [statIfAny(path.join(folder, name))?.ino, name])); // one that is being made may just go
  return viewsShown(volumeAt(path.dirname(folder))!).map((view) => ({ ...view, name: names.get(view.ino) }));
}

/** By view, and as files. */
export function areasOf(folder: string): { name: string; byteLength: number; usedBytes: number; priority: number; way: "block" | "bmap" }[] {
  const viewed = views(folder).flatMap(({ name, area }) => (name === undefined || area === undefined ? [] : [{ ...area, name, way: "block" as const }]));
  const files = readSwaps().filter(({ path: area }) => area.startsWith(`${folder}/`)).map((area) => ({ ...area, name: path.basename(area.path), way: "bmap" as const }));
  return [...viewed, ...files].sort((a, b) => a.priority - b.priority);
}

export function on(folder: string): { name: string; mib: number; priority: number; way: "block" | "bmap" }[] {
  return areasOf(folder).map(({ name, byteLength, priority, way }) => ({ name, mib: (byteLength + 4096) / MiB, priority, way }));
}

export async function native(folder: string): Promise<number> {
  const [line] = await processesNaming(`autoswap`).then((lines) => lines.filter((one) => one.endsWith(folder)));
  return Number(line?.split(" ")[0]);
}
