// What /proc/PID/status says of a process (Documentation/filesystems/proc.rst, table 1-2).

import { readdirSync } from "node:fs";
import { readText } from "./kernelfiles";

/** Undefined when there is no such process. */
export function processStatus(pid: number | "self"): ReturnType<typeof parseStatus> | undefined {
  const text = readText(`/proc/${pid}/status`);
  return text === undefined ? undefined : parseStatus(text);
}

export function parseStatus(text: string) {
  const field = (name: string): string => new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(text)?.[1] ?? "";
  const bytes = (name: string): number => (Number.parseInt(field(name), 10) || 0) * 1024;
  return {
    name: field("Name"),
    state: field("State").charAt(0),
    residentBytes: bytes("VmRSS"),
    lockedBytes: bytes("VmLck"),
  };
}

/** include/uapi/linux/capability.h */
const bits = { CAP_NET_ADMIN: 12, CAP_IPC_LOCK: 14, CAP_SYS_ADMIN: 21, CAP_SYS_NICE: 23, CAP_SYS_RESOURCE: 24 } as const;

export type Capability = keyof typeof bits;

export function parseCapabilities(status: string): ReadonlySet<Capability> {
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return new Set((Object.keys(bits) as Capability[]).filter((name) => (mask >> BigInt(bits[name])) & 1n));
}

const SIGKILL = 1n << 8n;

/** The kernel has sent SIGKILL to the thread, which a signal that ends the program becomes too (complete_signal), or it is gone. */
export function isBeingKilled(tid: number): boolean {
  if (tid <= 0) return false; // in a pid namespace that we do not see
  const text = readText(`/proc/${tid}/status`);
  return text === undefined || [...text.matchAll(/^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$/gm)].some(([, mask]) => (BigInt(`0x${mask!}`) & SIGKILL) !== 0n);
}

/** The arguments of a process; empty for a kernel thread, a zombie, or none at all. */
export function commandLine(pid: number): string[] {
  return (readText(`/proc/${pid}/cmdline`) ?? "").split("\0").filter((word) => word !== "");
}

/** All process ids, ascending. */
export function processIds(): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).sort((a, b) => a - b);
}
