// The session segment of a running volume, read through a descriptor of one of its processes: no process is asked, no request is made,
// so it works while the control plane is down and counting does not change what is counted.

import { readSync, readlinkSync } from "node:fs";
import { readCounters } from "../../dataplane/counters";
import { Session, sessionLayout } from "../../dataplane/session";
import { ifAny, listFolder, withOpen } from "../../sys/kernelfiles";
import { opcodes } from "../../wire/opcodes";
import type { MountedVolume } from "../common/mounted";
import { processesOf } from "../common/processes";

export type SessionView = NonNullable<ReturnType<typeof readSession>>;

/** Undefined when none of its processes is there (or may be looked at). */
export function readSession(volume: MountedVolume) {
  const path = processesOf(volume).map(memfdOf).find((found) => found !== undefined);
  if (path === undefined) return undefined;
  const buffer = new ArrayBuffer(sessionLayout.size);
  // Handles come last and are not looked at: header and counters are enough.
  withOpen(path, "r", (fd) => readSync(fd, new Uint8Array(buffer, 0, sessionLayout.touched), 0, sessionLayout.touched, 0));
  const session = new Session(buffer);
  return { header: session.header(), counters: readCounters(session) };
}

function memfdOf(pid: number): string | undefined {
  const folder = `/proc/${pid}/fd`;
  const fd = listFolder(folder).find((name) => ifAny(() => readlinkSync(`${folder}/${name}`))?.startsWith("/memfd:"));
  return fd === undefined ? undefined : `${folder}/${fd}`;
}

/** Requests for pages, read from /dev/fuse since the mount. Not others: a sync(2) of anybody on the machine sends each volume one, for example. */
export function pageRequests(volume: MountedVolume): number {
  const requests = readSession(volume)?.counters.requests;
  return requests === undefined ? 0 : [opcodes.read, opcodes.write, opcodes.bmap].reduce((sum, { code }) => sum + requests[code]!, 0);
}

/** Only opcodes that were seen, by the kernel's name without FUSE_. */
export function requestsByOpcode(requests: readonly number[]): Record<string, number> {
  const names = new Map(Object.values(opcodes).map((opcode) => [opcode.code, opcode.name.replace(/^FUSE_/, "")]));
  return Object.fromEntries(requests.flatMap((count, code) => (count === 0 ? [] : [[names.get(code) ?? `opcode ${code}`, count]])));
}
