// The running kernel's version and what follows from it.

import { readFileSync } from "node:fs";
import { crc32c } from "../base/crc32c";

export type KernelVersion = Readonly<ReturnType<typeof parseRelease>>;

export function kernelVersion(): KernelVersion {
  return parseRelease(readFileSync("/proc/sys/kernel/osrelease", "utf8"));
}

/** "6.18.44-fc" to 6 and 18. */
export function parseRelease(text: string) {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(text) ?? [];
  return { release: text.trim(), major: Number(major ?? 0), minor: Number(minor ?? 0) };
}

export function atLeast(version: KernelVersion, major: number, minor: number): boolean {
  return version.major > major || (version.major === major && version.minor >= minor);
}

/** FUSE_NOTIFY_RESEND: before 6.9 a request that was in flight when a daemon died is lost with it. */
export function canResend(version: KernelVersion): boolean {
  return atLeast(version, 6, 9);
}

/** A number that names the running boot, never 0: a machine that was cut since has another. */
export function bootNumber(): number {
  return crc32c(readFileSync("/proc/sys/kernel/random/boot_id")) || 1;
}
