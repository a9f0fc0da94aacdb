// The block device that is measured on: one that was named, else a zram device of our own, else a loop device over an image.

import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError, exitCode, messageOf } from "../base/errors";
import { formatByteLength } from "../base/units";
import { blockDeviceFacts, deviceUses } from "../sys/blockdevice";
import { loopsSharing } from "../sys/loopviews";
import type { Cleanup } from "./cleanup";
import { runTool } from "../sys/tools";
import { must } from "./tools";

export interface BenchDevice {
  readonly path: string;
  readonly byteLength: number;
  /** Empties it: every contender finds the same. */
  renew(): Promise<void>;
}

const zramControl = "/sys/class/zram-control";

export function hasZram(): boolean {
  if (existsSync(zramControl)) return true;
  runTool("modprobe", ["zram"]); // not built, or a container: an image has to do
  return existsSync(zramControl);
}

/** What the report calls the device. */
export function deviceName(given: string | undefined): string {
  if (given !== undefined) return `${given} (given)`;
  return hasZram() ? "zram" : "image";
}

/** A zram device of a new number, removed at the end. */
export async function addZram(byteLength: number, cleanup: Cleanup): Promise<BenchDevice> {
  const number = hotAdd();
  const folder = `/sys/block/zram${number}`;
  const path = `/dev/zram${number}`;
  const renew = async (): Promise<void> => {
    await reset(folder);
    writeFileSync(`${folder}/disksize`, String(byteLength));
  };
  cleanup.add(`remove ${path}`, async () => {
    await reset(folder);
    writeFileSync(`${zramControl}/hot_remove`, number);
  });
  await renew();
  return { path, byteLength, renew };
}

function hotAdd(): string {
  try {
    return readFileSync(`${zramControl}/hot_add`, "utf8").trim();
  } catch (error) {
    throw new UserError(exitCode.mountFailed, `cannot add a zram device: ${messageOf(error)}, run as root, or give --device`);
  }
}

/** EBUSY for a moment after the last user: something that watches devices may have it open. */
async function reset(folder: string): Promise<void> {
  for (let triesLeft = 100; ; triesLeft -= 1) {
    try {
      writeFileSync(`${folder}/reset`, "1");
      return;
    } catch (error) {
      if (triesLeft === 0) throw error;
      await sleep(50);
    }
  }
}

/** A sparse image on a loop device: where there is no zram. */
export async function addImageDevice(folder: string, byteLength: number, cleanup: Cleanup): Promise<BenchDevice> {
  const image = join(folder, "device.img");
  writeFileSync(image, "");
  truncateSync(image, byteLength);
  cleanup.add(`remove ${image}`, () => rmSync(image, { force: true }));
  const path = must("losetup", ["--find", "--show", "--direct-io=on", image]).trim();
  cleanup.add(`detach ${path}`, () => must("losetup", ["--detach", path]));
  return {
    path, byteLength,
    renew: async () => {
      truncateSync(image, 0);
      truncateSync(image, byteLength);
      must("blockdev", ["--flushbufs", path]);
    },
  };
}

/** A device whose contents may be destroyed; refused while anything uses it. */
export function givenDevice(path: string, bytesNeeded: number): BenchDevice {
  const facts = blockDeviceFacts(path);
  const [use] = deviceUses(facts.deviceNumber);
  if (use) throw new UserError(exitCode.mountFailed, `cannot measure on ${path}: it is ${use.kind} (${use.by}), name a device that nothing uses`);
  const [loop] = loopsSharing(path); // swap may lie on a block view, and nothing else says so
  if (loop !== undefined) throw new UserError(exitCode.mountFailed, `cannot measure on ${path}: ${loop} lies over it, run swapfs swapoff --all-views, or losetup -d ${loop}`);
  if (facts.byteLength < bytesNeeded) {
    throw new UserError(exitCode.mountFailed, `cannot measure on ${path}: ${formatByteLength(facts.byteLength)} are too few, ${formatByteLength(bytesNeeded)} are needed`);
  }
  return { path, byteLength: facts.byteLength, renew: async () => void must("wipefs", ["-a", "-q", path]) };
}
