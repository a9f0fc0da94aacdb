// A mount served by keeper, data plane and the fake control plane (native/dataplane/testing), on a loop or zram device.
// SWAPFS_NATIVE_BUILD names another build of the programs, such as native/build-address.

import { spawn, type ChildProcess } from "node:child_process";
import { promises as fs } from "node:fs";
import path from "node:path";

import { readCounters } from "#src/dataplane/counters";
import { Session, SessionHeader, sessionLayout } from "#src/dataplane/session";

import type { Cleanup } from "../support/mounted-cleanup";
import { attachLoop, imageFile, scratchDir } from "../support/mounted-devices";
import { must, projectDir, run, until } from "../support/mounted-run";

export const build = path.resolve(projectDir, process.env["SWAPFS_NATIVE_BUILD"] ?? "native/build");
/** What is timed is not tried on such programs: they are several times slower, and another thing is looked for. */
export const sanitized = process.env["SWAPFS_NATIVE_BUILD"] !== undefined;
export const pageSize = 4096;
export type Plane = "data" | "control";

export interface FakeMountOptions {
  /** Bytes of the loop device below, when `device` does not name another. */
  readonly bytes?: number;
  readonly device?: string;
  readonly keeperArgs?: readonly string[];
  /** Instead of the fake control plane. */
  readonly control?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

export class FakeMount {
  readonly dir: string;
  readonly device: string;
  readonly #keeper: ChildProcess;
  readonly #ended: Promise<number>;
  #ready = "";
  #told = 0;

  constructor(dir: string, device: string, options: FakeMountOptions) {
    this.dir = dir;
    this.device = device;
    const control = options.control ?? [path.join(build, "swapfs-fake-control"), path.join(dir, "store")];
    this.#keeper = spawn(path.join(build, "swapfs-keeper"), [
      "--source-device", device, "--mountpoint", this.mountpoint, "--run-dir", path.join(dir, "run"), "--ready-fd", "3",
      "--log", this.logFile, ...(options.keeperArgs ?? []), "--dataplane", path.join(build, "swapfs-dataplane"),
      "--", ...control,
    ], { stdio: ["ignore", "ignore", "ignore", "pipe"], env: { ...process.env, ...options.env } });
    this.#keeper.stdio[3]!.on("data", (text: Buffer) => (this.#ready += text.toString()));
    this.#ended = new Promise((resolve) => this.#keeper.on("exit", (code, signal) => resolve(signal ? 137 : code!)));
  }

  /** Starts the keeper without waiting for the mount. */
  static async start(cleanup: Cleanup, options: FakeMountOptions = {}): Promise<FakeMount> {
    const dir = await scratchDir(cleanup);
    await fs.mkdir(path.join(dir, "mnt"));
    await fs.mkdir(path.join(dir, "run"));
    const device = options.device ?? await attachLoop(cleanup, await imageFile(dir, "image", options.bytes ?? 256 << 20));
    if (!options.device) await must("blockdev", ["--setrw", device]); // a loop device keeps what its last user set
    const mount = new FakeMount(dir, device, options);
    cleanup.add(`the mount of ${device}`, () => mount.#undo());
    return mount;
  }

  static async mounted(cleanup: Cleanup, options: FakeMountOptions = {}): Promise<FakeMount> {
    const mount = await FakeMount.start(cleanup, options);
    const ready = await mount.ready();
    if (ready === undefined || "error" in (ready as object)) throw new Error(`no mount: ${JSON.stringify(ready)}`);
    return mount;
  }

  get mountpoint(): string { return path.join(this.dir, "mnt"); }
  get logFile(): string { return path.join(this.dir, "log"); }
  get keeperPid(): number { return this.#keeper.pid!; }
  /** The keeper's exit status; 137 after a signal. */
  get ended(): Promise<number> { return this.#ended; }

  /** What came out of the ready pipe; waits for a line or for the keeper's end. */
  async ready(): Promise<unknown> {
    let over = false;
    void this.#ended.then(() => (over = true));
    await until("a line on the ready pipe", () => this.#ready.includes("\n") || over);
    return this.#ready === "" ? undefined : JSON.parse(this.#ready);
  }

  at(file: number): string { return path.join(this.mountpoint, `f${file}`); }
  log(): Promise<string> { return fs.readFile(this.logFile, "utf8"); }

  /** Tells the fake control plane what to do: "install:0", "revoke:0", "hold" … */
  async tell(command: string): Promise<void> {
    // A name of its own: the kernel believes an entry until the end of its jiffy.
    this.#told += 1;
    await must("mkdir", [path.join(this.mountpoint, `!${command}:${this.#told}`)]);
  }

  async counters(): Promise<Record<string, number>> {
    const { totals, requests } = await this.counted();
    return { ...totals, bmap_requests: requests[37]! };
  }

  async counted(): Promise<ReturnType<typeof readCounters>> {
    const whole = new ArrayBuffer(sessionLayout.size);
    (await this.#session(0, sessionLayout.touched)).copy(new Uint8Array(whole));
    return readCounters(new Session(whole));
  }

  async header(): Promise<ReturnType<typeof SessionHeader.decode>> {
    return SessionHeader.decode(await this.#session(0, SessionHeader.size));
  }

  async pidOf(plane: Plane): Promise<number> {
    const { data_pid, control_pid } = await this.header();
    return plane === "data" ? data_pid : control_pid;
  }

  /** SIGKILL, and waits until the keeper has started another that is at work. */
  async kill(plane: Plane): Promise<void> {
    const pid = await this.pidOf(plane);
    if (pid === 0) return;
    process.kill(pid, "SIGKILL");
    await until(`another ${plane} plane is up`, async () => {
      const now = await this.header();
      return (plane === "data" ? now.data_pid : now.control_pid) !== pid && now.data_pid !== 0 && now.control_up === 1;
    });
  }

  /** Waits until the device has been read or written `times` times more: whoever kills then kills in the middle. */
  async transferred(times: number): Promise<void> {
    const before = (await this.counters())["transfers"]!;
    await until(`${times} more transfers`, async () => (await this.counters())["transfers"]! >= before + times);
  }

  async umount(): Promise<void> {
    await must("umount", [this.mountpoint], { timeoutMs: 20_000 });
  }

  // The keeper keeps the session open under a number that /proc names.
  async #session(offset: number, length: number): Promise<Buffer> {
    const folder = `/proc/${this.keeperPid}/fd`;
    for (const fd of await fs.readdir(folder)) {
      const target = await fs.readlink(path.join(folder, fd)).catch(() => "");
      if (!target.startsWith("/memfd:swapfs-session")) continue;
      const file = await fs.open(path.join(folder, fd), "r");
      const { buffer } = await file.read(Buffer.alloc(length), 0, length, offset);
      await file.close();
      return buffer;
    }
    throw new Error("the keeper has no session open");
  }

  async #undo(): Promise<void> {
    for (const line of (await fs.readFile("/proc/swaps", "utf8")).split("\n")) {
      if (line.startsWith(`${this.mountpoint}/`)) await run("swapoff", [line.split(/\s/)[0]!]);
    }
    await this.#unmountWhenFree();
    const deadline = setTimeout(() => void this.#abort(), 8_000);
    await this.#ended;
    clearTimeout(deadline);
    const reported = /^.*(Sanitizer|runtime error).*$/m.exec(await this.log().catch(() => ""));
    if (reported) throw new Error(`${reported[0]}\n${(await this.log()).slice(reported.index, reported.index + 3000)}`);
  }

  // A program that was killed may hold its files for a moment longer.
  async #unmountWhenFree(): Promise<void> {
    const free = async (): Promise<boolean> => {
      const mounted = (await fs.readFile("/proc/self/mountinfo", "utf8")).includes(` ${this.mountpoint} `);
      return !mounted || (await run("umount", [this.mountpoint], { timeoutMs: 20_000 })).status === 0;
    };
    await until(`${this.mountpoint} is not busy`, free, 5_000).catch(async (error: Error) => {
      await this.#abort();
      throw error;
    });
  }

  // The last means: end the connection under whoever still waits on it.
  async #abort(): Promise<void> {
    const { data_pid, control_pid } = await this.header().catch(() => ({ data_pid: 0, control_pid: 0 }));
    await run("umount", ["--lazy", this.mountpoint]);
    for (const pid of [this.keeperPid, data_pid, control_pid]) if (pid !== 0) await run("kill", ["-9", String(pid)]);
  }
}

/** The same pseudorandom numbers in every run. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
