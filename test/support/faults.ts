// The rule file of native/dataplane/faults.h: what shall go wrong with the transfers of a data plane, told while it runs.

import { promises as fs } from "node:fs";

import { Struct, u32, u64 } from "#src/base/struct";

import { until } from "./mounted-run";

const FaultRule = new Struct("FaultRule", {
  kind: u32, transfers: u32, first_page: u64, end_page: u64, skip: u64, count: u64, delay_ms: u32, padding: u32, matched: u64,
});

const kinds = { none: 0, fail: 1, short: 2, delay: 3 } as const;
const transferBits = { read: 1, write: 2, any: 3 } as const;

export interface Fault {
  readonly kind: Exclude<keyof typeof kinds, "none">;
  readonly transfers: keyof typeof transferBits;
  /** device pages; all when not given */
  readonly pages?: readonly [first: number, end: number];
  /** transfers that match and pass before the first is hit */
  readonly skip?: number;
  /** transfers that are hit, one when not given */
  readonly count?: number;
  readonly delayMs?: number;
}

export class DeviceFaults {
  readonly file: string;

  private constructor(file: string) {
    this.file = file;
  }

  /** A rule file for SWAPFS_TEST_FAULTS, with no fault in it. */
  static async make(file: string): Promise<DeviceFaults> {
    await fs.writeFile(file, Buffer.alloc(4096));
    return new DeviceFaults(file);
  }

  async set(fault: Fault): Promise<void> {
    await this.clear();
    const [first, end] = fault.pages ?? [0, Number.MAX_SAFE_INTEGER];
    const rule = FaultRule.encode({
      kind: kinds[fault.kind], transfers: transferBits[fault.transfers], first_page: BigInt(first), end_page: BigInt(end),
      skip: BigInt(fault.skip ?? 0), count: BigInt(fault.count ?? 1), delay_ms: fault.delayMs ?? 0, padding: 0, matched: 0n,
    });
    await this.#write(rule.subarray(4), 4);
    await this.#write(rule.subarray(0, 4), 0);
  }

  clear(): Promise<void> {
    return this.#write(Buffer.alloc(4), 0);
  }

  /** Transfers that the rule was about since it was set, hit or not. */
  async matched(): Promise<number> {
    return Number(FaultRule.decode(await fs.readFile(this.file)).matched);
  }

  /** Waits until so many transfers have matched: the last of them is under way, or was hit. */
  async reached(count: number): Promise<void> {
    await until(`${count} transfers that a fault is about`, async () => (await this.matched()) >= count);
  }

  // In place: the data plane has the file mapped.
  async #write(bytes: Buffer, at: number): Promise<void> {
    const handle = await fs.open(this.file, "r+");
    try {
      await handle.write(bytes, 0, bytes.length, at);
    } finally {
      await handle.close();
    }
  }
}
