// One history on one mount: the files, their model, and how both are compared.

import { promises as fs, constants } from "node:fs";
import path from "node:path";

import { verdictText } from "#src/activation/texts";
import type { Reason, Verdict } from "#src/activation/verdict";
import { ask, HungUp } from "#src/cli/control";
import { mountSwapfs, pidOf, umount, type Role } from "../../support/mounted";
import type { Cleanup } from "../../support/mounted-cleanup";
import { must, run, sleep, swapfs, until } from "../../support/mounted-run";
import { stamped, type Answer, type SystemCalls } from "../../support/systemcalls";
import { Random } from "../../volume/random";
import type { Tally } from "./tally";
import { ModelVolume, page, type ModelFile } from "./model";

export interface Place {
  readonly cleanup: Cleanup;
  readonly calls: SystemCalls;
  readonly source: string;
  readonly mountpoint: string;
  readonly args: readonly string[];
}

export class History {
  readonly place: Place;
  readonly random: Random;
  readonly tally: Tally;
  readonly model = new ModelVolume();
  /** what happened, for a failure's message and for counting */
  readonly log: string[] = [];
  /** blocks that are free while there is no file */
  free = 0;
  #runDir = "";
  #stamp = 0;

  constructor(place: Place, seed: number, tally: Tally) {
    this.place = place;
    this.tally = tally;
    this.random = new Random(seed);
  }

  at(name: string): string {
    return path.join(this.place.mountpoint, name);
  }

  /** A number that no other write of this history has. */
  nextStamp(): number {
    return (this.#stamp += 1);
  }

  async mount(): Promise<void> {
    const { cleanup, source, mountpoint, args } = this.place;
    await mountSwapfs(cleanup, source, mountpoint, { args });
    const { dev } = await fs.stat(mountpoint);
    this.#runDir = `/run/swapfs/${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  }

  /** Mounts, and removes what the history before left. */
  async begin(): Promise<void> {
    await this.mount();
    for (const name of await fs.readdir(this.place.mountpoint)) await fs.unlink(this.at(name));
    this.free = (await fs.statfs(this.place.mountpoint)).bfree;
  }

  async remount(): Promise<void> {
    for (const file of this.model.files) if (file.area !== undefined) await this.swapoff(file);
    await umount(this.place.mountpoint);
    await this.mount();
  }

  /** Found now, so that the SIGKILL comes at once; the keeper starts another, and nobody waits for that here. */
  async killer(role: Exclude<Role, "keeper">): Promise<() => void> {
    const pid = await pidOf(this.place.mountpoint, role);
    return () => {
      try {
        if (pid !== undefined) process.kill(pid, "SIGKILL"); // undefined: it is being started
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
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

  /** As swapfs check asks, with page 0 as the file shows it. */
  async checkVerdict(file: ModelFile): Promise<void> {
    const handle = await fs.open(this.at(file.name), "r");
    const { ino, size } = await handle.stat();
    const { buffer } = await handle.read(Buffer.alloc(page), 0, page, 0);
    await handle.close();
    const question = { command: "check", ino, ...(size >= page ? { header: buffer.toString("base64") } : {}) };
    const verdict = (await this.#ask(question)) as Verdict;
    same(`check of ${file.name}`, { accepted: verdict.accepted, reasons: verdict.reasons }, this.#expectedVerdict(file));
  }

  /** user.swapfs.refused after a swapon that the gate refused. */
  async refusedText(file: ModelFile): Promise<string> {
    const done = await run("getfattr", ["--only-values", "--absolute-names", "-n", "user.swapfs.refused", this.at(file.name)]);
    return done.status === 0 ? done.stdout : "none";
  }

  refusalText(reasons: readonly Reason[]): string {
    return verdictText({ accepted: false, ino: 0, pages: 0, extents: 0, reasons });
  }

  /** What swap has written into the area is nobody's business, but it stays there, and page 0 is as it was. */
  async swapoff(file: ModelFile): Promise<void> {
    this.expect(`swapoff ${file.name}`, await this.place.calls.swapoff(this.at(file.name)), 0);
    const found = await fs.readFile(this.at(file.name));
    for (let at = 1; at < file.area!; at += 1) if (file.blocks.get(at)!.written) found.copy(file.data, at * page, at * page, (at + 1) * page);
    file.area = undefined;
  }

  /** Every file, every byte, what it occupies, and what is free. */
  async compare(what: string): Promise<void> {
    const names = (await fs.readdir(this.place.mountpoint)).sort();
    same(`${what}: names`, names, this.model.files.map(({ name }) => name).sort());
    for (const file of this.model.files) await this.#compareFile(what, file);
    const wanted = this.free - this.model.used();
    let last = NaN;
    // Blocks that a request still knows of become free when it is over.
    await until(`${what}: free blocks`, async () => (last = (await fs.statfs(this.place.mountpoint)).bfree) === wanted, 5000)
      .catch(() => same(`${what}: free blocks`, last, wanted));
  }

  async #compareFile(what: string, file: ModelFile): Promise<void> {
    const flags = constants.O_RDONLY | (this.random.chance(0.5) ? constants.O_DIRECT : 0);
    const handle = await fs.open(this.at(file.name), flags);
    try {
      const { size, blocks } = await handle.stat();
      same(`${what}: ${file.name} size and blocks`, [size, blocks], [file.data.length, file.blocks.size * (page / 512)]);
      const found = Buffer.alloc(size);
      for (let done = 0; done < size; ) {
        const { bytesRead } = await handle.read(found, done, size - done, done);
        if (bytesRead === 0) throw new Error(`${what}: ${file.name} ends at ${done} of ${size}`);
        done += bytesRead;
      }
      this.#compareBytes(`${what}: ${file.name}`, found, file);
    } finally {
      await handle.close();
    }
  }

  #compareBytes(what: string, found: Buffer, { data, area = 0, blocks }: ModelFile): void {
    for (let at = 0; at * page < data.length; at += 1) {
      if (at > 0 && at < area && blocks.get(at)!.written) continue; // the kernel's, while it swaps
      const [is, should] = [found, data].map((bytes) => bytes.subarray(at * page, (at + 1) * page)) as [Buffer, Buffer];
      if (!is.equals(should)) throw new Error(`${what}: page ${at} holds ${head(is)}, and should hold ${head(should)}`);
    }
  }

  #expectedVerdict(file: ModelFile): { accepted: boolean; reasons: readonly Reason[] } {
    const reasons = this.model.reasons(file);
    return { accepted: reasons.length === 0, reasons };
  }

  /** A control plane that was killed hangs up, or is not there yet. */
  async #ask(question: { command: string; [argument: string]: unknown }): Promise<unknown> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await ask(this.#runDir, question);
      } catch (error) {
        if (attempt === 200 || !(error instanceof HungUp || /ECONNREFUSED|ENOENT/.test(String(error)))) throw error;
        await sleep(20);
      }
    }
  }

  /** Everything is swapped off, compared, taken down; fsck finds nothing to say. */
  async end(): Promise<void> {
    this.expect("held memory", await this.place.calls.letGo(), 0);
    for (const file of this.model.files) if (file.area !== undefined) await this.swapoff(file);
    await this.compare("at the end");
    for (const file of this.model.files) await this.checkVerdict(file);
    await umount(this.place.mountpoint);
    const done = await swapfs(["fsck", this.place.source, "--json"]);
    if (done.status !== 0) throw new Error(`fsck: ${done.status} ${done.stdout}${done.stderr}`);
    same("fsck", (JSON.parse(done.stdout) as { findings: unknown[] }).findings, []);
  }

  /** mkswap(8); what it wrote is the model's page 0 when it is a header for this file. */
  async mkswap(file: ModelFile): Promise<void> {
    await must("mkswap", ["-q", this.at(file.name)]);
    const found = await fs.readFile(this.at(file.name));
    const pages = Math.floor(file.data.length / page);
    same(`mkswap ${file.name}`, [found.toString("latin1", page - 10, page), found.readUInt32LE(1028)], ["SWAPSPACE2", pages - 1]);
    this.model.write(file, 0, found.subarray(0, page));
  }

  stamped(length: number): { stamp: number; bytes: Buffer } {
    const stamp = this.nextStamp();
    return { stamp, bytes: stamped(stamp, length) };
  }
}

function head(bytes: Buffer): string {
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? "zeros" : `${bytes.subarray(0, 16).toString("hex")}…`;
}

function same(what: string, got: unknown, expected: unknown): void {
  if (JSON.stringify(got) !== JSON.stringify(expected)) {
    throw new Error(`${what}: ${JSON.stringify(got)}, and the model says ${JSON.stringify(expected)}`);
  }
}
