// What `swapfs auto` does until Ctrl-C: keeps a file ready, hears what the native process has swapped on, swaps off what is not needed.

import { closeSync, existsSync, mkdirSync, rmSync, statSync, statfsSync } from "node:fs";
import { basename, join } from "node:path";
import { formatByteLength, pageSize } from "../../base/units";
import { listFolder } from "../../sys/kernelfiles";
import { attachedTo } from "../../sys/loopviews";
import { readSwaps, type SwapArea } from "../../sys/procswaps";
import { messageOf } from "../../base/errors";
import type { MountedVolume } from "../common/mounted";
import { failed, Interrupted } from "../common/outcome";
import { print, warn } from "../common/output";
import { shellWord } from "../common/paths";
import { progressStyle } from "../common/progressbar";
import { lockSource } from "../common/flock";
import { askPin, askUnpin, refusalLines } from "../file/pinning";
import { createOnVolume } from "../swap/create";
import { holdView, stillHeld, swapOffView, untilViewEnded, viewsOf } from "../swap/blockview";
import { swapOff } from "../swap/swapareas";
import { decide, nextBytes, nextPriority, ways, type Area, type AutoOptions, type Sample, type Settings } from "./policy";
import { endOrphan, startWatcher, type Watcher } from "./watcher";

/** Below the mountpoint. */
const folderName = ".swapfs-auto";
const longestIntervalMs = 10_000;
const retryMs = 10_000;
const restartMs = 1000;
/** Of the native process, below the run folder. */
const lockName = "autoswap.lock";
/** What the policy looks back at, in samples of a quarter of a second while memory is short. */
const seriesMax = 2000;

/** Of a file in our folder. */
interface View {
  readonly device: string;
  /** as `attachedTo` says: the same device may be attached to something else one day */
  readonly attached: string | undefined;
  /** holds the device until its swap area does */
  held?: number | undefined;
}

export class AutoSwap {
  readonly #volume: MountedVolume;
  readonly #options: AutoOptions;
  readonly #signal: AbortSignal;
  readonly #folder: string;
  readonly #since = new Map<string, number>();
  #series: Sample[] = [];
  /** `told`: the native process has it open */
  #ready: { file: string; byteLength: number; way: string; told: boolean } | undefined;
  #watcher: Watcher | undefined;
  readonly #views = new Map<string, View>();
  readonly #usPerPage = { block: ways.block.usPerPage, bmap: ways.bmap.usPerPage };
  #busy: Promise<void> | undefined;
  #removing: AbortController | undefined;
  /** the area that is being swapped off */
  #going: string | undefined;
  #withdrawn: (() => void) | undefined;
  /** of the last one that was made */
  #way: keyof typeof ways;
  #notBeforeMs = 0;
  #said = "";

  constructor(volume: MountedVolume, options: AutoOptions, signal: AbortSignal) {
    this.#volume = volume;
    this.#options = options;
    this.#signal = signal;
    this.#folder = join(volume.mountpoint, folderName);
    this.#way = options.bmap ? "bmap" : "block";
  }

  /** Ends at Ctrl-C alone, with an Interrupted that says what stays. */
  async run(): Promise<never> {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    // flock(2) on the folder ends with this process, however that ends. The native one does not have it.
    if ((await lockSource(this.#folder, 0, "r")) === undefined) {
      throw failed(`cannot run swapfs auto on ${this.#volume.mountpoint}: another swapfs auto does already, end that first`);
    }
    if (await endOrphan(this.#lock)) this.#tell({ event: "taken over" }, "the process that a swapfs auto has left when it died was ended, going on in its place");
    await this.#findViews();
    await this.#tidy();
    const areas = this.#areas();
    this.#tell({ event: "watching", areas: areas.map(({ path }) => path), maxBytes: this.#options.maxBytes },
      `watching memory for ${this.#volume.mountpoint}, up to ${formatByteLength(this.#options.maxBytes)} of swap${areas.length > 0 ? `; on already: ${areas.map(({ path }) => path).join(", ")}` : ""}`);
    while (!this.#signal.aborted) await this.#watch();
    this.#withdrawn?.(); // nobody is there to answer
    await this.#busy;
    if (this.#ready) this.#letGo(this.#ready.file);
    this.#ready = undefined;
    await this.#tidy();
    const left = this.#areas().map(({ path }) => path);
    throw new Interrupted(left.length === 0 ? "interrupted, no swap of it is on"
      : `interrupted, swap stays as it is: ${left.join(", ")} (${formatByteLength(this.#onBytes())}); swapfs umount --swapoff ${shellWord(this.#volume.mountpoint)} ends it`);
  }

  /** One life of the native process. */
  async #watch(): Promise<void> {
    const { calmMs } = this.#options;
    const watcher = startWatcher(this.#folder, { ...this.#options, lock: this.#lock, intervalMs: Math.min(longestIntervalMs, Math.ceil(calmMs / 4)) }, (word, numbers) => this.#hear(word, numbers));
    this.#watcher = watcher;
    const stop = (): void => watcher.stop();
    this.#signal.addEventListener("abort", stop);
    this.#tellReady();
    if (this.#withdrawn) watcher.tell("withdraw"); // the one before died over it
    const how = await watcher.ended.finally(() => this.#signal.removeEventListener("abort", stop));
    this.#lookAtReady();
    this.#withdrawn?.();
    if (this.#signal.aborted) return;
    this.#tell({ event: "restarted", how }, `the watching process has ended (${how}), another one is started`);
    await new Promise((resolve) => setTimeout(resolve, restartMs));
  }

  #hear(word: string, numbers: readonly number[]): void {
    if (word === "look") this.#look(numbers);
    else if (word === "on") this.#added(numbers);
    else if (word === "withdrawn") this.#withdrawn?.();
    else if (word === "psi" && numbers[0]! < 0) {
      const why = this.#options.pressure === undefined ? "the kernel does not tell of pressure here (psi=1 on its command line)" : `nothing is told of pressure (${this.#options.pressure})`;
      this.#tell({ event: "no pressure information" }, `${why}: free swap is looked at five times a second instead`);
    } else if (word === "opened" && numbers[0] !== 0) this.#drop(`cannot open it (errno ${numbers[0]})`);
    else if (word === "opened" && this.#ready?.told === false) {
      this.#ready.told = true;
      const { file, byteLength, way } = this.#ready;
      const device = this.#views.get(file)?.device ?? null;
      this.#tell({ event: "ready", file, bytes: byteLength, device }, `${file} lies ready, ${way}: ${formatByteLength(byteLength)}`);
    }
  }

  #look([availableBytes, swapTotalBytes, swapFreeBytes, pressed]: readonly number[]): void {
    this.#series.push({ atMs: performance.now(), availableBytes: availableBytes!, swapTotalBytes: swapTotalBytes!, swapFreeBytes: swapFreeBytes!, pressed: pressed === 1 });
    this.#series.splice(0, this.#series.length - seriesMax);
    const areas = this.#areas();
    this.#lookAtReady(areas);
    const { addBelowBytes, remove } = this.#decide(areas);
    this.#watcher?.tell(`below ${addBelowBytes}`);
    if (this.#removing && swapFreeBytes! < addBelowBytes) this.#removing.abort();
    if (this.#busy || this.#signal.aborted || performance.now() < this.#notBeforeMs) return;
    // First another one that lies ready, and then one less.
    const unready = this.#ready === undefined;
    const work = remove && !(unready && this.#nextBytes() > 0) ? this.#remove(remove) : unready ? this.#prepare() : undefined;
    this.#busy = work?.catch((error: unknown) => {
      this.#notBeforeMs = performance.now() + retryMs;
      if (!this.#signal.aborted) this.#warnOnce(messageOf(error));
    }).finally(() => (this.#busy = undefined));
  }

  /** It may be on without a word: swapped on by somebody else, or by a process that died, or we were not there to hear it for long. */
  #lookAtReady(areas = this.#areas()): void {
    const { file } = this.#ready ?? {};
    if (file !== undefined && areas.some(({ path }) => path === file)) this.#added([0, 0, Number(basename(file))]);
  }

  #decide(areas = this.#areas()): ReturnType<typeof decide> {
    const staying = areas.filter(({ path }) => path !== this.#going); // /proc/swaps still shows it
    return decide({ series: this.#series, areas: staying, readyBytes: this.#ready?.byteLength, swaponUsPerPage: this.#usPerPage[this.#way] }, this.#settings);
  }

  /** Allocated, with a header, past the gate, and its block view there, or pinned: only swapon(2) is left to do. */
  async #prepare(): Promise<void> {
    await this.#tidy();
    const byteLength = this.#nextBytes();
    if (byteLength === 0) {
      this.#notBeforeMs = performance.now() + Math.min(retryMs, this.#options.calmMs);
      return this.#warnOnce(`no further area: ${formatByteLength(this.#onBytes())} are on, of at most ${formatByteLength(this.#options.maxBytes)}, and ${formatByteLength(this.#freeBytes().free)} free on the volume`);
    }
    const file = join(this.#folder, String(Math.max(0, ...listFolder(this.#folder).map(Number).filter(Number.isInteger)) + 1));
    const noView = this.#options.bmap ? "--bmap" : await this.#makeWithView(file, byteLength);
    this.#way = noView === undefined ? "block" : "bmap";
    if (noView !== undefined) await this.#makePinned(file, byteLength);
    this.#signal.throwIfAborted();
    this.#ready = { file, byteLength, way: noView === undefined ? `by its block view ${this.#views.get(file)!.device}` : `as a file (${noView})`, told: false };
    this.#said = "";
    this.#tellReady();
  }

  #freeBytes(): { free: number; usable: number } {
    const { bavail, blocks, bsize } = statfsSync(this.#volume.mountpoint);
    return { free: bavail * bsize, usable: (bavail - blocks * this.#options.keepFreeShare) * bsize };
  }

  #nextBytes(): number {
    return nextBytes(this.#areas(), this.#settings, this.#freeBytes().usable);
  }

  /** Returns why there is no view. */
  async #makeWithView(file: string, byteLength: number): Promise<string | undefined> {
    try {
      await createOnVolume(this.#volume, file, { byteLength, contiguous: true }, this.#signal, progressStyle(this.#options.json));
      const { device, fd } = await holdView(file, this.#target(file));
      this.#views.set(file, { device, attached: attachedTo(device), held: fd });
      return undefined;
    } catch (error) {
      if (this.#signal.aborted) throw error;
      return messageOf(error);
    }
  }

  async #makePinned(file: string, byteLength: number): Promise<void> {
    if (!existsSync(file)) await createOnVolume(this.#volume, file, { byteLength }, this.#signal, progressStyle(this.#options.json));
    const { verdict } = await askPin(this.#target(file), "pin", { signal: this.#signal });
    if (!verdict.accepted) throw failed(`${file} cannot be swapped on:\n${refusalLines(file, verdict).join("\n")}`);
  }

  #tellReady(): void {
    const areas = this.#areas();
    const { file } = this.#ready ?? {};
    if (file !== undefined) this.#watcher?.tell(["ready", basename(file), nextPriority(areas, this.#options), ...(this.#views.has(file) ? [this.#views.get(file)!.device] : [])].join(" "));
    this.#watcher?.tell(`below ${this.#decide(areas).addBelowBytes}`);
  }

  /** It is on, then `#areas` has it, or will not be: with it and a shorter one there could be more than `maxBytes`. */
  async #withdraw(): Promise<void> {
    const answered = new Promise<void>((resolve) => (this.#withdrawn = resolve));
    this.#watcher?.tell("withdraw");
    await answered;
    this.#withdrawn = undefined;
    this.#lookAtReady();
    if (this.#ready) this.#letGo(this.#ready.file);
    this.#ready = undefined;
  }

  /** From here on its swap area alone has it, or nobody. */
  #letGo(file: string): void {
    const view = this.#views.get(file);
    if (view?.held === undefined) return;
    closeSync(view.held);
    view.held = undefined;
  }

  #added([error, us, name]: readonly number[]): void {
    if (this.#ready === undefined || basename(this.#ready.file) !== String(name)) return; // another took its place just then
    if (error !== 0) return this.#drop(`swapon fails with errno ${error}, look at dmesg`);
    const { file, byteLength } = this.#ready;
    this.#ready = undefined;
    this.#letGo(file);
    if (us! > 0) this.#usPerPage[this.#way] = us! / (byteLength / pageSize);
    this.#tell({ event: "on", file, bytes: byteLength, ms: us! / 1000 }, `${file} is swapped on, in ${(us! / 1000).toFixed(0)} ms: ${formatByteLength(this.#onBytes())} in all`);
  }

  /** What was to be ready cannot be: another one after a while. */
  #drop(why: string): void {
    this.#warnOnce(`${this.#ready?.file}: ${why}`);
    if (this.#ready) this.#letGo(this.#ready.file);
    this.#ready = undefined;
    this.#notBeforeMs = performance.now() + retryMs;
  }

  /** Ends when memory gets short meanwhile: the kernel then keeps the area. */
  async #remove(area: Area): Promise<void> {
    const removing = new AbortController();
    const stop = (): void => removing.abort();
    this.#signal.addEventListener("abort", stop);
    this.#removing = removing;
    this.#going = area.path;
    try {
      const view = this.#views.get(area.path);
      if (view === undefined) await swapOff({ path: area.path, deleted: false }, removing.signal);
      else if (!(await swapOffView(view, this.#target(area.path), removing.signal))) throw failed(stillHeld(view.device));
      await this.#delete(area.path);
      this.#tell({ event: "off", file: area.path, bytes: area.byteLength }, `${area.path} is swapped off and removed: ${formatByteLength(this.#onBytes())} left on`);
      if (!this.#signal.aborted && this.#ready && this.#ready.byteLength > nextBytes(this.#areas(), this.#settings, Infinity)) {
        await this.#withdraw();
        await this.#prepare();
      }
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
      this.#since.set(area.path, performance.now());
      this.#tell({ event: "kept", file: area.path }, `${area.path} stays on: ${this.#signal.aborted ? "interrupted" : "memory got short"} while it was swapped off`);
    } finally {
      this.#signal.removeEventListener("abort", stop);
      this.#removing = undefined;
      this.#going = undefined;
    }
  }

  /** Of areas that were on before us. */
  async #findViews(): Promise<void> {
    const files = new Map(listFolder(this.#folder).map((name) => [this.#target(join(this.#folder, name)).ino, join(this.#folder, name)]));
    for (const { device, ino, area } of await viewsOf(this.#volume)) {
      const file = files.get(ino);
      if (file !== undefined && area) this.#views.set(file, { device, attached: attachedTo(device) });
    }
  }

  /** Files that are neither on nor ready: of one who died, or left when we end. One that cannot go yet does not keep the others. */
  async #tidy(): Promise<void> {
    const on = this.#areas().map(({ path }) => path);
    for (const name of listFolder(this.#folder)) {
      const file = join(this.#folder, name);
      if (!on.includes(file) && file !== this.#ready?.file) await this.#delete(file).catch((error: unknown) => this.#warnOnce(`cannot remove ${file}: ${messageOf(error)}`));
    }
  }

  async #delete(file: string): Promise<void> {
    this.#letGo(file);
    await untilViewEnded(this.#target(file));
    this.#views.delete(file);
    await askUnpin(this.#target(file), "unpin");
    rmSync(file);
    this.#since.delete(file);
  }

  get #settings(): Settings {
    return { ...this.#options, growth: ways[this.#way].growth };
  }

  get #lock(): string {
    return join(this.#volume.runDir, lockName);
  }

  #target(file: string): { volume: MountedVolume; ino: number } {
    return { volume: this.#volume, ino: statSync(file).ino };
  }

  /** The oldest first: /proc/swaps has them in the order of the kernel's slots. */
  #areas(): Area[] {
    const nowMs = performance.now();
    return readSwaps().flatMap((area) => {
      const path = this.#fileOf(area);
      if (path === undefined) return [];
      if (!this.#since.has(path)) this.#since.set(path, nowMs);
      const { byteLength, usedBytes, priority } = area;
      return [{ path, byteLength: byteLength + pageSize, usedBytes, priority, sinceMs: this.#since.get(path)! }];
    }).sort((one, other) => Number(basename(one.path)) - Number(basename(other.path)));
  }

  /** undefined: the area is not ours. */
  #fileOf({ type, path, deleted }: SwapArea): string | undefined {
    if (type === "file") return !deleted && path.startsWith(`${this.#folder}/`) ? path : undefined;
    const [file] = [...this.#views].find(([, { device, attached }]) => basename(device) === basename(path) && attachedTo(device) === attached) ?? [];
    return file;
  }

  #onBytes(): number {
    return this.#areas().reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  #tell(event: object, text: string): void {
    print(this.#options.json ? JSON.stringify(event) : text);
  }

  #warnOnce(text: string): void {
    if (text !== this.#said) warn(text);
    this.#said = text;
  }
}
