// Capabilities of this process (CapEff of /proc/self/status; numbers of include/uapi/linux/capability.h).

const bits = { CAP_NET_ADMIN: 12, CAP_IPC_LOCK: 14, CAP_SYS_ADMIN: 21, CAP_SYS_NICE: 23, CAP_SYS_RESOURCE: 24 } as const;

export type Capability = keyof typeof bits;

export function parseCapabilities(status: string): ReadonlySet<Capability> {
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return new Set((Object.keys(bits) as Capability[]).filter((name) => (mask >> BigInt(bits[name])) & 1n));
}
