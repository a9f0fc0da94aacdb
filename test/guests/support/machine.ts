// One guest: qemu with a kernel of Debian's under emulation, on this machine's own root. It ends by itself, or is killed when
// it stays in one state for too long; nothing of it is left either way.

import { spawn, type ChildProcess } from "node:child_process";
import { promises as fs, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

import { cpio } from "./cpio";
import { startFile } from "./initrd";
import { Kernel, type KernelRelease } from "./kernels";

export interface MachineOptions {
  readonly kernel: KernelRelease;
  readonly memoryMiB: number;
  readonly cpus: number;
  /** qemu's arguments for disks. */
  readonly disks: readonly string[];
  /** A shell script that takes the place of init in the machine's own root. */
  readonly start: string;
  /** Words for the kernel's command line. */
  readonly append?: string;
  /** More of qemu's arguments. */
  readonly qemu?: readonly string[];
  /** Until the first report. */
  readonly bootMinutes?: number;
  /** Each line that the guest writes to /dev/ttyS1. */
  readonly onReport: (line: string, machine: Machine) => void;
}

export interface MachineEnd {
  /** What the guest gave `endScript`; undefined when it was killed or the kernel ended it. */
  readonly status: number | undefined;
  /** Why it was killed here. */
  readonly killed: string | undefined;
  readonly console: string;
}

const usualBootMinutes = 4;
const mostMessageBytes = 1 << 22;

/** Ends the guest at once with a status of 0 to 126, for a shell in it. */
export const endScript = 'printf "\\\\$(printf %03o "$status")" | dd of=/dev/port bs=1 seek=244 2>/dev/null';

export class Machine {
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #killed: string | undefined;

  /** Boots a guest and waits for its end. */
  static async run(options: MachineOptions): Promise<MachineEnd> {
    const dir = await fs.mkdtemp(path.join(os.tmpdir(), "swapfs-guest-"));
    try {
      return await new Machine().#run(options, dir);
    } finally {
      await fs.rm(dir, { recursive: true, force: true });
    }
  }

  /** The guest may stay in the state that begins now for so long. */
  within(ms: number, state: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.kill(`${state} for more than ${Math.round(ms / 1000)} s`), ms);
  }

  /** As a power cut: nothing of the guest runs any more. */
  kill(reason: string): void {
    this.#killed ??= reason;
    this.#child?.kill("SIGKILL");
  }

  async #run(options: MachineOptions, dir: string): Promise<MachineEnd> {
    const kernel = new Kernel(options.kernel);
    const consoleFile = path.join(dir, "console");
    const initrd = path.join(dir, "initrd");
    await fs.writeFile(initrd, Buffer.concat([readFileSync(kernel.initrd), cpio([{ name: startFile, contents: options.start }])]));
    const complaints: string[] = [];
    // Also when this process is killed, its guest ends with it.
    const child = spawn(
      "setpriv", ["--pdeathsig", "KILL", "qemu-system-x86_64", ...qemuArguments(options, kernel, initrd, consoleFile)],
      { stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    try {
      this.within((options.bootMinutes ?? usualBootMinutes) * 60_000, "booting");
      createInterface(child.stderr).on("line", (line) => complaints.push(line));
      createInterface(child.stdout).on("line", (line) => options.onReport(line, this));
      const code = await new Promise<number | null>((resolve, reject) => {
        child.once("error", reject);
        child.once("close", resolve);
      });
      return { status: statusOf(code), killed: this.#killed, console: complaints.join("\n") + (await tailOf(consoleFile)) };
    } finally {
      clearTimeout(this.#timer);
      child.kill("SIGKILL");
    }
  }
}

function qemuArguments(options: MachineOptions, kernel: Kernel, initrd: string, consoleFile: string): string[] {
  return [
    "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-no-reboot",
    // No KVM: emulation runs everywhere, and the same everywhere.
    "-accel", "tcg,thread=multi", "-cpu", "qemu64", "-m", String(options.memoryMiB), "-smp", String(options.cpus),
    "-kernel", kernel.image, "-initrd", initrd,
    // no_timer_check: on a busy machine the emulated timer comes too late for check_timer (arch/x86/kernel/apic/io_apic.c), which panics.
    "-append", `console=ttyS0 quiet panic=-1 mitigations=off audit=0 no_timer_check ${options.append ?? ""}`,
    "-serial", `file:${consoleFile}`, "-serial", "stdio",
    "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
    "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
    ...options.disks, ...(options.qemu ?? []),
  ];
}

/** isa-debug-exit makes qemu exit with twice the value and one. */
function statusOf(code: number | null): number | undefined {
  return code !== null && (code & 1) === 1 ? code >> 1 : undefined;
}

async function tailOf(file: string): Promise<string> {
  const text = await fs.readFile(file, "utf8").catch(() => "");
  return text.slice(-mostMessageBytes).replaceAll("\r", "");
}
