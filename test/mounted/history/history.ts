// One history on one mount: the files and their model, the mount's life, and what every step needs of both.

import { promises as fs } from "node:fs";
import path from "node:path";

import { verdictText } from "#src/activation/texts";
import type { Reason } from "#src/activation/verdict";
import { ask, HungUp } from "#src/cli/common/control";
import { openReadOnly } from "#src/engine/sourcedevice";
import { checkDevice } from "#src/volume/fsck";
import { ended, mountSwapfs, pidOf, tryMount, umount, type Role } from "../../support/mounted";
import type { Cleanup } from "../../support/mounted-cleanup";
import { must, run, sleep, until } from "../../support/mounted-run";
import { rememberRunDir } from "../../support/rundirs";
import type { Slowness } from "../../support/slowness";
import { stamped, type Answer, type SystemCalls } from "../../support/systemcalls";
import { Random } from "../../volume/random";
import { checkVerdict, compare, readWhole, same } from "./compare";
import { label, ModelVolume, page, type ModelFile } from "./model";
import { magic, ModelGate, wipedSignatures } from "./modelgate";
import type { Tally } from "./tally";

export interface Place {
  readonly cleanup: Cleanup;
  readonly calls: SystemCalls;
  /** other processes, for calls at the same time */
  readonly others: readonly SystemCalls[];
  readonly source: string;
  readonly mountpoint: string;
  readonly args: readonly string[];
  /** Blocks that are free while there is no file: the same for every history. */
  readonly empty: { free?: number };
  /** The device is slow when told so. */
  readonly slow?: Slowness;
}

/** Of a volume's log: what no history may bring about, whatever it kills. */
const disgrace = /invariant broken|ended with status [1-9]|died of signal (?!9,)|cannot keep|cannot free/;

export class History {
  readonly place: Place;
  readonly random: Random;
  readonly tally: Tally;
  model: ModelVolume;
  readonly gate: ModelGate;
  /** what happened, for a failure's message and for counting */
  readonly log: string[];
  /** blocks that are free while there is no file */
  free = 0;
  #runDir = "";
  readonly #stamps: { last: number };

  /** `of`: the one that this one is a part of. */
  constructor(place: Place, seed: number, tally: Tally, of?: History) {
    this.place = place;
    this.tally = tally;
    this.random = new Random(seed);
    this.gate = new ModelGate(place.calls.pid);
    this.model = of?.model ?? new ModelVolume();
    this.log = of?.log ?? [];
    this.free = of?.free ?? 0;
    this.#runDir = of ? of.#runDir : "";
    this.#stamps = of ? of.#stamps : { last: 0 };
  }

  /** The same files and the same model, for calls of another process while this one's go on. */
  beside(calls: SystemCalls): History {
    return new History({ ...this.place, calls }, this.random.below(2 ** 31), this.tally, this);
  }

  at(name: string): string {
    return path.join(this.place.mountpoint, name);
  }

  async inoOf(name: string): Promise<number> {
    return (await fs.stat(this.at(name))).ino;
  }

  /** One of its names, or a descriptor that somebody has; undefined for one that is only pinned. */
  reach({ names, held }: ModelFile): string | undefined {
    if (names.length > 0) return this.at(this.random.pick(names));
    return held.length > 0 ? `/proc/${this.place.calls.pid}/fd/${held[0]!.fd}` : undefined;
  }

  /** Mounts, and removes what the history before left. */
  async begin(): Promise<void> {
    await this.#mount();
    for (const name of await fs.readdir(this.place.mountpoint)) await fs.unlink(this.at(name));
    const { empty } = this.place;
    this.free = empty.free ??= (await fs.statfs(this.place.mountpoint)).bfree;
    await this.untilSame("blocks that are free without any file", this.free, async () => (await fs.statfs(this.place.mountpoint)).bfree);
  }

  async #mount(...args: string[]): Promise<void> {
    const { cleanup, source, mountpoint } = this.place;
    await mountSwapfs(cleanup, source, mountpoint, { args: [...this.place.args, ...args] });
    await this.#mounted();
  }

  async #mounted(): Promise<void> {
    const { dev } = await fs.stat(this.place.mountpoint);
    this.#runDir = `/run/swapfs/${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  }

  /** Swap is off then, and no file held open. */
  async #quiet(): Promise<void> {
    for (const file of [...this.model.files]) {
      if (file.area !== undefined) await this.swapoff(file);
      await this.#closeAll(file);
    }
    await this.#checkLog();
  }

  /** With `activate` marked files are activated again, where the gate lets them. */
  async remount(activate: boolean): Promise<void> {
    await this.#quiet();
    await umount(this.place.mountpoint);
    this.model.unmounted();
    await this.#mount(...(activate ? ["--activate"] : []));
    if (activate) for (const file of this.model.files) if (file.marked) this.gate.activate(file);
  }

  /** All processes at once, after a sync: what the journal holds is all that is left. */
  async killAll(): Promise<void> {
    const { cleanup, source, mountpoint, args } = this.place;
    await this.#quiet();
    await must("sync", ["-f", mountpoint]);
    const runDir = rememberRunDir(cleanup, this.#runDir);
    const pids = [];
    for (const role of ["keeper", "data plane", "control plane"] as const) pids.push(await pidOf(mountpoint, role));
    for (const pid of pids) if (pid !== undefined) kill(pid);
    await must("umount", ["--lazy", mountpoint]);
    await ended(mountpoint);
    await runDir.remove(); // the next mount may get another loop device
    this.model.unmounted();
    // The device is in use until the kernel has taken the dead mount apart.
    let said = "";
    await until("it can be mounted again", async () => {
      const done = await tryMount(cleanup, source, mountpoint, { args });
      said = done.stderr;
      return done.status === 0;
    }).catch((error: Error) => Promise.reject(new Error(`${error.message}\n${said}`)));
    await this.#mounted();
  }

  /** Found now, so that the SIGKILL comes at once; the keeper starts another, and nobody waits for that here. */
  async killer(role: Exclude<Role, "keeper">): Promise<() => void> {
    const pid = await pidOf(this.place.mountpoint, role);
    return () => {
      if (pid !== undefined) kill(pid); // undefined: it is being started
    };
  }

  /** Something was paged out to a file of ours. */
  async isSwappedTo(): Promise<boolean> {
    const lines = (await fs.readFile("/proc/swaps", "utf8")).split("\n").filter((line) => line.startsWith(`${this.place.mountpoint}/`));
    return lines.some((line) => Number(line.split(/\s+/)[3]) > 0);
  }

  expect(what: string, got: Answer, expected: Answer): void {
    if (got !== expected) throw new Error(`${what}: ${got}, and the model says ${expected}`);
  }

  /** What becomes true when a request that still goes on is over. */
  async untilSame<T>(what: string, wanted: T, look: () => Promise<T>): Promise<void> {
    let last: T | undefined;
    const holds = async (): Promise<boolean> => JSON.stringify((last = await look())) === JSON.stringify(wanted);
    await until(what, holds).catch(() => same(what, last, wanted));
  }

  /** user.swapfs.refused after a swapon that the gate refused. */
  async refusedText(file: ModelFile): Promise<string> {
    const text = await this.place.calls.getXattr(this.reach(file)!, "user.swapfs.refused");
    return text === "ENODATA" ? "none" : String(text);
  }

  refusalText(reasons: readonly Reason[]): string {
    return verdictText({ accepted: false, ino: 0, pages: 0, extents: 0, reasons });
  }

  /**
   * What swap has written into the area is nobody's business, but it stays there, and page 0 is as it was. The pin of a swapon
   * ends with the last handle of the file, whoever has it, and so does what the page cache holds from before.
   */
  async swapoff(file: ModelFile): Promise<void> {
    this.expect(`swapoff ${label(file)}`, await this.place.calls.swapoff(this.reach(file)!), 0);
    const area = file.area!;
    file.area = undefined;
    await this.#closeAll(file);
    await this.#released();
    const found = await readWhole(this.reach(file)!);
    for (let at = 1; at < area; at += 1) if (file.blocks.get(at)!.written) found.copy(file.data, at * page, at * page, (at + 1) * page);
  }

  async #closeAll(file: ModelFile): Promise<void> {
    for (const held of [...file.held]) {
      this.expect("close", await this.place.calls.close(held.fd), 0);
      this.model.close(file, held);
    }
  }

  /** After a failure: the next history finds the mount and the device free. */
  async abandon(): Promise<void> {
    for (const { held } of this.model.files) for (const { fd } of held) await this.place.calls.close(fd);
  }

  /**
   * close(2) and swapoff(2) do not wait for FUSE_RELEASE (fuse_release_common, fs/fuse/file.c): the volume may not know of it yet,
   * the less so when the data plane was killed. statfs comes behind it.
   */
  async #released(): Promise<void> {
    await fs.statfs(this.place.mountpoint);
  }

  /** A control plane that was killed hangs up, or is not there yet. */
  async ask(question: { command: string; [argument: string]: unknown }): Promise<unknown> {
    await this.#released();
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await ask(this.#runDir, question);
      } catch (error) {
        if (attempt === 200 || !(error instanceof HungUp || /ECONNREFUSED|ENOENT/.test(String(error)))) throw error;
        await sleep(20);
      }
    }
  }

  /** Everything is swapped off, compared, taken down; fsck finds nothing to say but who is freed at the next mount. */
  async end(): Promise<void> {
    this.expect("held memory", await this.place.calls.letGo(), 0);
    for (const file of this.model.files) if (file.area !== undefined) await this.swapoff(file);
    await compare(this, "at the end", true);
    for (const file of this.model.files) if (this.reach(file) !== undefined) await checkVerdict(this, file);
    await this.#quiet();
    const orphans = this.model.files.filter(({ names }) => names.length === 0).map(({ ino }) => ino).sort((a, b) => a - b);
    await umount(this.place.mountpoint);
    const device = openReadOnly(this.place.source);
    const { findings } = checkDevice(device); // all that swapfs fsck does
    device.close();
    const found = findings.map(({ kind, ino, message }) => (kind === "orphan" ? `orphan ${ino}` : message));
    same("fsck", found, orphans.map((ino) => `orphan ${ino}`));
  }

  /** mkswap(8): what it wrote is the model's page 0 when it is a header for this file; the signatures it found it has wiped. */
  async mkswap(file: ModelFile): Promise<void> {
    const name = this.reach(file)!;
    await must("mkswap", ["-q", name]);
    const found = await readWhole(name);
    const pages = Math.floor(file.data.length / page);
    same(`mkswap ${label(file)}`, [found.toString("latin1", page - 10, page), found.readUInt32LE(1028)], [magic, pages - 1]);
    for (const at of wipedSignatures(file.data, found)) this.model.write(file, at, Buffer.alloc(magic.length));
    this.model.write(file, 0, found.subarray(0, page));
  }

  /** Bytes that no other write of this history has. */
  stamped(length: number): { stamp: number; bytes: Buffer } {
    const stamp = this.nextStamp();
    return { stamp, bytes: stamped(stamp, length) };
  }

  nextStamp(): number {
    return (this.#stamps.last += 1);
  }

  /** The last lines of the volume's log, while it is mounted. */
  async lastLines(): Promise<string> {
    return (await run("tail", ["-n", "12", path.join(this.#runDir, "log")])).stdout;
  }

  /** A control plane that runs into a bug is started again, and programs notice nothing: the log does. */
  async #checkLog(): Promise<void> {
    const text = await fs.readFile(path.join(this.#runDir, "log"), "utf8");
    const lines = text.split("\n").filter((line) => disgrace.test(line));
    if (lines.length > 0) throw new Error(`the log says: ${lines.join("\n")}`);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
