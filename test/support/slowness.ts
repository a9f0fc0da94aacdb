// A volume on a slow device, at moments that a test chooses: transfers of the data plane (test/support/faults.ts), and zeros,
// copies and flushes of the control plane (test/support/slow-control-plane.cjs).

import { promises as fs } from "node:fs";
import path from "node:path";

import { DeviceFaults } from "./faults";
import { projectDir, until } from "./mounted-run";

/** The first `count` of them begin so many milliseconds late; all, when not given. */
export interface Late {
  readonly ms: number;
  readonly count?: number;
}

export type ControlPlaneKind = "zero" | "copy" | "flush" | "notify";

export class Slowness {
  /** For the mount command; the processes of the mount inherit it. */
  readonly env: Readonly<Record<string, string>>;
  readonly #file: string;
  readonly #faults: DeviceFaults;

  private constructor(file: string, faults: DeviceFaults) {
    this.#file = file;
    this.#faults = faults;
    this.env = {
      SWAPFS_TEST_FAULTS: faults.file, SWAPFS_TEST_SLOW: file,
      NODE_OPTIONS: `--require ${projectDir}/test/support/slow-control-plane.cjs`,
    };
  }

  /** Nothing is slow yet. Its files lie in `dir`. */
  static async make(dir: string): Promise<Slowness> {
    const file = path.join(dir, "slow");
    await fs.writeFile(file, "");
    return new Slowness(file, await DeviceFaults.make(path.join(dir, "faults")));
  }

  /** Runs `work`, which mounts, with the environment that makes the mount's device slow when it is told to be. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    Object.assign(process.env, this.env);
    try {
      return await work();
    } finally {
      for (const name of Object.keys(this.env)) delete process.env[name];
    }
  }

  async set(rules: Partial<Record<ControlPlaneKind, Late>>, dataPlaneMs = 0): Promise<void> {
    await fs.rm(`${this.#file}.begun`, { force: true });
    const filled = Object.entries(rules).map(([kind, { ms, count = 1e9 }]) => [kind, { ms, count }]);
    await this.#tell(JSON.stringify(Object.fromEntries(filled)));
    if (dataPlaneMs > 0) await this.#faults.set({ kind: "delay", transfers: "any", delayMs: dataPlaneMs, count: 1e9 });
    else await this.#faults.clear();
  }

  async clear(): Promise<void> {
    await this.#tell("");
    await this.#faults.clear();
  }

  /** Waits until so many of the kind have been begun late since `set`. */
  async begun(kind: ControlPlaneKind, count = 1): Promise<void> {
    await until(`${count} times ${kind} have begun`, async () => {
      const text = await fs.readFile(`${this.#file}.begun`, "utf8").catch(() => "");
      return text.split("\n").filter((line) => line === kind).length >= count;
    });
  }

  // Whole at any moment: it is read while it is written.
  async #tell(text: string): Promise<void> {
    await fs.writeFile(`${this.#file}.new`, text);
    await fs.rename(`${this.#file}.new`, this.#file);
  }
}
