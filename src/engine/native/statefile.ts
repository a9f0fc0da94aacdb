// state.json in the run directory: what the volume is, for whoever finds the directory without a process to ask.

import fs from "node:fs";
import path from "node:path";
import type { SessionPids } from "../../dataplane/session";
import { backingFile } from "../../sys/loop";
import type { Environment } from "./environment";

export interface StateFile {
  readonly source: string;
  readonly device: string;
  readonly mountpoint: string;
  readonly image: string | null;
  readonly pids: SessionPids;
}

export function writeStateFile(env: Environment, pids: SessionPids): void {
  const image = backingFile(env.device) ?? null;
  const state: StateFile = { source: image ?? env.device, device: env.device, mountpoint: env.mountpoint, image, pids };
  const file = path.join(env.runDir, "state.json");
  fs.writeFileSync(`${file}.new`, `${JSON.stringify(state)}\n`, { mode: 0o600 });
  fs.renameSync(`${file}.new`, file); // a reader sees the old one or the new one
}
