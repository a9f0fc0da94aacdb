// The block device that is measured on: one that was named, else a zram device of our own.

import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError, exitCode, messageOf } from "../base/errors";
import { formatByteLength } from "../base/units";
import { blockDeviceFacts, deviceUses } from "../sys/blockdevice";
import type { Cleanup } from "./cleanup";

export interface BenchDevice {
  readonly path: string;
  readonly kind: "zram" | "given";
  /** Empties it: both contenders find the same. */
  renew(): Promise<void>;
}

/** A zram device of a new number, removed at the end. */
export async function addZram(byteLength: number, cleanup: Cleanup): Promise<BenchDevice> {
  const number = hotAdd();
  const folder = `/sys/block/zram${number}`;
  const path = `/dev/zram${number}`;
  cleanup.add(`remove ${path}`, async () => {
    await reset(folder);
    writeFileSync("/sys/class/zram-control/hot_remove", number);
  });
  writeFileSync(`${folder}/disksize`, String(byteLength));
  return {
    path, kind: "zram",
    renew: async () => {
      await reset(folder);
      writeFileSync(`${folder}/disksize`, String(byteLength));
    },
  };
}

function hotAdd(): string {
  try {
    return readFileSync("/sys/class/zram-control/hot_add", "utf8").trim();
  } catch (error) {
    throw new UserError(exitCode.mountFailed, `cannot add a zram device: ${messageOf(error)}, run as root with the module zram, or give --device`);
  }
}

/** EBUSY for a moment after the last user: something that watches devices may have it open. */
async function reset(folder: string): Promise<void> {
  for (let patience = 100; ; patience -= 1) {
    try {
      writeFileSync(`${folder}/reset`, "1");
      return;
    } catch (error) {
      if (patience === 0) throw error;
      await sleep(50);
    }
  }
}

/** A device whose contents may be destroyed; refused while anything uses it. */
export function givenDevice(path: string, bytesNeeded: number): BenchDevice {
  const facts = blockDeviceFacts(path);
  const [use] = deviceUses(facts.deviceNumber);
  if (use) throw new UserError(exitCode.mountFailed, `cannot measure on ${path}: it is ${use.kind} (${use.by}), name a device that nothing uses`);
  if (facts.byteLength < bytesNeeded) {
    throw new UserError(exitCode.mountFailed, `cannot measure on ${path}: ${formatByteLength(facts.byteLength)} are too few, ${formatByteLength(bytesNeeded)} are needed`);
  }
  return { path, kind: "given", renew: async () => undefined };
}
